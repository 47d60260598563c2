"""Values of Arrow columns, row by row: numbers as NumPy arrays, everything else as Python objects."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def row_values(column: pa.Array) -> list[Any]:
    """The values of a column.

    Lists of numbers are arrays [n] (views of the column), lists of equally long lists of numbers arrays
    [n, width]; ragged ones, and ones with nulls inside, are Python lists. Structs are dicts. A null is
    ``None``.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        if column.type.extension_name == "arrow.uuid":
            return [None if value is None else str(value) for value in column.to_pylist()]
        return row_values(column.storage)
    if pa.types.is_dictionary(column.type):
        values = row_values(column.dictionary)
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if pa.types.is_struct(column.type):
        names = [column.type.field(index).name for index in range(column.type.num_fields)]
        children = [row_values(child) for child in column.flatten()]
        rows: list[Any] = [dict(zip(names, row)) for row in zip(*children)]  # noqa: B905 (costs time)
        return _with_nulls(column, rows)
    if _is_list(column.type):
        items = column.flatten()
        lengths = _lengths(column)
        ends = np.cumsum(lengths, dtype=np.int64)
        bounds = list(zip((ends - lengths).tolist(), ends.tolist(), strict=True))
        if _is_number(items.type) and items.null_count == 0:
            numbers = items.to_numpy(zero_copy_only=False)
            return _with_nulls(column, [numbers[start:end] for start, end in bounds])
        if _is_list(items.type) and _is_number(items.type.value_type) and items.null_count == 0:
            frames = items.flatten()
            if frames.null_count == 0:
                return _with_nulls(column, _matrices(items, frames, bounds))
        if pa.types.is_dictionary(items.type):
            shared = row_values(items)
            return _with_nulls(column, [shared[start:end] for start, end in bounds])
    return column.to_pylist()


def tensor_values(column: pa.Array, kind: pa.FixedShapeTensorType) -> list[Any]:
    """The values of a column of tensors that was read as lists: arrays of the tensors' (logical) shape.

    Raises:
        ValueError: A list has not as many values as the shape.
    """
    shape, order = tuple(kind.shape), kind.permutation
    size = int(np.prod(shape))
    rows: list[Any] = []
    for flat in row_values(column):
        if flat is None:
            rows.append(None)
            continue
        if len(flat) != size:
            raise ValueError(f"{len(flat)} values for a tensor of shape {shape}")
        tensor = np.asarray(flat).reshape(shape)
        rows.append(tensor if order is None else tensor.transpose(order))
    return rows


def plain_values(column: pa.Array) -> pa.Array:
    """A column whose text is no longer shared between rows."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _matrices(items: pa.Array, frames: pa.Array, bounds: list[tuple[int, int]]) -> list[Any]:
    numbers = frames.to_numpy(zero_copy_only=False)
    widths = _lengths(items)
    offsets = np.concatenate(([0], np.cumsum(widths, dtype=np.int64)))
    empty_width = items.type.list_size if pa.types.is_fixed_size_list(items.type) else 0
    rows: list[Any] = []
    for start, end in bounds:
        row_widths = widths[start:end]
        if (row_widths != row_widths[:1]).any():
            edges = offsets[start : end + 1].tolist()
            rows.append([numbers[a:b].tolist() for a, b in pairwise(edges)])
        else:
            width = int(row_widths[0]) if end > start else empty_width
            rows.append(numbers[offsets[start] : offsets[end]].reshape(end - start, width))
    return rows


def _lengths(lists: pa.Array) -> np.ndarray:
    return pc.list_value_length(lists).fill_null(0).to_numpy()


def _with_nulls(column: pa.Array, rows: list[Any]) -> list[Any]:
    if column.null_count == 0:
        return rows
    return [row if valid else None for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)]


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
