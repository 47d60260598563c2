"""Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from seqmill.transforms.readers.arrow_records import batch_records
from seqmill.transforms.readers.compression import GZIP, ZSTD, read_head
from seqmill.transforms.readers.file_kind import PARQUET, kind_of
from seqmill.transforms.readers.hugging_face import class_names
from seqmill.transforms.readers.parquet_footer import (
    chunks,
    find_broken_groups,
    footer_bytes,
    has_encrypted_columns,
    has_possible_rows,
    wanted_leaves,
)
from seqmill.transforms.readers.parquet_schema import (
    check_schema,
    column_names,
    holds_fixed_lists,
    tensors,
    without_arrow_schema,
)
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

_BATCH_BYTES = 1 << 24
_LARGE_BYTES = 1 << 28  # text that a dictionary page may stand for before it is cared about
_DICTIONARY_BYTES = 1 << 20  # largest dictionary page that writers make
_SHARED_VALUE_BYTES = 16  # values of fewer bytes each in the file are mostly repeated ones
_MOST_BATCHES = 20_000  # to read a broken row group in once more
_VALUE_BYTES = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}


def split_parquet(
    path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str] = ()
) -> list[Split]:
    """Runs of row groups with about ``target_bytes`` of uncompressed data each.

    Args:
        path: The file.
        target_bytes: Size of a split.
        options: How the file is read.
        fields: Dotted names of the fields that it must have.

    Raises:
        SeqmillError: The file is missing, no Parquet file, or lacks a field.
    """
    with _open(path) as (file, _):
        check_schema(path, file.schema_arrow, fields)
        metadata = file.metadata
        sizes = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    splits, start, size = [], 0, 0
    for end, group_size in enumerate(sizes, 1):
        size += group_size
        if size >= target_bytes or end == len(sizes):
            splits.append(single_file_split("parquet", path, options, start, end))
            start, size = end, 0
    return splits or [single_file_split("parquet", path, options, 0, 0)]


def declared_labels(path: str, field: str) -> tuple[str, ...] | None:
    """The names of the classes of a Hugging Face ``ClassLabel``. Raises SeqmillError."""
    with _open(path) as (file, _):
        return class_names(path, file.schema_arrow, field)


def field_names(path: str) -> list[str]:
    """The columns of a file. Raises SeqmillError."""
    with _open(path) as (file, _):
        return list(file.schema_arrow.names)


class ParquetReader(Reader):
    """Reads one split of a Parquet file; the columns that hold the given fields, no others.

    Values are as ``row_values`` gives them: lists of numbers are NumPy arrays, tensors keep their shape.
    Of a broken row group the rows before the damage are read; how many there are behind it is known from the
    footer.

    Args:
        split: What to read.
        fields: Dotted names of the fields that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._fields = list(fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (row, record or reject)."""
        position = 0
        with _open(self.split.source) as (whole, source):
            shapes = tensors(whole.schema_arrow)
            columns = column_names(whole.schema_arrow, self._fields)
            groups = range(self.split.starts[0], self.split.ends[0] or whole.metadata.num_row_groups)
            self.num_records = sum(whole.metadata.row_group(group).num_rows for group in groups)
            self.num_positions = self.num_records
            leaves = wanted_leaves(whole, columns)
            broken = find_broken_groups(whole, groups, leaves)
            file = _reopened(
                whole, source, columns, [group for group in groups if group not in broken], leaves
            )
            for group in groups:
                for item in (
                    _items(file, group, columns, leaves, self.split.options)
                    if group not in broken
                    else _rejected(whole, group, broken[group])
                ):
                    if isinstance(item, RejectedSequence):
                        yield position, item
                        position += item.count
                        continue
                    self.num_bytes += item.nbytes
                    is_shared = any(pa.types.is_dictionary(kind) for kind in item.schema.types)
                    for record in batch_records(item, shapes, self.split.options):
                        if is_shared and isinstance(record, dict):
                            self.num_bytes += _text_bytes(record)
                        yield position, record
                        position += 1


@contextmanager
def _open(path: str) -> Iterator[tuple[pq.ParquetFile, IO[bytes]]]:
    head = read_head(path, 512)
    kind = kind_of(head)
    if head.startswith(GZIP.magic + ZSTD.magic):
        kind = "compressed as a whole"
    if kind is not None and not head.startswith(PARQUET):
        raise SeqmillError(f"{path}: this is {kind}; format parquet expects a Parquet file")
    with named_errors(path), files.open_read(path) as source:
        try:
            file = pq.ParquetFile(source, page_checksum_verification=True)
            file.schema_arrow  # noqa: B018 (reads the schema)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise
            raise SeqmillError(f"{path}: not a readable Parquet file ({one_line(error)})") from None
        if has_encrypted_columns(file, source):
            raise SeqmillError(f"{path}: it has encrypted columns; decrypt the file first")
        if not has_possible_rows(file):
            raise SeqmillError(
                f"{path}: not a readable Parquet file (impossible numbers of rows in its footer)"
            )
        yield file, source


def _reopened(
    file: pq.ParquetFile,
    source: IO[bytes],
    columns: Sequence[str],
    groups: Sequence[int],
    leaves: Sequence[int],
) -> pq.ParquetFile:
    """The file opened in the way that its wanted columns need."""
    metadata = None
    if holds_fixed_lists(file.schema_arrow, columns):
        size = footer_bytes(source)
        source.seek(-8 - size, 2)
        metadata = without_arrow_schema(source.read(size + 8))
    shared = {
        chunk.path_in_schema
        for group in groups
        for chunk in chunks(file, group, leaves)
        if _may_expand(chunk) and chunk.total_uncompressed_size < _SHARED_VALUE_BYTES * chunk.num_values
    }
    if metadata is None and not shared:
        return file
    return pq.ParquetFile(
        source, metadata=metadata, read_dictionary=sorted(shared), page_checksum_verification=True
    )


def _rejected(file: pq.ParquetFile, group: int, problem: str) -> Iterator[RejectedSequence]:
    """The reject of a row group of whose rows none can be read."""
    num_rows = file.metadata.row_group(group).num_rows
    if num_rows:
        detail = f"row group {group}, {num_rows:,} rows: {problem}"
        yield RejectedSequence("broken record", detail, num_rows)


def _items(
    file: pq.ParquetFile, group: int, columns: list[str], leaves: list[int], options: ReadOptions
) -> Iterator[pa.RecordBatch | RejectedSequence]:
    """The rows of a group in batches, and rejects for those that are lost; together as many as it has."""
    num_rows, num_bytes = file.metadata.row_group(group).num_rows, _num_bytes(file, group, leaves)
    if num_rows and num_bytes > num_rows * options.max_record_size:
        reject = options.too_large(f"row group {group}, {num_rows:,} rows", num_bytes)
        yield RejectedSequence(reject.reason, reject.detail, num_rows)
        return
    size, done = max(1, min(num_rows, num_rows * _BATCH_BYTES // max(1, num_bytes))), 0
    if any(map(_may_expand, chunks(file, group, leaves))):
        size = min(size, 4 * _LARGE_BYTES // _DICTIONARY_BYTES)
    while done < num_rows:
        start = 0
        try:
            # Threads would take the processors from the other workers.
            for batch in file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                end = start + batch.num_rows
                if end > done:
                    yield batch.slice(done - start) if start < done else batch
                    done = end
                start = end
            problem = f"it holds {done:,} rows"
        except (pa.ArrowException, OSError) as error:
            if not is_damage(error):
                raise
            problem = one_line(error)
            smaller = max(1, done // _MOST_BATCHES, size // 16)
            if smaller < size:
                size = smaller
                continue
        if done < num_rows:
            detail = f"row group {group}, rows {done + 1:,} to {num_rows:,} of {num_rows:,}: {problem}"
            yield RejectedSequence("broken record", detail, num_rows - done)
            return


def _text_bytes(record: Record) -> int:
    return sum(len(value) for value in record.values() if isinstance(value, str | bytes))


def _num_bytes(file: pq.ParquetFile, group: int, leaves: list[int]) -> int:
    """Bytes that the wanted values of a row group take at least."""
    return sum(
        max(chunk.total_uncompressed_size, chunk.num_values * _VALUE_BYTES.get(chunk.physical_type, 1))
        for chunk in chunks(file, group, leaves)
    )


def _may_expand(chunk: Any) -> bool:
    """Whether a part of a column may hold far more text than its size says."""
    is_text = chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page
    return bool(is_text and chunk.num_values * chunk.total_uncompressed_size > _LARGE_BYTES)
