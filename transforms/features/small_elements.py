"""Elements of half the bytes, for stores and shards: float16 and bfloat16 of features, int16 of samples.

They are made when a sequence is ingested (``SmallElements``) and become float32 again when a batch is read
(``widen``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from seqmill.transforms.features.array_spec import BFLOAT16, FLOAT16, INT16, ArraySpec
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.storage.errors import RejectedSequence

CODE_VERSION = 1  # raised when the same numbers would become others
CLIPPED = "samples clipped"
_FULL_SCALE = np.float32(32768)


class SmallElements(Encoder):
    """What another encoder gives, in smaller elements.

    Args:
        encoder: The encoder, of float32 arrays.
        dtype: The elements, as ``ArraySpec.dtype`` names them.
    """

    def __init__(self, encoder: Encoder, dtype: str):
        self._encoder = encoder
        self._dtype = dtype
        self.dtype = ArraySpec("floats", dtype, ()).elements
        self.feature_shape = encoder.feature_shape
        self.converted = encoder.converted
        self.named_files = encoder.named_files

    def encode(self, value: Any) -> np.ndarray:
        """See Encoder. Numbers that the elements cannot hold are rejected."""
        with self._counted_if_good():
            array = self._encoder.encode(value)
            return self._narrowed(array, np.array([len(array)]))

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        with self._counted_if_good():
            ragged = self._encoder.encode_block(values)
            return Ragged(self._narrowed(ragged.values, ragged.lengths), ragged.lengths)

    def _narrowed(self, array: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        small = narrow(array, self._dtype)
        if array.size:
            error = np.abs(_widened(small, self._dtype) - array).reshape(len(array), -1).max(axis=1)
            self.largest_error = max(self.largest_error, float(error.max()))
            if self._dtype == INT16 and error.max() > 1 / _FULL_SCALE:
                clipped = np.flatnonzero(error > 1 / _FULL_SCALE)
                sequences = np.searchsorted(np.cumsum(lengths), clipped, "right")
                self.converted[CLIPPED] += len(np.unique(sequences))
        return small


def narrow(array: np.ndarray, dtype: str) -> np.ndarray:
    """The small elements nearest to finite float32 numbers, ties to even; too loud samples are clipped.

    Args:
        array: Numbers, float32 of any shape; samples are between -1 and 1.
        dtype: The elements, as ``ArraySpec.dtype`` names them.

    Raises:
        RejectedSequence: A number becomes infinite, or a sample is over twice full scale.

    >>> narrow(np.array([0.1, 300], np.float32), "<f2").tolist()
    [0.0999755859375, 300.0]
    """
    if dtype == INT16:
        _check(np.abs(array) > 2, array, "too loud for int16")
        return np.clip(np.rint(array * _FULL_SCALE), -32768, 32767).astype("<i2")
    if dtype == FLOAT16:
        with np.errstate(over="ignore"):
            small = array.astype("<f2")
        _check(np.isinf(small), array, "too large for float16")
        return small
    bits = np.ascontiguousarray(array, "<f4").view("<u4")
    rounded = bits >> 16
    rounded &= 1
    rounded += bits
    rounded += 0x7FFF
    small = rounded.view("<u2")[..., 1::2].copy()  # the upper half
    _check(small & 0x7FFF == 0x7F80, array, "too large for bfloat16")
    return small


def widen(array: np.ndarray, spec: ArraySpec, out: np.ndarray | None = None) -> np.ndarray:
    """Elements of a store or shard as models read them.

    Args:
        array: The elements, of any shape.
        spec: What they are.
        out: Where to write them, of the same shape and ``spec.batch_dtype``.

    Returns:
        ``out``; without it the array itself where nothing is to be done.

    >>> widen(np.array([16384, -32768], "<i2"), ArraySpec("audio", "<i2", ())).tolist()
    [0.5, -1.0]
    """
    if spec.is_small:
        return _widened(array, spec.dtype, out)
    if out is None:
        return array
    np.copyto(out, array)
    return out


def describe_errors(errors: Mapping[str, float], data_keys: Mapping[str, ArraySpec]) -> Iterator[str]:
    """What to say of the largest errors of data keys.

    >>> list(describe_errors({"data": 0.00391}, {"data": ArraySpec("log_mel", "<f2", (80,))}))
    ['data: float16, at most 0.0039 from float32']
    """
    for key, error in errors.items():
        spec = data_keys[key]
        name = spec.dtype if spec.dtype == BFLOAT16 else spec.elements.name
        yield f"{key}: {name}, at most {error:.2g} from float32"


def _widened(array: np.ndarray, dtype: str, out: np.ndarray | None = None) -> np.ndarray:
    if out is None:
        out = np.empty(array.shape, "<f4")
    if dtype == INT16:
        np.multiply(array, 1 / _FULL_SCALE, out=out)
    elif dtype == BFLOAT16:
        np.left_shift(array, np.uint32(16), out=out.view("<u4"))
    else:
        np.copyto(out, array)
    return out


def _check(bad: np.ndarray, array: np.ndarray, reason: str) -> None:
    if bad.any():
        number = float(array[bad].flat[0])
        raise RejectedSequence(reason, f"{number:.6g}")
