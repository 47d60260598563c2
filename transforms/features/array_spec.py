"""What a data key's arrays are like: the part of a manifest that readers need to make sense of bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.dataclasses import dataclass

FLOAT16, BFLOAT16, INT16 = "<f2", "bfloat16", "<i2"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ArraySpec:
    """What a data key's arrays are like.

    Attributes:
        type: The data key's type as configured (``chars``, ``log_mel``, …).
        dtype: The elements in store and shards, as a NumPy dtype string (``<i4``) or ``bfloat16``.
        feature_shape: Shape of one frame; ``()`` for labels and samples.
        num_labels: Number of labels, for keys that have a vocabulary.
        vocab: File with one label a line, relative to the manifest; ``None`` where labels have no file.
        processing: What was done to values on their way to arrays, by option; left out where empty.
        norm: File with the statistics that frames were normalized by, likewise.
        pad: The label that batches are padded with; left out where it is 0.
    """

    LEFT_OUT_IF_EMPTY: ClassVar[tuple[str, ...]] = ("processing", "norm", "pad")

    type: str
    dtype: str
    feature_shape: tuple[int, ...]
    num_labels: int | None = None
    vocab: str | None = None
    processing: Mapping[str, Any] = field(default_factory=dict)
    norm: str | None = None
    pad: int = 0

    def __post_init__(self) -> None:
        # A manifest may have been changed by anybody, and NumPy takes far more for a dtype.
        if self.dtype != BFLOAT16 and not re.fullmatch(r"\|[iu]1|<[iu][248]|<f[248]", self.dtype):
            raise ValueError(f"dtype {self.dtype!r}: expected little-endian numbers, such as '<f4'")
        if min(self.feature_shape, default=1) < 1:
            raise ValueError(f"feature_shape {list(self.feature_shape)}: expected sizes of at least 1")
        if self.pad and not (self.dtype == "<i4" and 0 < self.pad < (self.num_labels or 0)):
            raise ValueError(f"pad {self.pad}: expected one of {self.num_labels or 0} labels")

    @model_serializer(mode="wrap")
    def _serialized(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        return {k: value for k, value in content.items() if value or k not in self.LEFT_OUT_IF_EMPTY}

    @property
    def files(self) -> tuple[str, ...]:
        """The files that belong to the arrays, relative to the manifest."""
        return tuple(name for name in (self.vocab, self.norm) if name is not None)

    @property
    def frame_size(self) -> int:
        """Elements of a frame."""
        return math.prod(self.feature_shape)

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.frame_size * self.elements.itemsize

    def padding(self, num_frames: int) -> np.ndarray:
        """The bytes of frames that pad a batch, uint8 [num_frames * frame_bytes]."""
        if self.pad:
            return np.full(num_frames, self.pad, self.elements).view(np.uint8)
        return np.zeros(num_frames * self.frame_bytes, np.uint8)

    @property
    def elements(self) -> np.dtype:
        """NumPy's dtype of the elements in store and shards; that of bfloat16's bits, as it has no other."""
        return np.dtype("<u2" if self.dtype == BFLOAT16 else self.dtype)

    @property
    def is_small(self) -> bool:
        """Whether elements are converted when a batch is read."""
        return self.dtype in (FLOAT16, BFLOAT16) or (self.type == "audio" and self.dtype == INT16)

    @property
    def batch_dtype(self) -> np.dtype:
        """The dtype of arrays as models read them."""
        return np.dtype("<f4") if self.is_small else self.elements


def array_bytes(data_keys: Mapping[str, ArraySpec], lengths: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bytes of the arrays of every sequence, over all data keys, int64 [n].

    Args:
        data_keys: What the arrays are like.
        lengths: Per data key the frames of every sequence, [n].
    """
    sizes = np.zeros(len(next(iter(lengths.values()))), np.int64)
    for key, spec in data_keys.items():
        sizes += lengths[key] * np.int64(spec.frame_bytes)
    return sizes
