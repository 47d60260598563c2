"""Line-aligned text: one file per data key, line i of all of them is sequence i."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, zip_longest
from typing import TypeGuard

import numpy as np

from seqmill.transforms.readers.file_kind import check_text
from seqmill.transforms.readers.lines import LongLine, is_compressed, line_blocks, split_lines, zeros_in
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Reader,
    ReadOptions,
    Record,
    Split,
    even_cuts,
    named_errors,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError, UsageError

_SCAN_BYTES = 1 << 20
_NEWLINE = 10


def split_text(paths: Mapping[str, Sequence[str]], target_bytes: int, options: ReadOptions) -> list[Split]:
    """Splits of files that are read side by side, cut before the same line in all of them.

    Local plain files are searched for newlines once; if one of a set is compressed or remote, the set is
    one split.

    Args:
        paths: For every data key its files; the first ones of all keys belong together, and so on.
        target_bytes: Size of a split in the largest file of its set.
        options: How the files are read.

    Raises:
        UsageError: The keys have different numbers of files.
        SeqmillError: A file is missing, or the files of a set have different numbers of lines.
    """
    numbers = {key: len(key_paths) for key, key_paths in paths.items()}
    if len(set(numbers.values())) > 1:
        raise UsageError(f"format 'text': the data keys have different numbers of files: {numbers}")
    sets = [tuple(zip(paths, one, strict=True)) for one in zip(*paths.values(), strict=True)]
    return [
        replace(split, options=options, listing=listing)
        for listing, one in enumerate(sets)
        for split in _split_set(one, target_bytes)
    ]


class TextReader(Reader):
    """Reads one split of line-aligned files; a record maps every data key to its line, a str.

    An empty line is an empty str. A carriage return before the newline is left out.
    """

    def __init__(self, split: Split):
        super().__init__(split)
        self._has_rejects = False

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (line, record or reject).

        Raises:
            SeqmillError: The files have different numbers of lines.
        """
        split, position = self.split, 0
        keys = [key for key, _ in split.files]
        columns = [
            chain.from_iterable(self._blocks(path, start, end))
            for (_, path), start, end in zip(split.files, split.starts, split.ends, strict=True)
        ]
        try:
            for lines in zip_longest(*columns):
                if None in lines:
                    raise _different_lengths({path: _count_lines(path) for _, path in split.files})
                if self._has_rejects and (rejects := [*filter(_is_reject, lines)]):
                    yield position, rejects[0]
                else:
                    # strict=True would double the time of making a record.
                    yield position, dict(zip(keys, lines))  # noqa: B905
                position += 1
        except DamagedFileError as error:
            self.lose(str(error))
        self.num_positions = self.num_records = position

    def _blocks(self, path: str, start: int, end: int | None) -> Iterator[list[str | RejectedSequence]]:
        options = self.split.options
        for block in line_blocks(path, start, end, options.max_record_size):
            if isinstance(block, LongLine):
                self._has_rejects = True
                yield [options.too_large("a line", block.num_bytes)]
                continue
            self.num_bytes += len(block)
            try:
                lines: list[str | RejectedSequence] = [*block.decode().split("\n")]
            except UnicodeDecodeError:
                lines = [_decoded(line) for line in block.split(b"\n")]
                self._has_rejects = True
            if block.endswith(b"\n"):
                lines.pop()
            if b"\0" in block:
                lines = [zeros_in(line) if isinstance(line, str) and "\0" in line else line for line in lines]
                self._has_rejects = True
            if b"\r" in block:
                lines = [line.removesuffix("\r") if isinstance(line, str) else line for line in lines]
            yield lines


@dataclass(frozen=True)
class _LineIndex:
    """Where the newlines of a file are.

    Attributes:
        content: The file, uint8 [n].
        newlines: Newlines up to the end of each block of ``_SCAN_BYTES``, int64 [blocks].
    """

    content: np.ndarray
    newlines: np.ndarray

    @property
    def num_lines(self) -> int:
        """Lines in the file; the last one may lack its newline."""
        if len(self.content) == 0:
            return 0
        return int(self.newlines[-1]) + int(self.content[-1] != _NEWLINE)

    def line_at(self, byte: int) -> int:
        """The line that holds a byte."""
        block = byte // _SCAN_BYTES
        before = int(self.newlines[block - 1]) if block > 0 else 0
        return before + int(np.count_nonzero(self.content[block * _SCAN_BYTES : byte] == _NEWLINE))

    def start_of(self, line: int) -> int:
        """The byte at which a line begins. ``line``: at least 1 and less than ``num_lines``."""
        block = int(np.searchsorted(self.newlines, line))
        before = int(self.newlines[block - 1]) if block > 0 else 0
        start = block * _SCAN_BYTES
        found = np.flatnonzero(self.content[start : start + _SCAN_BYTES] == _NEWLINE)
        return start + int(found[line - before - 1]) + 1


def _split_set(keyed_paths: tuple[tuple[str, str], ...], target_bytes: int) -> list[Split]:
    for _, path in keyed_paths:
        check_text(path, "text")
    if any(is_compressed(path) for _, path in keyed_paths):
        count = len(keyed_paths)
        return [Split("text", keyed_paths, (0,) * count, (None,) * count)]
    indexes = [_index(path) for _, path in keyed_paths]
    num_lines = {path: index.num_lines for (_, path), index in zip(keyed_paths, indexes, strict=True)}
    if len(set(num_lines.values())) > 1:
        raise _different_lengths(num_lines)
    largest = max(indexes, key=lambda index: len(index.content))
    cuts = even_cuts(len(largest.content), target_bytes)[1:-1]
    first_lines = sorted({largest.line_at(byte) for byte in cuts} - {0})
    starts = [(0,) * len(indexes)]
    starts += [tuple(index.start_of(line) for index in indexes) for line in first_lines]
    starts.append(tuple(len(index.content) for index in indexes))
    return [Split("text", keyed_paths, start, end) for start, end in pairwise(starts)]


def _index(path: str) -> _LineIndex:
    with named_errors(path):
        content = files.map_bytes(path)
    starts = range(0, len(content), _SCAN_BYTES)
    counts = [np.count_nonzero(content[start : start + _SCAN_BYTES] == _NEWLINE) for start in starts]
    return _LineIndex(content, np.cumsum(counts, dtype=np.int64))


def _is_reject(line: str | RejectedSequence) -> TypeGuard[RejectedSequence]:
    return isinstance(line, RejectedSequence)


def _decoded(line: bytes) -> str | RejectedSequence:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        return RejectedSequence("invalid UTF-8", str(error))


def _count_lines(path: str) -> int:
    blocks = line_blocks(path, max_line=_SCAN_BYTES)
    return sum(1 if isinstance(block, LongLine) else len(split_lines(block)) for block in blocks)


def _different_lengths(num_lines: Mapping[str, int]) -> SeqmillError:
    counts = ", ".join(f"{path} has {count} lines" for path, count in num_lines.items())
    return SeqmillError(f"line-aligned text files must have equally many lines: {counts}")
