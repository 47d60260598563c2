"""A planned epoch as a file that workers map: one row per batch, its sequences and their chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.planning.plan import EpochPlan
from seqmill.transforms.storage import files, output_folder


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


def write_plan(folder: str, plan: EpochPlan) -> None:
    """Writes the plan of an epoch into a corpus folder."""
    offsets = pa.array(plan.batch_starts.astype(np.int64))
    columns = {"seq_index": pa.LargeListArray.from_arrays(offsets, pa.array(plan.seq_index))}
    if plan.chunk is not None:
        columns["chunk"] = pa.LargeListArray.from_arrays(offsets, pa.array(plan.chunk.astype(np.int32)))
    batch = pa.RecordBatch.from_pydict(columns)
    path = output_folder.plan_path(folder, plan.epoch)
    with files.write_atomically(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def read_plan(folder: str, segment: Segment) -> PlannedBatches:
    """The batches of a segment from its epoch's plan in a corpus folder, without reading the others."""
    mapped = files.map_bytes(output_folder.plan_path(folder, segment.epoch))
    batch = pa.ipc.open_file(pa.py_buffer(mapped)).get_batch(0)
    offsets = batch["seq_index"].offsets.to_numpy()[segment.first_batch : segment.last_batch + 1]
    start, end = int(offsets[0]), int(offsets[-1])
    seq_index = batch["seq_index"].values.to_numpy()[start:end]
    if "chunk" in batch.schema.names:
        chunk = batch["chunk"].values.to_numpy()[start:end].astype(np.int64)
    else:
        chunk = np.zeros(end - start, np.int64)
    return PlannedBatches(segment.first_batch, seq_index, chunk, offsets - start)
