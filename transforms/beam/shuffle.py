"""Moving sequences to the shards that need them through the runner's own shuffle (``exchange = "shuffle"``).

For clusters whose workers cannot each reach the whole store: every file of the store is read by one worker,
which sends each shard the sequences that it needs. Which those are, routes say: the plans of the epochs
turned round, made once (``seqmill.transforms.batches.routes``). The shards' bytes are those of ``gather``.

A worker that sends holds one record batch of the store twice (64 MB at most, or one sequence); one that
writes holds the sequences of one shard, and a batch. What the runner holds beside them is the runner's: on
most, a GroupByKey has all values of a key in memory, which are the sequences of a shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from seqmill.transforms.batches.plan_file import read_plan
from seqmill.transforms.batches.routes import Route, read_route, write_routes
from seqmill.transforms.batches.segment import Segment, is_written
from seqmill.transforms.batches.write_shards import WriteShards, open_store
from seqmill.transforms.beam.step import Part, Step, attempt
from seqmill.transforms.beam.tasks import Outcome, RunTasks
from seqmill.transforms.features.array_spec import ArraySpec, array_bytes
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.record_batches import Block, key_block, list_type, stored_tags
from seqmill.transforms.store.sequence_store import Store

_PIECE_BYTES = 4_000_000

# What travels to a shard: which it is, sequences as an Arrow record batch, or why they could not be read.
_Piece = Segment | bytes | str

# A segment: the number of its part and its index there.
_Shard = tuple[int, int]


@dataclass(frozen=True)
class _File:
    """A file of the store of a part, and where its sequences go in each epoch."""

    part: int
    number: int
    routes: tuple[Route, ...]


class ShuffleShards(RunTasks):
    """Writes segments like ``RunTasks(step)``, their sequences brought by a shuffle.

    Args:
        step: The shards to write; the work of its parts is ``WriteShards``.
        stores: Per part its store.
    """

    def __init__(self, step: Step, stores: Sequence[Store]):
        super().__init__(step)
        self.stores = stores

    def outcomes(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """See RunTasks."""
        parts = enumerate(self.step.parts)
        segments = [(number, segment) for number, part in parts for segment in part.tasks]
        files = [
            file
            for number, (part, store) in enumerate(zip(self.step.parts, self.stores, strict=True))
            for file in _files_to_send(number, part, store)
        ]
        return (
            pbegin
            | "Files and segments" >> beam.Create([*files, *segments], reshuffle=True)
            | "Send" >> beam.FlatMap(_send, self.parts).with_output_types(tuple[_Shard, Any])
            | "Bring" >> beam.GroupByKey()
            | "Write" >> beam.FlatMap(_write, self.parts, self.step.run_id).with_output_types(Outcome)
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

    @classmethod
    def of(cls, data_keys: Mapping[str, ArraySpec], pieces: Iterable[bytes]) -> BroughtSequences:
        """What some pieces hold; views of them."""
        schema = _schema(data_keys)
        return cls(
            data_keys, tuple(pa.ipc.read_record_batch(pa.py_buffer(piece), schema) for piece in pieces)
        )

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
        parts = [batch["seq_index"].to_numpy() for batch in self.batches]
        brought = np.concatenate([np.empty(0, np.int64), *parts])
        order = np.argsort(brought)
        missing = seq_index[~np.isin(seq_index, brought)]
        if len(missing):
            raise SeqmillError(f"the runner's shuffle lost sequence {missing[0]}; run again")
        return order[np.searchsorted(brought, seq_index, sorter=order)]


def _files_to_send(number: int, part: Part, store: Store) -> Iterator[_File]:
    """The files of a store that segments of a part need something of; writes the routes."""
    file_starts = np.cumsum([0, *(file.num_seqs for file in store.manifest.files)]).tolist()
    by_epoch: dict[int, list[Segment]] = {}
    for segment in part.tasks:
        by_epoch.setdefault(segment.epoch, []).append(segment)
    routes = [write_routes(part.folder, segments, file_starts) for segments in by_epoch.values()]
    for file, of_epochs in enumerate(zip(*routes, strict=True)):
        if found := tuple(route for route in of_epochs if route is not None):
            yield _File(number, file, found)


def _send(element: _File | tuple[int, Segment], parts: Sequence[Part]) -> Iterator[tuple[_Shard, _Piece]]:
    """What one file of a part's store has for every segment of the part; a segment as it is."""
    if not isinstance(element, _File):
        part, segment = element
        yield (part, segment.index), segment
        return
    work = _writer(parts[element.part])
    try:
        store = open_store(work.store_folder, work.store_fingerprint)
        for route in element.routes:
            pairs = read_route(work.folder, route)
            blocks = store.blocks_of(element.number)
            starts = store.block_starts[blocks.start : blocks.stop + 1] - store.block_starts[blocks.start]
            edges = np.searchsorted(pairs[:, 0], starts).tolist()
            for number, start, (first, last) in zip(blocks, starts.tolist(), pairwise(edges), strict=False):
                rows, targets = pairs[first:last].T
                for shard, piece in _pieces(store, number, rows - start, targets):
                    yield (element.part, Segment.index_of(route.epoch, shard)), piece
    except SeqmillError as error:
        route = element.routes[0]
        yield (element.part, Segment.index_of(route.epoch, route.shard)), str(error)


def _pieces(store: Store, number: int, rows: np.ndarray, targets: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """What shards need of one record batch, in pieces of about ``_PIECE_BYTES``.

    Args:
        store: The store.
        number: Of the record batch.
        rows: Rows of the batch, one for each shard that needs it, [n].
        targets: These shards, [n].
    """
    by_shard = np.argsort(targets, kind="stable")
    rows, targets = rows[by_shard], targets[by_shard]
    if not len(rows):
        return
    sequences = _rows(store, number, rows)
    places = store.block_starts[number] + rows
    sizes = array_bytes(store.data_keys, {key: column[places] for key, column in store.lengths.items()})
    for first, last in pairwise(_edges(targets, np.cumsum(sizes))):
        yield int(targets[first]), sequences.slice(first, last - first).serialize().to_pybytes()


def _edges(targets: np.ndarray, ends: np.ndarray) -> list[int]:
    """Where pieces begin, and the number of rows: at every other shard, and at every ``_PIECE_BYTES``."""
    steps = ends // _PIECE_BYTES
    inner = np.flatnonzero((np.diff(targets) != 0) | (np.diff(steps) != 0)) + 1
    return [0, *inner.tolist(), len(targets)]


def _rows(store: Store, number: int, rows: np.ndarray) -> pa.RecordBatch:
    """Rows of one record batch, with their tags and their places in the store."""
    block, batch = store.block(number), store.record_batch(number)
    columns = [batch[key].take(pa.array(rows)) for key in store.data_keys]
    columns.append(pa.array(list(block.tags.take(rows)), pa.binary()))
    columns.append(pa.array(rows + store.block_starts[number]))
    return pa.RecordBatch.from_arrays(columns, schema=_schema(store.data_keys))


def _schema(data_keys: Mapping[str, ArraySpec]) -> pa.Schema:
    """Columns of what travels."""
    fields = [pa.field(key, list_type(spec)) for key, spec in data_keys.items()]
    return pa.schema([*fields, pa.field("seq_tag", pa.binary()), pa.field("seq_index", pa.int64())])


def _write(brought: tuple[_Shard, Iterable[_Piece]], parts: Sequence[Part], run_id: str) -> Iterator[Outcome]:
    """Writes a shard; nothing where what it is did not arrive, or it is none of those to write."""
    shard, pieces = brought
    work = _writer(parts[shard[0]])
    segments: list[Segment] = []
    sequences: list[bytes] = []
    errors: list[str] = []
    for piece in pieces:
        if isinstance(piece, Segment):
            segments.append(piece)
        elif isinstance(piece, str):
            errors.append(piece)
        else:
            sequences.append(piece)

    def write() -> None:
        (segment,) = segments
        if is_written(work.folder, segment):
            return
        if errors:
            raise SeqmillError(errors[0])
        data_keys = open_store(work.store_folder, work.store_fingerprint).data_keys
        source = BroughtSequences.of(data_keys, sequences)
        planned = read_plan(work.folder, segment)
        work.write(segment, planned, source, source.find(planned.seq_index))

    if segments:
        yield Outcome(*shard, attempt(write, work.folder, run_id))


def _writer(part: Part) -> WriteShards:
    if not isinstance(part.work, WriteShards):
        raise TypeError(f"{part.work!r} writes no shards")
    return part.work
