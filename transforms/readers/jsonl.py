"""JSON lines: one object a line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import orjson

from seqmill.transforms.readers.fields import get_field
from seqmill.transforms.readers.file_kind import check_text
from seqmill.transforms.readers.lines import LongLine, is_compressed, line_blocks, split_lines
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
from seqmill.transforms.storage.errors import RejectedSequence


def split_jsonl(path: str, target_bytes: int, options: ReadOptions) -> list[Split]:
    """Byte ranges of a plain file, found without reading it; a compressed file as a whole.

    Raises:
        SeqmillError: The file is missing, cannot be read, or is no text.
    """
    check_text(path, "jsonl")
    if is_compressed(path):
        cuts: list[tuple[int, int | None]] = [(0, None)]
    else:
        with named_errors(path):
            cuts = [*pairwise(even_cuts(files.size(path), target_bytes))]
    return [single_file_split("jsonl", path, options, start, end) for start, end in cuts]


class JsonlReader(Reader):
    """Reads one split of a JSON lines file; blank lines have a position but no record.

    NaN, Infinity and halves of surrogate pairs, which Python writes, are taken where no wanted field holds
    them. An object that has a wanted field twice is rejected.

    Args:
        split: What to read.
        fields: Dotted names of the fields that will be asked for.
        optional: Names of further ones that the corpus need not have.
    """

    def __init__(self, split: Split, fields: Sequence[str] = (), optional: Sequence[str] = ()):
        super().__init__(split)
        self._fields = [*fields, *optional]
        self._wanted = list(fields)
        self._has_optional = len(optional) > 0
        parts = {part for field in self._fields for part in field.split(".") if not part.isdecimal()}
        names = [re.escape(json.dumps(part, ensure_ascii=False)[1:-1]) for part in sorted(parts)]
        self._num_names = len(parts)
        # One search for all names, which goes from quote to quote.
        self._find_names = re.compile(f'"(?:{"|".join(names)})"'.encode()).findall

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (line, record or reject)."""
        split, position = self.split, 0
        options, num_blank = split.options, 0
        is_cut = False
        try:
            for block in line_blocks(split.source, split.starts[0], split.ends[0], options.max_record_size):
                if isinstance(block, LongLine):
                    yield position, options.too_large("a line", block.num_bytes)
                    position += 1
                    continue
                self.num_bytes += len(block)
                record = None
                for position, record in enumerate(self._records(block), position):  # noqa: B020
                    if record is None:
                        num_blank += 1
                    else:
                        yield position, record
                position += 1
                is_cut = isinstance(record, RejectedSequence) and _is_cut(block)
        except DamagedFileError as error:
            self.lose(str(error))
        if is_cut:
            self.lose("its last line is the beginning of an object: it is cut short")
        self.num_positions = position
        self.num_records = position - num_blank

    def _records(self, block: bytes) -> list[Record | RejectedSequence | None]:
        """What every line holds; None for a blank one."""
        lines = split_lines(block)
        try:
            records: list[Any] = [*map(orjson.loads, lines)]
        except orjson.JSONDecodeError:
            return [*map(self._one, lines)]
        if self._have_fields_once(block, records):
            return records
        return [self._checked(line, record) for line, record in zip(lines, records, strict=True)]

    def _have_fields_once(self, block: bytes, records: list[Any]) -> bool:
        """Whether all are objects in which every wanted field is, once.

        Looking at every line on its own would take as long as parsing it.
        """
        if self._has_optional or {*map(type, records)} != {dict}:
            return False
        if len(self._find_names(block)) != len(records) * self._num_names:
            return False
        try:
            for field in self._wanted:
                for record in records:
                    if field not in record:
                        get_field(record, field)
        except RejectedSequence:
            return False
        return True

    def _one(self, line: bytes) -> Record | RejectedSequence | None:
        try:
            return self._checked(line, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            return self._tolerated(line, error) if line.strip() else None

    def _checked(self, line: bytes, record: Any) -> Record | RejectedSequence:
        if type(record) is not dict:
            return _not_an_object(record)
        return self._repeated(line) or record

    def _tolerated(self, line: bytes, error: orjson.JSONDecodeError) -> Record | RejectedSequence:
        """A record that Python would read too and whose wanted fields are numbers; else why it is rejected.

        NaN, Infinity, numbers beyond float64 and halves of surrogate pairs may stand in fields that nobody
        asks for; encoders refuse such text where they meet it.
        """
        try:
            text = line.decode()
        except UnicodeDecodeError as decode_error:
            return RejectedSequence("invalid UTF-8", str(decode_error))

        def number(text: str) -> float:
            value = float(text)
            return value if math.isfinite(value) else _NoNumber(text)

        try:
            record = json.loads(text, parse_float=number, parse_constant=_NoNumber)
        except (ValueError, RecursionError):
            return RejectedSequence("not valid JSON", f"{error}; expected one object a line")
        if type(record) is not dict:
            return _not_an_object(record)
        for field in self._fields:
            if found := _constant_in(record, field):
                return RejectedSequence("NaN or Infinity", f"{found} in the field {field}")
        return self._repeated(line) or record

    def _repeated(self, line: bytes) -> RejectedSequence | None:
        """The reject of an object in which a wanted field occurs twice, at any depth of its path."""
        names = self._find_names(line)
        if len(names) == len(set(names)):
            return None
        wanted = {part for field in self._fields for part in (field, *field.split("."))}
        found: list[str] = []

        def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            record = dict(pairs)
            if len(record) < len(pairs):
                names = [name for name, _ in pairs]
                found.extend(name for name in record if name in wanted and names.count(name) > 1)
            return record

        try:
            json.loads(line, object_pairs_hook=checked)
        except (ValueError, RecursionError) as error:
            return RejectedSequence("not valid JSON", str(error))
        return RejectedSequence("a field occurs twice", ", ".join(sorted(set(found)))) if found else None


def _is_cut(block: bytes) -> bool:
    """Whether the last line of a block has neither its newline nor all of its object."""
    if block.endswith(b"\n"):
        return False
    try:
        orjson.loads(last := block[block.rfind(b"\n") + 1 :])
    except orjson.JSONDecodeError:
        return last.lstrip().startswith(b"{")
    return False


def _not_an_object(value: object) -> RejectedSequence:
    return RejectedSequence(
        "not a JSON object", f"the line holds a {type(value).__name__}; expected one object a line"
    )


class _NoNumber(float):
    """NaN or an infinity that stood in a JSON text."""

    def __new__(cls, name: str) -> _NoNumber:
        return super().__new__(cls, name.replace("Infinity", "inf"))


def _constant_in(record: Record, field: str) -> str | None:
    """NaN or an infinity in a field of a record, at any depth; the field may be missing."""
    try:
        pending = [get_field(record, field)]
    except RejectedSequence:
        return None
    while pending:
        value = pending.pop()
        if isinstance(value, _NoNumber):
            return str(float(value)).replace("nan", "NaN").replace("inf", "Infinity")
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return None
