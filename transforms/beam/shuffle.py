"""Moving sequences to the shards that need them through the runner's own shuffle (``exchange = "shuffle"``).

For clusters whose workers cannot each reach the whole store: every record batch of the store is read by one
worker, which sends each shard the sequences that it needs. The shards' bytes are those of ``gather``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import apache_beam as beam
import numpy as np
import pyarrow as pa

from seqmill.transforms.batches.plan_file import read_plan
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.batches.write_shards import WriteShards, open_store
from seqmill.transforms.beam.step import Part, Step, attempt
from seqmill.transforms.beam.tasks import Outcome, RunTasks
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Block, Store, key_block, stored_tags

_PIECE_BYTES = 4_000_000

# What travels to a shard: sequences as an Arrow stream, or why they could not be read.
_Piece = bytes | str

# A segment: the number of its part and its index there.
_Shard = tuple[int, int]


class ShuffleShards(RunTasks):
    """Writes segments like ``RunTasks(step)``, their sequences brought by a shuffle.

    Args:
        step: The shards to write; the work of its parts is ``WriteShards``.
        nums_blocks: Per part the record batches of its store.
    """

    def __init__(self, step: Step, nums_blocks: Sequence[int]):
        super().__init__(step)
        self.nums_blocks = nums_blocks

    def outcomes(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """See RunTasks."""
        parts = self.step.parts
        blocks = [
            (number, block)
            for number, num_blocks in enumerate(self.nums_blocks)
            for block in range(num_blocks if parts[number].tasks else 0)
        ]
        segments = {
            (number, segment.index): segment for number, part in enumerate(parts) for segment in part.tasks
        }
        return (
            pbegin
            | "Blocks" >> beam.Create(blocks, reshuffle=True)
            | "Send" >> beam.FlatMap(_send, parts).with_output_types(tuple[_Shard, _Piece])
            | "Bring" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, self.parts, segments, self.step.run_id).with_output_types(Outcome)
        )


@dataclass(frozen=True)
class BroughtSequences:
    """The sequences of one segment as a shuffle brought them; a source for ``Gatherer``.

    Attributes:
        data_keys: What the arrays are like.
        batches: Arrow record batches of them, in any order.
    """

    data_keys: Mapping[str, ArraySpec]
    batches: tuple[pa.RecordBatch, ...]

    @cached_property
    def block_starts(self) -> np.ndarray:
        """First row of every batch, and the number of rows."""
        return np.cumsum([0, *(batch.num_rows for batch in self.batches)])

    @cached_property
    def lengths(self) -> dict[str, np.ndarray]:
        """Per data key the frames of every row."""
        return {
            key: np.concatenate([np.diff(batch[key].offsets.to_numpy()) for batch in self.batches])
            for key in self.data_keys
        }

    def block(self, number: int) -> Block:
        """One record batch."""
        batch = self.batches[number]
        keys = {key: key_block(batch[key], spec) for key, spec in self.data_keys.items()}
        return Block(keys, stored_tags(batch))

    def find(self, seq_index: np.ndarray) -> np.ndarray:
        """Where sequences of the store are here, int64 [n]. Raises SeqmillError where one is missing."""
        brought = np.concatenate([batch["seq_index"].to_numpy() for batch in self.batches])
        order = np.argsort(brought)
        places = np.minimum(np.searchsorted(brought, seq_index, sorter=order), len(brought) - 1)
        rows = order[places]
        missing = np.flatnonzero(brought[rows] != seq_index)
        if len(missing):
            raise SeqmillError(f"the runner's shuffle lost sequence {seq_index[missing[0]]}; run again")
        return rows


def _send(block: tuple[int, int], parts: Sequence[Part]) -> Iterator[tuple[_Shard, _Piece]]:
    """What one record batch of a part's store has for every segment of the part."""
    part, number = block
    work, segments = _writer(parts[part]), parts[part].tasks
    try:
        store = open_store(work.store_folder, work.store_fingerprint)
        first, last = store.block_starts[number : number + 2].tolist()
        for segment in segments:
            wanted = read_plan(work.folder, segment).seq_index
            rows = np.unique(wanted[(wanted >= first) & (wanted < last)])
            for piece in _pieces(store, number, rows):
                yield (part, segment.index), piece
    except SeqmillError as error:
        yield (part, segments[0].index), str(error)


def _pieces(store: Store, number: int, rows: np.ndarray) -> Iterator[bytes]:
    """Rows of one record batch as Arrow streams of about ``_PIECE_BYTES``."""
    sizes = np.zeros(len(rows), np.int64)
    for key, spec in store.data_keys.items():
        sizes += store.lengths[key][rows] * np.int64(spec.frame_bytes)
    parts = np.cumsum(sizes) // _PIECE_BYTES
    for part in np.unique(parts):
        chosen = rows[parts == part]
        local = chosen - store.block_starts[number]
        columns = {key: store.record_batch(number)[key].take(pa.array(local)) for key in store.data_keys}
        columns["seq_tag"] = pa.array(list(store.block(number).tags.take(local)), pa.binary())
        columns["seq_index"] = pa.array(chosen)
        batch = pa.RecordBatch.from_pydict(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield sink.getvalue().to_pybytes()


def _write(
    brought: tuple[_Shard, Iterable[_Piece]],
    parts: Sequence[Part],
    segments: Mapping[_Shard, Segment],
    run_id: str,
) -> Outcome:
    shard, pieces = brought
    segment, work = segments[shard], _writer(parts[shard[0]])

    def write() -> None:
        batches = []
        for piece in pieces:
            if isinstance(piece, str):
                raise SeqmillError(piece)
            batches += list(pa.ipc.open_stream(piece))
        data_keys = open_store(work.store_folder, work.store_fingerprint).data_keys
        source = BroughtSequences(data_keys, tuple(batches))
        planned = read_plan(work.folder, segment)
        work.write(segment, planned, source, source.find(planned.seq_index))

    return Outcome(*shard, attempt(write, work.folder, run_id))


def _writer(part: Part) -> WriteShards:
    if not isinstance(part.work, WriteShards):
        raise TypeError(f"{part.work!r} writes no shards")
    return part.work
