"""The length index of a store, or a task's part of it: an Arrow file with a row per sequence.

Columns are ``lengths/<key>`` per data key, and what the tags' sizes follow from: ``tag_size`` where tags are
stored, else ``position`` in the part of the source that the task read; all int32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum, map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.store.arrow_file import ArrowFile


def index_schema(data_keys: Mapping[str, ArraySpec], has_tags: bool) -> pa.Schema:
    """Columns of the length index."""
    fields = [pa.field(f"lengths/{key}", pa.int32(), nullable=False) for key in data_keys]
    fields.append(pa.field("tag_size" if has_tags else "position", pa.int32(), nullable=False))
    return pa.schema(fields)


def read_index(path: str, expected: Checksum, schema: pa.Schema, num_rows: int) -> dict[str, np.ndarray]:
    """Columns of a length index, mapped, int32 [N].

    Args:
        path: The file.
        expected: What is recorded of it.
        schema: Its columns.
        num_rows: Its rows.

    Raises:
        SeqmillError: It is not there, or not what it should be.
    """
    batch_rows = (num_rows,) if num_rows else ()
    file = ArrowFile(path, map_checked(path, expected), schema, batch_rows)
    if not num_rows:
        return {name: np.empty(0, np.int32) for name in schema.names}
    batch = file.batch(0)
    columns = {name: batch[name].to_numpy() for name in schema.names}
    for name, column in columns.items():
        if column.min() < int(name.startswith("lengths/")):
            raise SeqmillError(f"{path}: {name} holds {column.min()}")
    return columns


def write_index(path: str, table: pa.Table) -> Checksum:
    """Writes a length index in one record batch, so that its columns are contiguous when mapped."""
    with files.write_atomically(path) as file:
        sink = HashingFile(file)
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema) as writer:
            for batch in table.combine_chunks().to_batches():
                writer.write_batch(batch)
    return Checksum(sink.size, sink.xxh128)
