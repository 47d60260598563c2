"""``ints`` and ``floats``: numbers as they stand in the data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqmill.transforms.features.array_files import NPY_MAGIC, names_array, read_named, read_npy_bytes
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder, kind_of, shown
from seqmill.transforms.features.lhotse_features import is_stored, read_stored
from seqmill.transforms.features.packing import (
    INT32,
    flatten,
    flatten_rows,
    in_int32,
    pack,
    pack_rows,
    to_float32,
)
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.storage.errors import RejectedSequence


class _Numbers(Encoder):
    """What both have in common: arrays may stand in files of their own, which a value names.

    Args:
        key: The data key.
        feature_shape: Shape of a frame; ``None`` takes any.
        from_text: Whether values are text: numbers separated by white space.
        folder: Folder or URL that relative paths of arrays start from.
        max_bytes: Most bytes of an array in a file of its own.
    """

    def __init__(
        self,
        key: DataKey,
        feature_shape: tuple[int, ...] | None,
        from_text: bool,
        folder: str,
        max_bytes: int,
    ):
        super().__init__(key, feature_shape)
        self._from_text = from_text
        self._folder, self._max_bytes = folder, max_bytes

    def _read(self, value: Any) -> Any:
        """The array that a value names or is the file of; any other value as it is."""
        if is_stored(value):
            return read_stored(value, self._folder, self._max_bytes, self.named_files)
        if names_array(value):
            return read_named(value, self._folder, self._max_bytes, self.named_files)
        if isinstance(value, bytes) and value.startswith(NPY_MAGIC):
            return read_npy_bytes(value, self._max_bytes)
        return value


class Ints(_Numbers):
    """``ints``: integers, int32 [T]; a single integer has length 1.

    Args:
        key: The data key.
        num_labels: Size of the vocabulary that the integers must be inside, if there is one.
        from_text: Whether values are text: integers separated by white space.
        folder: Folder or URL that relative paths of arrays start from.
        max_bytes: Most bytes of an array in a file of its own.
    """

    def __init__(
        self,
        key: DataKey,
        num_labels: int | None = None,
        from_text: bool = False,
        folder: str = "",
        max_bytes: int = 1 << 62,
    ):
        super().__init__(key, (), from_text, folder, max_bytes)
        self.num_labels = num_labels

    def encode(self, value: Any) -> np.ndarray:
        """Integers [T]. Raises RejectedSequence for everything else, booleans and whole floats included."""
        value = self._read(value)
        if isinstance(value, np.ndarray):
            array = self._from_array(value)
        elif isinstance(value, str) and self._from_text:
            array = _packed_ints(_parse(value, int))
        elif isinstance(value, list | tuple):
            array = _packed_ints(value)
        elif isinstance(value, int | np.integer) and not isinstance(value, bool):
            array = _packed_ints([value])
        else:
            raise RejectedSequence(f"expected ints, found {kind_of(value)}", shown(value))
        outside = self._outside(array)
        if outside.any():
            position = int(outside.argmax())
            raise RejectedSequence(
                "label outside the vocabulary",
                f"{array[position]} at position {position}; the vocabulary has {self.num_labels} labels",
            )
        return array.astype(self.dtype, copy=False)

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        flat = flatten(values, int, np.dtype(np.int32), self._from_text)
        if flat is None or self._outside(flat.values).any():
            return super().encode_block(values)
        return Ragged(flat.values.astype(self.dtype, copy=False), flat.lengths)

    def _outside(self, array: np.ndarray) -> np.ndarray:
        if self.num_labels is None:
            return np.zeros(1, bool)
        return (array < 0) | (array >= self.num_labels)

    def _from_array(self, value: np.ndarray) -> np.ndarray:
        if value.dtype == object:
            return _packed_ints(np.atleast_1d(value).tolist())
        if value.ndim > 1:
            raise RejectedSequence("nested too deep", f"expected ints [T], found shape {list(value.shape)}")
        if value.dtype.kind not in "iu":
            raise RejectedSequence(f"expected ints, found {kind_of(value)}", shown(value.tolist()))
        if not in_int32(value):
            raise RejectedSequence("integer out of range", f"{value.max()}, {value.min()}")
        return np.atleast_1d(value).astype(np.int32)


class Floats(_Numbers):
    """``floats``: numbers, float32 [T], or rows of numbers, float32 [T, D]; a single number has length 1.

    Args:
        key: The data key.
        feature_shape: ``()`` or ``(D,)`` as the corpus was found to have; ``None`` takes any.
        from_text: Whether values are text: numbers separated by white space.
        folder: Folder or URL that relative paths of arrays start from.
        max_bytes: Most bytes of an array in a file of its own.
    """

    def __init__(
        self,
        key: DataKey,
        feature_shape: tuple[int, ...] | None = None,
        from_text: bool = False,
        folder: str = "",
        max_bytes: int = 1 << 62,
    ):
        shape = feature_shape if key.frame_size is None else (key.frame_size,)
        super().__init__(key, shape, from_text, folder, max_bytes)
        self._frame_size = key.frame_size

    def encode(self, value: Any) -> np.ndarray:
        """Finite numbers [T] or [T, D]. Raises RejectedSequence."""
        value = self._read(value)
        if isinstance(value, np.ndarray):
            array = self._from_array(value)
        elif isinstance(value, str) and self._from_text:
            array = self._from_list(_parse(value, float))
        elif isinstance(value, list | tuple):
            array = self._from_list(value)
        elif isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
            array = self._from_list([value])
        else:
            raise RejectedSequence(f"expected floats, found {kind_of(value)}", shown(value))
        if self._frame_size is not None and array.ndim == 1:
            array = self._in_frames(array)
        _check_finite(array)
        if self.feature_shape is not None and array.shape[1:] != self.feature_shape:
            raise RejectedSequence(
                "feature size differs",
                f"{_shape(array.shape[1:])}, but the corpus has {_shape(self.feature_shape)}",
            )
        return array.astype(self.dtype, copy=False)

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder. Without a known ``feature_shape`` the first sequence's is taken for all."""
        if self.feature_shape is None:
            return self._encode_probed(values)
        if self.feature_shape and self._frame_size is None:
            flat = flatten_rows(values, self.feature_shape[0])
        else:
            flat = flatten(values, float, np.dtype(np.float32), self._from_text)
        if flat is not None and self._frame_size is not None:
            if (flat.lengths % self._frame_size).any():
                return super().encode_block(values)
            frames = flat.values.reshape(-1, self._frame_size)
            flat = Ragged(frames, flat.lengths // np.int32(self._frame_size))
        if flat is None or not np.isfinite(flat.values).all():
            return super().encode_block(values)
        return Ragged(flat.values.astype(self.dtype, copy=False), flat.lengths)

    def _encode_probed(self, values: list[Any]) -> Ragged:
        self.feature_shape = self.encode(values[0]).shape[1:] if values else ()
        try:
            return self.encode_block(values)
        finally:
            self.feature_shape = None

    def _from_array(self, value: np.ndarray) -> np.ndarray:
        if value.dtype == object:
            return self._from_list(np.atleast_1d(value).tolist())
        if value.dtype.kind not in "iuf":
            raise RejectedSequence(f"expected floats, found {kind_of(value)}", shown(value.tolist()))
        if value.ndim > 2:
            raise RejectedSequence(
                "nested too deep", f"expected floats [T] or [T, D], found shape {list(value.shape)}"
            )
        return self._empty() if value.size == 0 else to_float32(np.atleast_1d(value))

    def _from_list(self, items: Sequence[Any]) -> np.ndarray:
        if not items:
            return self._empty()
        if isinstance(items[0], list | tuple | np.ndarray):
            return _packed_rows(items)
        array = pack(items, np.dtype(np.float32))
        if array is None:
            raise _first_bad(items, _why_not_float, "expected floats")
        return array

    def _in_frames(self, array: np.ndarray) -> np.ndarray:
        size = self._frame_size or 1
        if len(array) % size:
            detail = f"{len(array)} numbers are no whole number of frames of {size}"
            raise RejectedSequence("feature size differs", detail)
        return array.reshape(-1, size)

    def _empty(self) -> np.ndarray:
        if self.feature_shape is None:
            raise RejectedSequence("empty sequence", "its feature size cannot be told")
        return np.empty((0, *self.feature_shape), np.float32)


def _packed_ints(items: Sequence[Any]) -> np.ndarray:
    array = pack(items, np.dtype(np.int32))
    if array is None:
        raise _first_bad(items, _why_not_int, "expected ints")
    return array


def _packed_rows(rows: Sequence[Any]) -> np.ndarray:
    widths = [len(row) if isinstance(row, list | tuple | np.ndarray) else None for row in rows]
    for frame, width in enumerate(widths):
        if width != widths[0]:
            found = "is a single value" if width is None else f"has {width} values"
            raise RejectedSequence("ragged rows", f"frame {frame} {found}, frame 0 has {widths[0]}")
    if not widths[0]:
        raise RejectedSequence("empty frames", "rows of 0 values")
    array = pack_rows(rows, widths[0])
    if array is not None:
        return array
    for frame, row in enumerate(rows):
        if pack(list(row), np.dtype(np.float32)) is None:
            raise _first_bad(list(row), _why_not_float, "expected floats", f" of frame {frame}")
    raise RejectedSequence("expected floats, found something else", shown(rows[0]))


def _first_bad(
    items: Sequence[Any], why: Callable[[Any], str | None], otherwise: str, where: str = ""
) -> RejectedSequence:
    for position, item in enumerate(items):
        reason = why(item)
        if reason is not None:
            return RejectedSequence(reason, f"{shown(item)} at position {position}{where}")
    return RejectedSequence(otherwise, shown(items))


def _why_not_int(item: Any) -> str | None:
    if isinstance(item, list | tuple | np.ndarray):
        return "nested too deep"
    try:
        number = operator.index(item)
    except TypeError:
        return f"expected ints, found {kind_of(item)}"
    if isinstance(item, bool):
        return "expected ints, found bool"
    return None if INT32.min <= number <= INT32.max else "integer out of range"


def _why_not_float(item: Any) -> str | None:
    if isinstance(item, list | tuple | np.ndarray):
        return "nested too deep"
    if isinstance(item, bool | np.bool_ | str | bytes):
        return f"expected floats, found {kind_of(item)}"
    try:
        float(item)
    except OverflowError:
        return "not finite"
    except (TypeError, ValueError):
        return f"expected floats, found {kind_of(item)}"
    return None


def _parse(text: str, parse: Callable[[str], Any]) -> list[Any]:
    """Numbers separated by white space. Python's own ``1_000`` is no number in a text file."""
    numbers = []
    for position, word in enumerate(text.split()):
        try:
            numbers.append(parse(word.replace("_", "?")))
        except ValueError:
            raise RejectedSequence(
                f"expected {parse.__name__}s, found other text", f"{shown(word)} at position {position}"
            ) from None
    return numbers


def _check_finite(array: np.ndarray) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        frame = int(finite.reshape(len(array), -1).all(axis=1).argmin())
        bad = array[frame][~finite[frame]].flat[0]
        found = "NaN" if np.isnan(bad) else "infinite in float32"
        raise RejectedSequence("not finite", f"frame {frame} is {found}")


def _shape(feature_shape: tuple[int, ...]) -> str:
    return f"[{', '.join(['T', *map(str, feature_shape)])}]"
