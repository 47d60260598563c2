"""Arrow files and streams, as Hugging Face's ``save_to_disk`` and others write them, by record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from seqmill.transforms.readers.arrow_records import batch_records
from seqmill.transforms.readers.file_kind import ARROW_FILE, ARROW_STREAM, check_magic
from seqmill.transforms.readers.hugging_face import check_listed, class_names
from seqmill.transforms.readers.parquet_schema import check_schema, tensors
from seqmill.transforms.readers.split import (
    Reader,
    ReadOptions,
    Record,
    Split,
    is_damage,
    named_errors,
    one_line,
    single_file_split,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_END = ARROW_STREAM + bytes(4)
_SLICE_BYTES = 1 << 24


def split_arrow(
    path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str] = ()
) -> list[Split]:
    """Runs of record batches with about ``target_bytes`` each.

    Args:
        path: A file or a stream.
        target_bytes: Size of a split.
        options: How it is read.
        fields: Dotted names of the fields that it must have.

    Raises:
        SeqmillError: It is missing, not Arrow data, or lacks a field.
    """
    check_listed(path)
    cuts: list[int] = [0]
    with _open(path) as source:
        check_schema(path, source.schema, fields)
        size = number = 0
        for number, batch in enumerate(source.batches(), 1):
            size += 0 if isinstance(batch, _Lost) else batch.nbytes
            if size >= target_bytes:
                cuts.append(number)
                size = 0
    if len(cuts) > 1 and cuts[-1] == number:
        cuts.pop()
    ends = [*cuts[1:], None]
    return [
        single_file_split("arrow", path, options, start, end) for start, end in zip(cuts, ends, strict=True)
    ]


def declared_labels(path: str, field: str) -> tuple[str, ...] | None:
    """The names of the classes of a Hugging Face ``ClassLabel``. Raises SeqmillError."""
    with _open(path) as source:
        return class_names(path, source.schema, field)


def field_names(path: str) -> list[str]:
    """The columns of a file. Raises SeqmillError."""
    with _open(path) as source:
        return list(source.schema.names)


class ArrowReader(Reader):
    """Reads a run of record batches; the columns that hold the given fields, no others.

    Everything in a batch that leads to bytes is checked before they are touched. A row that cannot be read is
    rejected; of a batch that cannot be, nobody knows the rows, and the source is damaged.

    Args:
        split: What to read.
        fields: Dotted names of the fields that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._fields = list(fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (row, record or reject)."""
        position, first, end = 0, self.split.starts[0], self.split.ends[0]
        with _open(self.split.source) as source:
            wanted = {
                field if field in source.schema.names else field.split(".")[0] for field in self._fields
            }
            columns = [name for name in source.schema.names if name in wanted]
            shapes = tensors(source.schema)
            for batch in source.batches(first, end):
                if isinstance(batch, _Lost):
                    self.lose(batch.detail)
                    continue
                for record in self._records(batch.select(columns), shapes):
                    yield position, record
                    position += 1
        self.num_positions = self.num_records = position

    def _records(self, batch: pa.RecordBatch, shapes: dict[str, Any]) -> Iterator[Record | RejectedSequence]:
        is_valid = _problem(batch) is None
        rows = max(1, batch.num_rows * _SLICE_BYTES // max(1, batch.nbytes)) if is_valid else 1
        for start in range(0, batch.num_rows, rows):
            part = batch.slice(start, rows)
            if not is_valid and (problem := _problem(part)) is not None:
                yield RejectedSequence("broken record", problem)
                continue
            self.num_bytes += part.nbytes
            yield from batch_records(part, shapes, self.split.options)


@dataclass(frozen=True)
class _Lost:
    """A record batch, or what may have been some, that cannot be read; ``detail`` says why."""

    detail: str


class _Source:
    """Record batches of a file or a stream that is mapped.

    Attributes:
        schema: Their schema.
    """

    def __init__(self, path: str, content: np.ndarray):
        self._path, self._content = path, content
        self._is_file = content[: len(ARROW_FILE)].tobytes() == ARROW_FILE
        self._buffer = pa.BufferReader(pa.py_buffer(content))
        self._reader: Any = (
            pa.ipc.open_file(self._buffer) if self._is_file else pa.ipc.open_stream(self._buffer)
        )
        self.schema: pa.Schema = self._reader.schema

    def batches(self, first: int = 0, end: int | None = None) -> Iterator[pa.RecordBatch | _Lost]:
        """Yields the batches [first, end), and why one is lost; what follows it may be intact."""
        last = 1 << 62 if end is None else end
        if self._is_file:
            last = min(last, self._reader.num_record_batches)
        for number in range(first if self._is_file else 0, last):
            before = self._buffer.tell()
            try:
                batch = self._reader.get_batch(number) if self._is_file else self._reader.read_next_batch()
            except StopIteration:
                if (problem := self._behind_end()) is not None:
                    yield problem
                return
            except (pa.ArrowException, OSError, MemoryError) as error:
                if isinstance(error, OSError) and not is_damage(error):
                    raise
                batch = _Lost(f"record batch {number} cannot be read ({one_line(error)})")
            if number >= first:
                yield batch
            if isinstance(batch, _Lost) and not self._is_file and self._buffer.tell() <= before:
                return

    def _behind_end(self) -> _Lost | None:
        """What is lost where batches end, if anything is."""
        at = self._buffer.tell()
        if self._content[max(0, at - len(_END)) : at].tobytes() != _END:
            return _Lost(f"cut short: no mark of the stream's end at byte {at:,}")
        if self._content[at:].any():
            return _Lost(f"{len(self._content) - at:,} bytes behind the stream's end")
        return None


@contextmanager
def _open(path: str) -> Iterator[_Source]:
    check_magic(path, (ARROW_FILE, ARROW_STREAM), "arrow", "an Arrow file or stream")
    with named_errors(path):
        content = files.map_bytes(path)
    try:
        source = _Source(path, content)
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise SeqmillError(f"{path}: not readable Arrow data ({one_line(error)})") from None
    yield source


def _problem(batch: pa.RecordBatch) -> str | None:
    """Why rows cannot be read: offsets, sizes or text of theirs that lead to no values."""
    try:
        batch.validate(full=True)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        return one_line(error)
    return None
