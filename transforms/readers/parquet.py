"""Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from seqmill.transforms.readers.arrow_values import row_values
from seqmill.transforms.readers.split import Record, Split, is_damage, named_errors, single_file_split
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_BATCH_BYTES = 1 << 24


def split_parquet(path: str, target_bytes: int) -> list[Split]:
    """Runs of row groups with about ``target_bytes`` of uncompressed data each.

    Raises:
        SeqmillError: The file is missing or no Parquet file.
    """
    with _open(path) as file:
        sizes = [_num_bytes(file, group) for group in range(file.metadata.num_row_groups)]
    splits, start, size = [], 0, 0
    for end, group_size in enumerate(sizes, 1):
        size += group_size
        if size >= target_bytes or end == len(sizes):
            splits.append(single_file_split("parquet", path, start, end))
            start, size = end, 0
    return splits


class ParquetReader:
    """Reads one split of a Parquet file; the columns that hold the given fields, no others.

    Values are as ``row_values`` gives them: lists of numbers are NumPy arrays.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        self._split = split
        self._fields = list(fields)
        self.num_positions = 0

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (row, record or reject)."""
        position = 0
        with _open(self._split.source) as file:
            groups = range(self._split.starts[0], self._split.ends[0] or file.metadata.num_row_groups)
            self.num_positions = sum(file.metadata.row_group(group).num_rows for group in groups)
            try:
                for group in groups:
                    for batch in _batches(file, group, self._fields):
                        for record in _records(batch):
                            yield position, record
                            position += 1
            except (pa.ArrowException, OSError) as error:
                if not is_damage(error):
                    raise
                yield position, RejectedSequence("broken record", f"row group {group}: {error}")


@contextmanager
def _open(path: str) -> Iterator[pq.ParquetFile]:
    with named_errors(path), files.open_read(path) as source:
        try:
            file = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            raise SeqmillError(f"{path}: not a readable Parquet file ({error})") from None
        yield file


def _batches(file: pq.ParquetFile, group: int, fields: list[str]) -> Iterator[pa.RecordBatch]:
    num_rows = file.metadata.row_group(group).num_rows
    rows = num_rows * _BATCH_BYTES // max(1, _num_bytes(file, group))
    batch_size = min(max(1, rows), max(1, num_rows))
    # Threads would take the processors from the other workers.
    return file.iter_batches(batch_size, row_groups=[group], columns=fields, use_threads=False)


def _records(batch: pa.RecordBatch) -> Iterator[Record]:
    names = batch.schema.names
    if not names:
        return ({} for _ in range(batch.num_rows))
    rows = zip(*map(row_values, batch.columns), strict=True)
    # strict=True would double the time of making a record.
    return (dict(zip(names, values)) for values in rows)  # noqa: B905


def _num_bytes(file: pq.ParquetFile, group: int) -> int:
    return file.metadata.row_group(group).total_byte_size
