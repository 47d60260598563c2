"""Rows of Arrow record batches as records, or rejects of those that cannot be one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from seqmill.transforms.readers.arrow_values import plain_values, row_values, tensor_values
from seqmill.transforms.readers.split import ReadOptions, Record
from seqmill.transforms.storage.errors import RejectedSequence


def batch_records(
    batch: pa.RecordBatch, shapes: dict[str, pa.FixedShapeTensorType], options: ReadOptions
) -> Iterator[Record | RejectedSequence]:
    """The rows of a batch as records; values are as ``row_values`` gives them.

    Args:
        batch: The rows.
        shapes: Which columns hold tensors, and of which shape.
        options: Of which ``max_record_size`` is heeded.
    """
    names = batch.schema.names
    if not names:
        return ({} for _ in range(batch.num_rows))
    if batch.nbytes > options.max_record_size:
        return _one_by_one(batch, shapes, options)
    try:
        rows = zip(*_values(batch, shapes), strict=True)
    except (ValueError, OverflowError, pa.ArrowException):
        return _one_by_one(batch, shapes, options)
    # strict=True would double the time of making a record.
    return (dict(zip(names, values)) for values in rows)  # noqa: B905


def _one_by_one(
    batch: pa.RecordBatch, shapes: dict[str, pa.FixedShapeTensorType], options: ReadOptions
) -> Iterator[Record | RejectedSequence]:
    for index in range(batch.num_rows):
        row = batch.slice(index, 1)
        row = pa.RecordBatch.from_arrays([plain_values(column) for column in row.columns], batch.schema.names)
        if row.nbytes > options.max_record_size:
            yield options.too_large("a row", row.nbytes)
            continue
        try:
            yield {name: value for name, (value,) in zip(row.schema.names, _values(row, shapes), strict=True)}
        except UnicodeDecodeError as error:
            yield RejectedSequence("invalid UTF-8", str(error))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            yield RejectedSequence("unreadable value", str(error))


def _values(batch: pa.RecordBatch, shapes: dict[str, pa.FixedShapeTensorType]) -> list[list[Any]]:
    return [
        tensor_values(column, shapes[name]) if name in shapes else row_values(column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
