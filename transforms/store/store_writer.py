"""Writing one Arrow file of the sequence store, with a bounded amount of it in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.store.length_index import index_schema
from seqmill.transforms.store.record_batches import list_type, store_schema

CODE_VERSION = 2  # raised when the same arrays would give other bytes
RECORD_BATCH_BYTES = 32_000_000


class StoreWriter:
    """Collects rows into record batches and writes them.

    Args:
        file: Open for writing bytes.
        data_keys: What the columns hold.
        has_tags: Whether rows have a tag of their own (else: a position in their source).
    """

    def __init__(self, file: Any, data_keys: Mapping[str, ArraySpec], has_tags: bool):
        self.data_keys = data_keys
        self.has_tags = has_tags
        self.batch_rows: list[int] = []
        self._file = HashingFile(file)
        self._schema = store_schema(data_keys, has_tags)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._file, "w"), self._schema)
        self._index: list[pa.RecordBatch] = []
        self._pending: list[tuple[dict[str, Ragged], list[Any]]] = []
        self._pending_bytes = 0

    @property
    def xxh128(self) -> str:
        """Hash of the file's bytes, after ``close``."""
        return self._file.xxh128

    @property
    def num_bytes(self) -> int:
        """Size of the file, after ``close``."""
        return self._file.size

    @property
    def index(self) -> pa.Table:
        """The file's part of the length index, after ``close``."""
        return pa.Table.from_batches(self._index, index_schema(self.data_keys, self.has_tags))

    def append(self, arrays: Mapping[str, Ragged], tags: Sequence[Any]) -> None:
        """Adds rows.

        A record batch stays below twice ``RECORD_BATCH_BYTES``, or holds one row: its offsets have 32 bits.

        Args:
            arrays: Per data key the rows' arrays; none is longer than ``ragged.LONGEST``.
            tags: Their tags (str) or positions (int).
        """
        num_bytes = _num_bytes(arrays, tags, self.has_tags)
        if num_bytes > RECORD_BATCH_BYTES and len(tags) > 1:
            half = len(tags) // 2
            self.append(*_rows(arrays, tags, 0, half))
            self.append(*_rows(arrays, tags, half, len(tags)))
            return
        if self._pending_bytes + num_bytes > 2 * RECORD_BATCH_BYTES:
            self._flush()
        self._pending.append((dict(arrays), list(tags)))
        self._pending_bytes += num_bytes
        if self._pending_bytes >= RECORD_BATCH_BYTES:
            self._flush()

    def close(self) -> None:
        """Writes what is left and the Arrow footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._pending:
            return
        tags = [tag for _, block in self._pending for tag in block]
        columns, index = [], []
        for key, spec in self.data_keys.items():
            parts = [arrays[key] for arrays, _ in self._pending]
            lengths = np.concatenate([part.lengths for part in parts]).astype(np.int32)
            values = np.concatenate([part.values for part in parts]).astype(spec.elements, copy=False)
            columns.append(_list_array(values, lengths, spec))
            index.append(pa.array(lengths))
        columns.append(pa.array(tags, self._schema.field(len(columns)).type))
        sizes = [len(tag.encode()) for tag in tags] if self.has_tags else tags
        index.append(pa.array(sizes, pa.int32()))
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self._index.append(
            pa.RecordBatch.from_arrays(index, schema=index_schema(self.data_keys, self.has_tags))
        )
        self.batch_rows.append(len(tags))
        self._pending, self._pending_bytes = [], 0


def _num_bytes(arrays: Mapping[str, Ragged], tags: Sequence[Any], has_tags: bool) -> int:
    values = sum(ragged.values.nbytes for ragged in arrays.values())
    return values + (sum(map(len, tags)) if has_tags else 0)


def _rows(
    arrays: Mapping[str, Ragged], tags: Sequence[Any], first: int, last: int
) -> tuple[dict[str, Ragged], Sequence[Any]]:
    """Rows ``first`` … ``last`` - 1."""
    some = {}
    for key, ragged in arrays.items():
        start, end = (int(ragged.lengths[:row].sum(dtype=np.int64)) for row in (first, last))
        some[key] = Ragged(ragged.values[start:end], ragged.lengths[first:last])
    return some, tags[first:last]


def _list_array(values: np.ndarray, lengths: np.ndarray, spec: ArraySpec) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    kind = list_type(spec)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if spec.feature_shape:
        flat = pa.FixedSizeListArray.from_arrays(flat, type=kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=kind)
