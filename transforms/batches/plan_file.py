"""A planned epoch as a file that workers map: one row per batch, its sequences and their chunks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.planning.plan import EpochPlan
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.store.arrow_file import ArrowFile


@dataclass(frozen=True)
class PlannedBatches:
    """Consecutive batches of a planned epoch.

    Attributes:
        first_batch: The first of them, counted over the epoch.
        seq_index: Row in the store of every entry, int64 [n].
        chunk: Number of the chunk of every entry in its sequence, int64 [n].
        batch_starts: First entry of every batch, from 0, and n, int64 [batches + 1].
    """

    first_batch: int
    seq_index: np.ndarray
    chunk: np.ndarray
    batch_starts: np.ndarray


def planned_batches(plan: EpochPlan, segment: Segment) -> PlannedBatches:
    """The batches of a segment, from the plan itself."""
    batch_starts = plan.batch_starts[segment.first_batch : segment.last_batch + 1]
    entries = slice(int(batch_starts[0]), int(batch_starts[-1]))
    seq_index = plan.seq_index[entries].astype(np.int64)
    chunk = np.zeros(len(seq_index), np.int64) if plan.chunk is None else plan.chunk[entries].astype(np.int64)
    return PlannedBatches(segment.first_batch, seq_index, chunk, batch_starts - batch_starts[0])


def write_plan(folder: str, plan: EpochPlan) -> None:
    """Writes the plan of an epoch into a corpus folder."""
    write_plan_file(output_folder.plan_path(folder, plan.epoch), plan)


def write_plan_file(path: str, plan: EpochPlan) -> None:
    """Writes the plan of an epoch."""
    with files.write_atomically(path) as file:
        _write(plan, file)


def plan_checksum(plan: EpochPlan) -> Checksum:
    """Size and hash of the file that ``write_plan`` writes."""
    with Path(os.devnull).open("wb") as nowhere:
        sink = HashingFile(nowhere)
        _write(plan, pa.PythonFile(sink, "w"))
    return Checksum(sink.size, sink.xxh128)


def read_plan(folder: str, segment: Segment) -> PlannedBatches:
    """The batches of a segment from its epoch's plan in a corpus folder.

    Raises:
        SeqmillError: The plan is not the one that the segment was cut from, or is no plan.
    """
    return read_batches(folder, segment.epoch, segment.plan, segment.first_batch, segment.last_batch)


def read_batches(folder: str, epoch: int, expected: Checksum, first: int, last: int) -> PlannedBatches:
    """Batches ``first`` … ``last`` - 1 of an epoch from its plan, of which ``expected`` is recorded.

    Raises:
        SeqmillError: As ``read_plan``.
    """
    path = output_folder.plan_path(folder, epoch)
    file = ArrowFile(path, map_checked(path, expected))
    batch = file.batch(0)
    if batch.schema not in _SCHEMAS:
        raise SeqmillError(f"{path}: not the plan of an epoch")
    seq_index = batch["seq_index"].values.to_numpy()
    offsets = file.offsets(batch["seq_index"], len(seq_index))[first : last + 1]
    if len(offsets) != last - first + 1 or (np.diff(offsets) < 1).any():
        raise SeqmillError(f"{path}: no batches {first} to {last}")
    entries = slice(int(offsets[0]), int(offsets[-1]))
    chunk = np.zeros(entries.stop - entries.start, np.int64)
    if "chunk" in batch.schema.names:
        chunks = batch["chunk"].values.to_numpy()
        if not batch["chunk"].offsets.equals(batch["seq_index"].offsets):
            raise SeqmillError(f"{path}: chunks and sequences differ in number")
        chunk = chunks[entries].astype(np.int64)
    return PlannedBatches(first, seq_index[entries].astype(np.int64), chunk, offsets - offsets[0])


def _write(plan: EpochPlan, sink: Any) -> None:
    offsets = pa.array(plan.batch_starts.astype(np.int64))
    values = {"seq_index": pa.array(plan.seq_index)}
    if plan.chunk is not None:
        values["chunk"] = pa.array(plan.chunk)
    columns = {name: pa.LargeListArray.from_arrays(offsets, column) for name, column in values.items()}
    schema = pa.schema([pa.field(name, column.type) for name, column in columns.items()])
    batch = pa.RecordBatch.from_arrays([*columns.values()], schema=schema)
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch)


# Rows of a store of more than 2**31 sequences have 64 bits.
_CHUNK = pa.field("chunk", pa.large_list(pa.int32()))
_SCHEMAS = [
    pa.schema([pa.field("seq_index", pa.large_list(kind)), *chunk])
    for kind in (pa.int32(), pa.int64())
    for chunk in ((), (_CHUNK,))
]
