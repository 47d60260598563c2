"""Files of lines that begin with a key, sorted by it: Kaldi's. A key is found without reading the file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqmill.transforms.readers.lines import LongLine, line_blocks, split_lines
from seqmill.transforms.readers.split import named_errors
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_SEARCHED_BYTES = 1 << 12


class SortedLines:
    """A file of sorted lines, mapped into memory.

    Args:
        path: The file.

    Raises:
        SeqmillError: It is missing or cannot be read.
    """

    def __init__(self, path: str):
        self.path = path
        with named_errors(path):
            self._content: np.ndarray = files.map_bytes(path)
        self.size = len(self._content)

    def start_of_line(self, byte: int) -> int:
        """Where the first line begins that begins at a byte or behind it."""
        return 0 if byte == 0 else self._behind_line(byte - 1)

    def key(self, start: int) -> bytes:
        """The key of the line that begins at a byte."""
        return key_and_rest(self._line(start))[0]

    def bisect(self, key: bytes) -> int:
        """Where the first line begins whose key is not smaller than ``key``."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            start = self.start_of_line(middle)
            if start < high and self.key(start) < key:
                low = self._behind_line(start)
            else:
                high = middle
        return self.start_of_line(low)

    def get(self, key: bytes) -> bytes | None:
        """What stands behind a key; None where the file does not have it."""
        start = self.bisect(key)
        if start >= self.size:
            return None
        found, rest = key_and_rest(self._line(start))
        return rest if found == key else None

    def _behind_line(self, byte: int) -> int:
        for start in range(byte, self.size, _SEARCHED_BYTES):
            found = self._content[start : start + _SEARCHED_BYTES].tobytes().find(b"\n")
            if found >= 0:
                return start + found + 1
        return self.size

    def _line(self, start: int) -> bytes:
        return self._content[start : self._behind_line(start)].tobytes()


def key_and_rest(line: bytes) -> tuple[bytes, bytes]:
    """The key of a line, and what stands behind it without white space around."""
    key, *rest = line.split(None, 1) or [b""]
    return key, rest[0].strip() if rest else b""


def check_sorted(path: str, max_line: int) -> None:
    """Checks that the keys of a file rise, byte by byte, and that none is there twice.

    Raises:
        SeqmillError: Names the first line of which that is not so, or that is too long.
    """
    number, last = 0, b""
    for block in line_blocks(path, max_line=max_line):
        if isinstance(block, LongLine):
            raise SeqmillError(f"{path}: a line of {block.num_bytes:,} bytes; max_record_size = {max_line:,}")
        for line in split_lines(block):
            number += 1
            key = key_and_rest(line)[0]
            if key <= last:
                what = "is there twice" if key == last else "comes behind a larger one"
                shown = key.decode(errors="replace")
                raise SeqmillError(
                    f"{path}, line {number}: the key {shown!r} {what}; sort the file as Kaldi does "
                    "(LC_ALL=C sort -u, or utils/fix_data_dir.sh)"
                )
            last = key


def keyed_lines(path: str, start: int, end: int | None, max_line: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields key and rest of the lines that begin in bytes [start, end) of a file."""
    for block in line_blocks(path, start, end, max_line):
        if not isinstance(block, LongLine):  # check_sorted has found none
            yield from map(key_and_rest, split_lines(block))
