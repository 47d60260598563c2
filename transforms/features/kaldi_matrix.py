"""Kaldi's binary matrices and vectors, compressed ones too, with sizes checked before they take memory."""

from __future__ import annotations

import struct
from math import prod
from typing import IO, NoReturn

import numpy as np

from seqmill.transforms.features.sound.source import check_size
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.storage.ranges import counted

_INT = struct.Struct("<xi")  # behind a byte that says how many bytes it has
_HEADER = struct.Struct("<ffii")
_MATRICES = {b"FM": "<f4", b"DM": "<f8"}
_VECTORS = {b"FV": "<f4", b"DV": "<f8"}
_COMPRESSED = (b"CM", b"CM2", b"CM3")


def read_kaldi(file: IO[bytes], size: int, max_bytes: int, name: str) -> np.ndarray:
    """The array that comes next: float32 or float64 [T, D] or [T], or int32 [T].

    Args:
        file: An ark, at the array.
        size: Bytes up to its end.
        max_bytes: Most bytes of an array.
        name: For messages.

    Raises:
        RejectedSequence: There is no array, it is cut short, damaged or too large.
    """
    reader = _Bytes(file, size, max_bytes, name)
    if reader.take(2) != b"\0B":
        reader.fail("no binary array at this place of the file (text archives are not read)")
    first = reader.take(1)
    if first == b"\x04":
        return _ints(reader, reader.rest_of_int())
    token = first
    while not token.endswith(b" ") and len(token) < 5:
        token += reader.take(1)
    kind = token[:-1]
    if kind in _MATRICES:
        shape = reader.integer(), reader.integer()
        return reader.array(_MATRICES[kind], shape)
    if kind in _VECTORS:
        return reader.array(_VECTORS[kind], (reader.integer(),))
    if kind not in _COMPRESSED:
        shown = f" ({token.decode().strip()})" if token.isascii() and token.decode().isprintable() else ""
        reader.fail(f"an unknown kind of array{shown}: the file is damaged, or no ark of matrices")
    return _compressed(reader, kind)


class _Bytes:
    """Reads what Kaldi wrote, never beyond the end."""

    def __init__(self, file: IO[bytes], size: int, max_bytes: int, name: str):
        self._file, self._left, self._max_bytes, self._name = file, size, max_bytes, name

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > self._left:
            missing = counted(count - self._left, "byte is", "bytes are")
            self.fail(f"it ends behind the file's end, {missing} missing")
        content = self._file.read(count)
        if len(content) < count:
            self.fail("the file ends before")
        self._left -= count
        return content

    def integer(self) -> int:
        """The next integer, which is not negative."""
        return self._checked(self.take(_INT.size))

    def rest_of_int(self) -> int:
        """The next integer, whose first byte was taken."""
        return self._checked(b"\x04" + self.take(_INT.size - 1))

    def array(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """The next array."""
        num_bytes = prod(shape) * np.dtype(dtype).itemsize
        self.check(num_bytes)
        return np.frombuffer(self.take(num_bytes), dtype).reshape(shape)

    def check(self, num_bytes: int) -> None:
        """Raises RejectedSequence where an array of so many bytes is too large."""
        check_size(num_bytes, self._max_bytes, "the array")

    def fail(self, problem: str) -> NoReturn:
        """Raises RejectedSequence."""
        raise RejectedSequence("broken array", f"{self._name}: {problem}")

    def _checked(self, content: bytes) -> int:
        (number,) = _INT.unpack(content)
        if content[0] != 4 or number < 0:
            self.fail(f"a size of {number} in {content[0]} bytes")
        return int(number)


def _ints(reader: _Bytes, count: int) -> np.ndarray:
    items = reader.array("u1", (count, 5))
    if count and (items[:, 0] != 4).any():
        reader.fail("integers that have not four bytes each")
    return np.ascontiguousarray(items[:, 1:]).view("<i4").reshape(count)


def _compressed(reader: _Bytes, kind: bytes) -> np.ndarray:
    """See Kaldi's ``CompressedMatrix``: 8 or 16 bits an element, between values that a header gives."""
    low, width, rows, columns = _HEADER.unpack(reader.take(_HEADER.size))
    if rows < 0 or columns < 0:
        reader.fail(f"{rows} rows of {columns} values")
    least, span = np.float32(low), np.float32(width)
    reader.check(4 * rows * columns)
    if kind == b"CM2":
        values = reader.array("<u2", (rows, columns))
        return least + values.astype("f4") * np.float32(width * (1.0 / 65535.0))
    if kind == b"CM3":
        values = reader.array("u1", (rows, columns))
        return least + values.astype("f4") * np.float32(width * (1.0 / 255.0))
    return _by_columns(reader, least, span, rows, columns)


def _by_columns(reader: _Bytes, least: np.float32, span: np.float32, rows: int, columns: int) -> np.ndarray:
    """Of each column four percentiles in 16 bits; elements lie between them, in 8 bits, column by column."""
    percentiles = reader.array("<u2", (columns, 4)).astype("f4")
    percentiles = (least + span * np.float32(1.52590218966964e-05) * percentiles).astype("f4")
    codes = reader.array("u1", (columns, rows)).astype("f4")
    p0, p25, p75, p100 = (percentiles[:, index : index + 1] for index in range(4))
    lower = p0 + ((p25 - p0) * codes).astype("f8") * (1 / 64.0)
    middle = p25 + ((p75 - p25) * (codes - 64)).astype("f8") * (1 / 128.0)
    upper = p75 + ((p100 - p75) * (codes - 192)).astype("f8") * (1 / 63.0)
    values = np.where(codes <= 64, lower, np.where(codes <= 192, middle, upper))
    return np.ascontiguousarray(values.T.astype("f4"))
