"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import orjson

from seqmill.transforms.readers.lines import is_compressed, line_blocks, split_lines
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Record,
    Split,
    even_cuts,
    named_errors,
    single_file_split,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence


def split_jsonl(path: str, target_bytes: int) -> list[Split]:
    """Byte ranges of a plain file, found without reading it; a compressed file as a whole.

    Raises:
        SeqmillError: The file is missing or cannot be read.
    """
    with named_errors(path):
        files.open_read(path).close()
        if is_compressed(path):
            return [single_file_split("jsonl", path)]
        return [
            single_file_split("jsonl", path, start, end)
            for start, end in pairwise(even_cuts(files.size(path), target_bytes))
        ]


class JsonlReader:
    """Reads one split of a JSON lines file; blank lines have a position but no record."""

    def __init__(self, split: Split):
        self._split = split
        self.num_positions = 0

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (line, record or reject)."""
        split, loads, position = self._split, orjson.loads, 0
        try:
            for block in line_blocks(split.source, split.starts[0], split.ends[0]):
                for position, line in enumerate(split_lines(block), position):  # noqa: B020
                    try:
                        record = loads(line)
                    except orjson.JSONDecodeError as error:
                        if line.strip():
                            yield position, _rejected(line, error)
                        continue
                    yield position, record if type(record) is dict else _not_an_object(record)
                position += 1
        except DamagedFileError as error:
            yield position, RejectedSequence("file cut short", str(error))
            position += 1
        self.num_positions = position


def _rejected(line: bytes, error: orjson.JSONDecodeError) -> RejectedSequence:
    try:
        line.decode()
    except UnicodeDecodeError as decode_error:
        return RejectedSequence("invalid UTF-8", str(decode_error))
    return RejectedSequence("not valid JSON", str(error))


def _not_an_object(value: object) -> RejectedSequence:
    return RejectedSequence("not a JSON object", f"the line holds a value of type {type(value).__name__}")
