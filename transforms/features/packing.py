"""Python numbers to NumPy arrays: fast, and strict about what a number is.

``np.array`` takes booleans, digits in strings and, for integers, fractions. ``struct`` takes none of these
but booleans, and is two to three times as fast on a flat list; only zeros and ones can be booleans.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress
from typing import Any

import numpy as np

from seqmill.transforms.features.ragged import Ragged

INT32 = np.iinfo(np.int32)
_CODES = {np.dtype("int32"): "i", np.dtype("float32"): "f"}
_BOOLEANS = {bool, np.bool_}


def pack(numbers: Sequence[Any], dtype: np.dtype) -> np.ndarray | None:
    """Numbers as an array [len(numbers)] of int32 or float32.

    Returns ``None`` if any is not a number of that kind: for int32 an integer in its range, for float32 an
    integer or a float. Floats too large for float32 become infinite.
    """
    dtype = dtype.newbyteorder("=")
    try:
        packed = struct.pack(f"{len(numbers)}{_CODES[dtype]}", *numbers)
    except (struct.error, TypeError, ValueError, OverflowError):
        return None
    array = np.frombuffer(packed, dtype)
    return None if _has_boolean(numbers, array) else array


def pack_rows(rows: Sequence[Sequence[Any]], width: int) -> np.ndarray | None:
    """Rows of ``width`` numbers as float32 [len(rows), width]; ``None`` if a number or a width is wrong."""
    pack_row = struct.Struct(f"{width}f").pack
    try:
        packed = b"".join([pack_row(*row) for row in rows])
    except (struct.error, TypeError, ValueError, OverflowError):
        return None
    array = np.frombuffer(packed, np.float32)
    return None if _has_boolean(chain.from_iterable(rows), array) else array.reshape(len(rows), width)


def flatten(
    values: list[Any], parse: Callable[[str], Any], dtype: np.dtype, from_text: bool
) -> Ragged | None:
    """Flat values of one kind (lists, numbers, arrays or text), joined; ``None`` where that is not so."""
    kinds = set(map(type, values))
    if from_text and kinds == {str} and not any("_" in value for value in values):
        values, kinds = [value.split() for value in values], {list}
        try:
            items: Sequence[Any] = list(map(parse, chain.from_iterable(values)))
        except (ValueError, OverflowError):
            return None
    elif kinds == {list}:
        items = tuple(chain.from_iterable(values))
    elif kinds and kinds <= {int, float}:
        items = values
    elif kinds == {np.ndarray}:
        return _join_arrays(values, dtype, ndim=1)
    else:
        return None
    array = pack(items, dtype)
    if array is None:
        return None
    if kinds == {list}:
        return Ragged(array, np.fromiter(map(len, values), np.int32, len(values)))
    return Ragged(array, np.ones(len(values), np.int32))


def flatten_rows(values: list[Any], width: int) -> Ragged | None:
    """Values that are all lists of rows, or all arrays [T, width], joined; ``None`` where that is not so."""
    kinds = set(map(type, values))
    if kinds == {np.ndarray}:
        joined = _join_arrays(values, np.dtype(np.float32), ndim=2)
        return joined if joined is not None and joined.values.shape[1] == width else None
    if kinds != {list}:
        return None
    rows = list(chain.from_iterable(values))
    if not set(map(type, rows)) <= {list}:
        return None
    array = pack_rows(rows, width)
    return None if array is None else Ragged(array, np.fromiter(map(len, values), np.int32, len(values)))


def in_int32(array: np.ndarray) -> bool:
    """Whether integers of any dtype fit int32."""
    if array.size == 0 or np.can_cast(array.dtype, np.int32):
        return True
    return bool(array.min() >= INT32.min and array.max() <= INT32.max)


def to_float32(array: np.ndarray) -> np.ndarray:
    """Numbers as float32; those too large become infinite, as Python floats do in ``pack``."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def _has_boolean(numbers: Iterable[Any], array: np.ndarray) -> bool:
    suspects = (array == 0) | (array == 1)
    if not suspects.any():
        return False
    return not _BOOLEANS.isdisjoint(map(type, compress(numbers, suspects.tobytes())))


def _join_arrays(arrays: list[np.ndarray], dtype: np.dtype, ndim: int) -> Ragged | None:
    kinds = "iu" if dtype.kind == "i" else "iuf"
    if any(array.dtype.kind not in kinds or array.ndim != ndim for array in arrays):
        return None
    if len({array.shape[1:] for array in arrays}) > 1:
        return None
    if dtype.kind == "i":
        if not all(map(in_int32, arrays)):
            return None
        return Ragged.join([array.astype(np.int32, copy=False) for array in arrays], np.empty(0, np.int32))
    return Ragged.join(list(map(to_float32, arrays)), np.empty(0, np.float32))
