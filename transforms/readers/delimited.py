"""CSV and TSV with a header line, quoted as in RFC 4180."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from seqmill.transforms.readers.lines import BOM, is_compressed, line_blocks
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Record,
    Split,
    even_cuts,
    named_errors,
    single_file_split,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SCAN_BYTES = 1 << 22
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


def split_delimited(format: str, path: str, target_bytes: int) -> list[Split]:
    """Splits of a local plain file, cut between records; a compressed or remote file as a whole.

    A file with quotes inside of unquoted fields is not cut either: there, quotes do not tell where records
    end unless everything before is parsed.

    Args:
        format: ``csv`` or ``tsv``.
        path: The file.
        target_bytes: Size of a split.

    Raises:
        SeqmillError: The file is missing, empty, or its header is unusable.
    """
    columns = _header(format, path)
    if is_compressed(path) or not files.is_local(path):
        return [single_file_split(format, path, columns=columns)]
    with named_errors(path):
        content = files.map_bytes(path)
    starts = _record_starts(content, ord(_DELIMITERS[format]), even_cuts(len(content), target_bytes)[1:-1])
    return [
        single_file_split(format, path, start, end, columns)
        for start, end in pairwise([0, *starts, len(content)])
    ]


class DelimitedReader:
    """Reads one split of a CSV or TSV file; values are str, blank lines are no records."""

    def __init__(self, split: Split):
        self._split = split
        self.num_positions = 0

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (record number, record or reject)."""
        split, position = self._split, 0
        columns, width = split.columns, len(split.columns)
        lines = _Lines(split.source, split.starts[0], split.ends[0])
        rows = _rows(split.format, lines)
        if split.starts[0] == 0:
            next(rows, None)
        problem = ""
        for row in rows:
            if lines.ended:
                # No row asks for the line after it, except for one whose last quote never closes.
                problem = "a quoted field is not closed"
                break
            if lines.has_invalid and not _is_valid(row):
                yield position, RejectedSequence("invalid UTF-8", f"in {row!r}"[:200])
            elif len(row) == width:
                # strict=True would double the time of making a record.
                yield position, dict(zip(columns, row))  # noqa: B905
            elif row:
                detail = f"{len(row)} instead of {width}"
                yield position, RejectedSequence("wrong number of columns", detail)
            else:
                continue
            position += 1
        if lines.damage or problem:
            yield position, RejectedSequence("file cut short", lines.damage or problem)
            position += 1
        self.num_positions = position


class _Lines:
    """The lines of a file as str with their ends; bytes that are no UTF-8 become lone surrogates.

    Attributes:
        ended: All lines were taken.
        has_invalid: Some line so far was not UTF-8.
        damage: Why the file could not be read to its end, else empty.
    """

    def __init__(self, path: str, start: int, end: int | None):
        self._blocks = line_blocks(path, start, end)
        self.ended = self.has_invalid = False
        self.damage = ""

    def __iter__(self) -> Iterator[str]:
        try:
            for block in self._blocks:
                yield from io.StringIO(self._decoded(block), newline="")
        except DamagedFileError as error:
            self.damage = str(error)
        self.ended = True

    def _decoded(self, block: bytes) -> str:
        try:
            return block.decode()
        except UnicodeDecodeError:
            self.has_invalid = True
            return block.decode(errors="surrogateescape")


def _rows(format: str, lines: _Lines) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)
    return csv.reader(lines, delimiter=_DELIMITERS[format])


def _is_valid(row: list[str]) -> bool:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        return False
    return True


def _header(format: str, path: str) -> tuple[str, ...]:
    lines = _Lines(path, 0, None)
    columns = next(_rows(format, lines), None)
    if columns is None:
        problem = f"the file is damaged ({lines.damage})" if lines.damage else "the file is empty"
        raise SeqmillError(f"{path}: {problem}; expected a header line that names the columns")
    if not any(columns) or lines.ended or not _is_valid(columns):
        raise SeqmillError(f"{path}: expected a header line that names the columns, found {columns}")
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise SeqmillError(f"{path}: columns occur more than once in the header: {', '.join(duplicates)}")
    return tuple(columns)


def _record_starts(content: np.ndarray, delimiter: int, targets: list[int]) -> list[int]:
    """The first starts of records at or after each of the bytes ``targets``, without duplicates.

    A newline ends a record where the number of quotes before it is even. That is so as long as every quote
    that opens a field stands at a field's beginning; if one does not, no starts are returned.
    """
    starts: list[int] = []
    pending, num_quotes = list(reversed(targets)), 0
    for base in range(0, len(content), _SCAN_BYTES):
        block = content[base : base + _SCAN_BYTES]
        quotes = np.flatnonzero(block == _QUOTE) + base
        if not _open_fields(content, quotes[num_quotes % 2 :: 2], delimiter):
            return []
        if pending and pending[-1] <= base + len(block):
            newlines = np.flatnonzero(block == _NEWLINE) + base
            ends = newlines[(np.searchsorted(quotes, newlines) + num_quotes) % 2 == 0]
            while pending and (next_end := int(np.searchsorted(ends, pending[-1] - 1))) < len(ends):
                starts.append(int(ends[next_end]) + 1)
                pending.pop()
        num_quotes += len(quotes)
    return sorted(set(starts) - {len(content)})


def _open_fields(content: np.ndarray, quotes: np.ndarray, delimiter: int) -> bool:
    """Whether each of ``quotes`` opens a field or, right behind another quote, reopens it."""
    first = len(BOM) if content[: len(BOM)].tobytes() == BOM else 0
    before = content[quotes[quotes > first] - 1]
    return bool(np.isin(before, (delimiter, _NEWLINE, _RETURN, _QUOTE)).all())
