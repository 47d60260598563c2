"""Arrow files of ours: what they say of themselves is checked before memory is touched with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from seqmill.transforms.storage.errors import SeqmillError


class ArrowFile:
    """An Arrow file that is mapped.

    Args:
        path: Its path, for messages.
        content: Its bytes, uint8 [n].
        schema: What its columns must be; None where the caller looks itself.
        batch_rows: How many rows each record batch must have; None where that is not known.

    Raises:
        SeqmillError: It is no Arrow file, or another than expected.
    """

    def __init__(
        self,
        path: str,
        content: np.ndarray,
        schema: pa.Schema | None = None,
        batch_rows: tuple[int, ...] | None = None,
    ):
        self._path = path
        self._batch_rows = batch_rows
        with self._errors():
            self._reader: Any = pa.ipc.open_file(pa.py_buffer(content))
            if schema is not None and not self._reader.schema.equals(schema):
                raise SeqmillError(f"{path}: its columns are not those expected")
            if batch_rows is not None and self._reader.num_record_batches != len(batch_rows):
                raise SeqmillError(
                    f"{path}: {self._reader.num_record_batches} record batches, expected {len(batch_rows)}"
                )

    def batch(self, number: int) -> pa.RecordBatch:
        """A record batch; buffers are as large as its lengths ask for. Raises SeqmillError."""
        with self._errors():
            batch = self._reader.get_batch(number)
            batch.validate()
            if self._batch_rows is not None and batch.num_rows != self._batch_rows[number]:
                raise SeqmillError(
                    f"{self._path}: record batch {number} has {batch.num_rows} rows, expected "
                    f"{self._batch_rows[number]}"
                )
            if any(column.null_count or column.offset for column in batch.columns):
                raise SeqmillError(f"{self._path}: record batch {number} has missing values")
        return batch

    def offsets(self, column: pa.Array, num_values: int) -> np.ndarray:
        """Where the rows of a column of lists or strings begin, and the last ends, [rows + 1].

        Raises:
            SeqmillError: They run backwards, or out of the column's ``num_values`` values.
        """
        if isinstance(column, pa.StringArray):
            _, buffer, _ = column.buffers()
            offsets = np.frombuffer(buffer, np.int32)[: len(column) + 1]
        else:
            offsets = column.offsets.to_numpy()
        if len(offsets) != len(column) + 1 or offsets[0] < 0 or offsets[-1] > num_values:
            raise SeqmillError(f"{self._path}: offsets lead out of the values")
        if (offsets[1:] < offsets[:-1]).any():
            raise SeqmillError(f"{self._path}: offsets run backwards")
        return offsets

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise SeqmillError(f"{self._path}: not an intact Arrow file ({error})") from None
