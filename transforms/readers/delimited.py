"""CSV and TSV with a header line: CSV quoted as in RFC 4180, TSV unquoted; the option ``quoting`` decides."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from seqmill.transforms.readers.file_kind import check_text
from seqmill.transforms.readers.lines import BOM, LongLine, is_compressed, line_blocks, zeros_in
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Reader,
    ReadOptions,
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
_NEWLINE, _QUOTE = b'\n"'
_LONG = "\ud800"  # stands for a line over the limit; no line that was decoded holds it


def split_delimited(
    format: str, path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str] = ()
) -> list[Split]:
    """Splits of a local plain file, cut between records; a compressed or remote file as a whole.

    A file with quotes inside of unquoted fields is not cut either: there, quotes do not tell where records
    end unless everything before is parsed.

    Args:
        format: ``csv`` or ``tsv``.
        path: The file.
        target_bytes: Size of a split.
        options: How the file is read.
        fields: Columns that it must have.

    Raises:
        SeqmillError: The file is missing, empty, or its header is unusable.
    """
    check_text(path, format)
    columns = _header(format, path, options)
    missing = [field for field in fields if field not in columns]
    if missing:
        raise SeqmillError(f"{path}: no column {', '.join(missing)}; {_described(columns)}")
    if is_compressed(path):
        return [single_file_split(format, path, options, columns=columns)]
    if format == "csv" and _has_quotes(format, options):
        with named_errors(path):
            content = files.map_bytes(path)
        targets = even_cuts(len(content), target_bytes)[1:-1]
        starts = _record_starts(content, ord(_DELIMITERS[format]), targets)
        cuts = [0, *starts, len(content)]
    else:
        with named_errors(path):
            cuts = even_cuts(files.size(path), target_bytes)
    return [single_file_split(format, path, options, start, end, columns) for start, end in pairwise(cuts)]


class DelimitedReader(Reader):
    """Reads one split of a CSV or TSV file; values are str, blank lines are no records.

    A record that the format does not allow (a lone carriage return outside of quotes, text behind a closing
    quote, in TSV a quote that is not closed on its line) is rejected, and reading goes on with the next line.
    """

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (record number, record or reject)."""
        split, position = self.split, 0
        columns, width = split.columns, len(split.columns)
        lines = _Lines(split.format, split.source, split.options, split.starts[0], split.ends[0])
        rows = _rows(lines)
        if split.starts[0] == 0:
            next(rows, None)
        is_short = False
        while True:
            try:
                for row in rows:
                    lines.record_start = self.num_bytes = lines.num_bytes
                    is_short = 0 < len(row) < width
                    if lines.has_suspects and (reject := lines.suspect(row)):
                        yield position, reject
                    elif len(row) == width:
                        # strict=True would double the time of making a record.
                        yield position, dict(zip(columns, row))  # noqa: B905
                    elif row:
                        detail = f"{len(row)} instead of {width}"
                        yield position, RejectedSequence("wrong number of columns", detail)
                    else:
                        continue
                    position += 1
                break
            except csv.Error as error:
                if lines.ended:
                    # No row asks for the line after the last, except for one whose quote never closes.
                    lines.damage = lines.damage or f"the quote that record {position + 1} opens never closes"
                    break
                yield position, lines.reject(error)
                position += 1
        if is_short and lines.lacks_newline:
            self.lose("its last line lacks columns and its end: it is cut short")
        if lines.damage:
            self.lose(lines.damage)
        self.num_positions = self.num_records = position


class _Lines:
    """Lines of a file as str with their ends; bytes that are no UTF-8 become lone surrogates.

    Attributes:
        format: ``csv`` or ``tsv``.
        has_quotes: Whether quotes enclose fields.
        num_bytes: Bytes read so far.
        record_start: Bytes read before the record that is being read.
        ended: All lines were taken.
        has_suspects: Some line so far was not UTF-8, held zero bytes, or was too long.
        lacks_newline: The line taken last has no newline: it is the file's last one.
        damage: Why the file could not be read to its end, else empty.
    """

    def __init__(self, format: str, path: str, options: ReadOptions, start: int = 0, end: int | None = None):
        self.format = format
        self.has_quotes = _has_quotes(format, options)
        self.num_bytes = self.record_start = 0
        self.ended = self.has_suspects = self.lacks_newline = False
        self.damage = ""
        self._options = options
        self._blocks = line_blocks(path, start, end, options.max_record_size)
        self._long: LongLine | None = None

    def __iter__(self) -> Iterator[str]:
        limit = self._options.max_record_size
        try:
            for block in self._blocks:
                self._long = None
                if isinstance(block, LongLine):
                    self._long, self.has_suspects = block, True
                    yield '"' * (self.has_quotes and block.num_quotes % 2) + _LONG + "\n"
                    continue
                self.num_bytes += len(block)
                self.lacks_newline = not block.endswith(b"\n")
                yield from io.StringIO(self._decoded(block), newline="\n")
                if self.num_bytes - self.record_start > limit:
                    self.damage = f"a quote opens a field of more than max_record_size = {limit:,}"
                    break
        except DamagedFileError as error:
            self.damage = str(error)
        self.ended = True

    def suspect(self, row: list[str]) -> RejectedSequence | None:
        """Why a row cannot be used, where lines that it was made from were suspect."""
        text = "".join(row)
        if _LONG in text:
            return self._options.too_large("a line", self._long.num_bytes if self._long else 0)
        if "\0" in text:
            return zeros_in(text)
        try:
            text.encode()
        except UnicodeEncodeError:
            return RejectedSequence("invalid UTF-8", f"in {row!r}"[:200])
        return None

    def reject(self, error: csv.Error) -> RejectedSequence:
        """Why the format does not allow the record that was being read."""
        if self._long is not None:
            return self._options.too_large("a line", self._long.num_bytes)
        if "new-line character" in str(error):
            return RejectedSequence("lone carriage return", "outside of quotes; lines end in CR LF or LF")
        if "unexpected end" in str(error):
            return RejectedSequence("wrong quoting", "a quote is not closed on its line")
        return RejectedSequence("wrong quoting", str(error))

    def _decoded(self, block: bytes) -> str:
        self.has_suspects |= b"\0" in block
        try:
            return block.decode()
        except UnicodeDecodeError:
            self.has_suspects = True
            return block.decode(errors="surrogateescape")


def _has_quotes(format: str, options: ReadOptions) -> bool:
    return format == "csv" if options.quoting is None else options.quoting


def _rows(lines: _Lines) -> Iterator[list[str]]:
    """The rows in lines; raises csv.Error for one that the format does not allow, and then goes on."""
    csv.field_size_limit(sys.maxsize)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if lines.has_quotes else csv.QUOTE_NONE

    def parsed(some: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(some, delimiter=_DELIMITERS[lines.format], quoting=quoting, strict=True)

    def row_of(line: str) -> list[str]:
        return next(parsed((line,)), [])

    if lines.has_quotes and lines.format == "tsv":
        # Line by line, so that a quote that never closes cannot swallow rows.
        return map(row_of, lines)
    return parsed(lines)


def _header(format: str, path: str, options: ReadOptions) -> tuple[str, ...]:
    lines = _Lines(format, path, options)
    expected = "expected a header line that names the columns"
    try:
        columns = next(_rows(lines), None)
    except csv.Error as error:
        raise SeqmillError(f"{path}: {expected}, found one with {lines.reject(error)}") from None
    if columns is None:
        problem = f"the file is damaged ({lines.damage})" if lines.damage else "the file is empty"
        raise SeqmillError(f"{path}: {problem}; {expected}")
    if not any(columns) or (lines.has_suspects and lines.suspect(columns)):
        raise SeqmillError(f"{path}: {expected}, found {columns}"[:500])
    # Columns without a name are what a table with trailing delimiters has; nobody can ask for them.
    duplicates = sorted({name for name in columns if name and columns.count(name) > 1})
    if duplicates:
        raise SeqmillError(f"{path}: columns occur more than once in the header: {', '.join(duplicates)}")
    return tuple(columns)


def _described(columns: tuple[str, ...]) -> str:
    """The columns for a message; a name that hides what is wrong with it stands in quotes."""
    if len(columns) == 1:
        for mark in ("\t", ";", ",", "|"):
            if mark in columns[0]:
                fitting = [name for name, delimiter in _DELIMITERS.items() if delimiter == mark]
                hint = f" Then its format is {fitting[0]}." if fitting else ""
                return f"its only column is {columns[0]!r}: are its columns separated by {mark!r}?{hint}"
    names = (name if name and name == name.strip() else repr(name) for name in columns)
    return f"its columns are {', '.join(names)}"


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
    return bool(np.isin(before, (delimiter, _NEWLINE, _QUOTE)).all())
