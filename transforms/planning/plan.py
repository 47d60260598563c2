"""Planning an epoch from lengths alone: which chunks of which sequences go into which batch and shard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from seqmill.transforms.planning import batch as batching
from seqmill.transforms.planning import chunk as chunking
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.blocks import blocks, positions, positions_where, taken
from seqmill.transforms.planning.chunk import Chunking
from seqmill.transforms.planning.distinct import distinct
from seqmill.transforms.planning.drop import BY_LENGTH, LengthLimits, drop
from seqmill.transforms.planning.entries import Entries, make_entries
from seqmill.transforms.planning.mix import mixed, windows
from seqmill.transforms.planning.order import Ordering, epoch_order
from seqmill.transforms.planning.subset import subset

CODE_VERSION = 2  # raised when the same lengths would be planned otherwise, or give another plan file
CHUNKS_DISAGREE = "numbers of chunks differ"
NOT_IN_SUBSET = "num_seqs"
BY_PLAN = (*BY_LENGTH, NOT_IN_SUBSET)
"""How the reasons begin that sequences of a store are dropped for by a plan."""


@dataclass(frozen=True)
class EpochOptions:
    """Everything that decides an epoch; see the options of the same names. ``Schedule`` has those of each.

    ``order_shift``: an epoch has the order that epoch + ``order_shift`` would have, had all epochs the same
    options. ``Schedule`` sets it where a new pass begins.

    >>> options = EpochOptions(
    ...     ordering=Ordering("sorted"),
    ...     length_key="data",
    ...     length_limits=LengthLimits(longest={"data": 24}, shortest={}),
    ...     chunking={},
    ...     batch_limits=BatchLimits({"data": 20}),
    ...     seed=1,
    ...     fixed_random_seed=None,
    ...     partition_epoch=1,
    ...     num_shards=None,
    ...     shard_size=128_000_000,
    ... )
    >>> selection = select({"data": np.array([9, 3, 30, 2])}, options)
    >>> plan = plan_epoch(selection, options, epoch=1)
    >>> plan.seq_index.tolist(), plan.batch_starts.tolist()
    ([3, 1, 0], [0, 2, 3])
    """

    ordering: Ordering
    length_key: str
    length_limits: LengthLimits
    chunking: Chunking
    batch_limits: BatchLimits
    seed: int
    fixed_random_seed: int | None
    partition_epoch: int
    num_shards: int | None
    shard_size: int
    order_shift: int = 0
    num_seqs: int | None = None
    mix: Mapping[str, int] = field(default_factory=dict)

    def place(self, epoch: int) -> tuple[int, int]:
        """Which pass over the corpus an epoch belongs to, and which part of it the epoch is, both from 0."""
        return divmod(epoch + self.order_shift - 1, self.partition_epoch)


@dataclass(frozen=True)
class Selection:
    """The sequences that take part.

    Attributes:
        rows: Their rows in the store, in the order of the corpus, int32 or int64 [N].
        lengths: Per data key their lengths, int32 [N].
        dropped: Sequences dropped, by reason.
        disagreeing: Rows whose data keys have different numbers of chunks.
        sources: Of a mixed corpus how many of them each source has, one after the other; else empty.
    """

    rows: np.ndarray
    lengths: Mapping[str, np.ndarray]
    dropped: Mapping[str, int]
    disagreeing: np.ndarray
    sources: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> dict[str, int]:
        """Sequences that cannot be chunked, by reason."""
        number = len(self.disagreeing)
        return {CHUNKS_DISAGREE: number} if number else {}

    @property
    def left_out(self) -> dict[str, int]:
        """Sequences that do not take part, by reason."""
        return {**self.dropped, **self.rejected}


def select(
    lengths: Mapping[str, np.ndarray], options: EpochOptions, among: np.ndarray | None = None
) -> Selection:
    """Takes ``num_seqs``, drops of them what is too long or short, and rejects what cannot be chunked.

    Args:
        lengths: Per data key the length of every sequence in the store.
        options: Decides what is dropped. ``EpochOptions`` has an example.
        among: Which sequences are looked at, the others are not counted, bool [N]; default: all.

    >>> import seqmill
    >>> options = seqmill.load_config("config.toml").schedule_of("train").at(1)
    >>> select({"data": np.array([9, 3])}, options).rows.tolist()
    [0, 1]
    """
    total, dropped = len(next(iter(lengths.values()))), {}
    if options.num_seqs is not None and options.num_seqs < total:
        chosen = subset(total, options.num_seqs, options.seed)
        looked_at = total if among is None else int(np.count_nonzero(among))
        among = chosen if among is None else among & chosen
        if others := looked_at - int(np.count_nonzero(among)):
            dropped[NOT_IN_SUBSET] = others
    kept, by_length = drop(lengths, options.length_limits, among)
    dropped |= by_length
    disagreeing = [np.empty(0, np.int64)]
    for block in blocks(len(kept)) if options.chunking else ():
        nums = chunking.num_chunks({key: column[block] for key, column in lengths.items()}, options.chunking)
        impossible = kept[block] & (nums == chunking.DISAGREE)
        disagreeing.append(np.flatnonzero(impossible) + block.start)
        kept[block] &= ~impossible
    rejected = np.concatenate(disagreeing)
    if kept.all():
        return Selection(positions(len(kept)), lengths, dropped, rejected)
    rows = positions_where(kept)
    return Selection(rows, {key: taken(column, rows) for key, column in lengths.items()}, dropped, rejected)


@dataclass(frozen=True)
class EpochPlan:
    """One planned epoch: its entries (chunks, or whole sequences) in order, cut into batches.

    Attributes:
        epoch: Its number, from 1.
        seq_index: Row in the store of every entry, int32 or int64 [n].
        chunk: Number of the chunk in its sequence, from 0, int32 [n]; None where nothing is chunked.
        lengths: Per data key the frames of every entry, [n].
        chunk_start: First frame in the length key, int32 [n].
        batch_starts: First entry of every batch, and n, int64 [batches + 1].
        oversized: Entries that alone are over ``batch_size``.
        limits: What the batches were cut by.

    >>> lengths = {"data": np.array([3, 4, 2])}
    >>> rows, zeros = np.array([5, 7, 8]), np.zeros(3, np.int64)
    >>> plan = EpochPlan(1, rows, None, lengths, zeros, np.array([0, 2, 3]), oversized=0)
    >>> plan.num_batches, plan.batch_seqs.tolist(), plan.padded_frames
    (2, [2, 1], {'data': 10})
    """

    epoch: int
    seq_index: np.ndarray
    chunk: np.ndarray | None
    lengths: Mapping[str, np.ndarray]
    chunk_start: np.ndarray
    batch_starts: np.ndarray
    oversized: int
    limits: BatchLimits = field(default_factory=lambda: BatchLimits({}))

    @property
    def packed(self) -> bool:
        """Whether the entries of a batch lie behind one another, without padding."""
        return self.limits.packed

    @property
    def num_batches(self) -> int:
        """Batches of the epoch."""
        return len(self.batch_starts) - 1

    @property
    def num_seqs(self) -> int:
        """Sequences of the epoch; a chunked one counts once."""
        return len(self.seq_index) if self.chunk is None else int(np.count_nonzero(self.chunk == 0))

    def batch_blocks(self) -> Iterator[slice]:
        """Consecutive ranges of batches, each of few entries against the memory of a machine."""
        ends = [block.stop for block in blocks(len(self.seq_index))][:-1]
        edges = np.unique([0, *self.batch_starts.searchsorted(ends), self.num_batches]).tolist()
        return (slice(first, last) for first, last in pairwise(edges))

    def part(self, first: int, last: int) -> EpochPlan:
        """Batches ``first`` … ``last`` - 1 by themselves; views."""
        starts = self.batch_starts[first : last + 1]
        entries = slice(int(starts[0]), int(starts[-1]))
        return replace(
            self,
            seq_index=self.seq_index[entries],
            chunk=None if self.chunk is None else self.chunk[entries],
            lengths={key: column[entries] for key, column in self.lengths.items()},
            chunk_start=self.chunk_start[entries],
            batch_starts=starts - starts[0],
        )

    @cached_property
    def batch_seqs(self) -> np.ndarray:
        """Entries of every batch, int64 [batches]."""
        return np.diff(self.batch_starts)

    @cached_property
    def longest(self) -> dict[str, np.ndarray]:
        """Per data key the longest entry of every batch, int64 [batches]."""
        return self._of_batches(np.maximum)

    @cached_property
    def time_axes(self) -> dict[str, np.ndarray]:
        """Per data key the frames that every batch is padded to, int64 [batches]."""
        return {key: self.limits.time_axis(key, longest) for key, longest in self.longest.items()}

    @cached_property
    def batch_rows(self) -> np.ndarray:
        """Rows of every batch as it is trained on, those included that fill it up, int64 [batches]."""
        return self.limits.num_rows(self.time_axes, self.batch_seqs)

    @cached_property
    def batch_frames(self) -> dict[str, np.ndarray]:
        """Per data key the frames of every batch's array, padding included, int64 [batches]."""
        if self.packed:
            return self._of_batches(np.add)
        return {key: frames * self.batch_seqs for key, frames in self.time_axes.items()}

    @property
    def step_frames(self) -> dict[str, np.ndarray]:
        """Per data key the frames that a training step sees of every batch, int64 [batches]."""
        if not self.limits.pad_batch:
            return self.batch_frames
        return {key: frames * self.batch_rows for key, frames in self.time_axes.items()}

    @property
    def num_frames(self) -> dict[str, int]:
        """Per data key the true frames."""
        return {key: int(lengths.sum(dtype=np.int64)) for key, lengths in self.lengths.items()}

    @property
    def padded_frames(self) -> dict[str, int]:
        """Per data key the frames of all arrays, padding included."""
        return {key: int(frames.sum()) for key, frames in self.batch_frames.items()}

    @property
    def num_shapes(self) -> int:
        """Distinct shapes of batches as they are trained on, over all data keys together."""
        return len(distinct_shapes([self]))

    def _of_batches(self, reduce: np.ufunc) -> dict[str, np.ndarray]:
        reduced = {key: np.empty(self.num_batches, np.int64) for key in self.lengths}
        for batches in self.batch_blocks():
            starts = self.batch_starts[batches]
            entries = slice(int(starts[0]), int(self.batch_starts[batches.stop]))
            for key, column in self.lengths.items():
                reduced[key][batches] = reduce.reduceat(column[entries], starts - starts[0], dtype=np.int64)
        return reduced


def plan_epoch(selection: Selection, options: EpochOptions, epoch: int) -> EpochPlan:
    """Plans one epoch: order, then chunk, then batch.

    Args:
        selection: The sequences that take part.
        options: How.
        epoch: Number of the epoch, from 1.

    >>> import seqmill
    >>> store = seqmill.Store("work/store/train")
    >>> options = seqmill.load_config("config.toml").schedule_of("train").at(1)
    >>> plan = plan_epoch(select(store.lengths, options), options, epoch=1)
    >>> plan.num_seqs, plan.num_batches
    (8, 3)
    """
    return cut_entries(order_epoch(selection, options, epoch), options.batch_limits, epoch)


def order_epoch(selection: Selection, options: EpochOptions, epoch: int) -> Entries:
    """What an epoch consists of, in order: arguments as for ``plan_epoch``."""
    number, parts = epoch + options.order_shift, options.partition_epoch
    rows, lengths = selection.rows, selection.lengths
    if options.mix:
        is_fixed = options.fixed_random_seed is not None
        seeds = (options.fixed_random_seed, options.ordering.seed, options.seed)
        seed = next(one for one in seeds if one is not None)
        chosen = mixed(selection.sources, options.mix, parts, number - 1, seed, is_fixed)
        rows, lengths = taken(rows, chosen), {key: taken(column, chosen) for key, column in lengths.items()}
        parts = 1
    order = epoch_order(
        options.ordering,
        lengths[options.length_key],
        number,
        options.seed,
        parts,
        options.fixed_random_seed,
    )
    return make_entries(order, rows, lengths, options.chunking, options.length_key)


def seqs_of_sources(selection: Selection, options: EpochOptions, epoch: int) -> dict[str, int]:
    """How many sequences an epoch of a mixed corpus has of each source; arguments as for ``plan_epoch``."""
    if not options.mix:
        return {}
    number = epoch + options.order_shift - 1
    found = windows(selection.sources, options.mix, options.partition_epoch, number)
    return {name: end - start for name, (start, end) in found.items()}


def cut_entries(entries: Entries, limits: BatchLimits, epoch: int) -> EpochPlan:
    """The plan of an epoch from its entries.

    Args:
        entries: What ``order_epoch`` gave.
        limits: Limits of its batches.
        epoch: Its number.

    Raises:
        ValueError: Time axes are not chosen yet (``with_buckets``).
    """
    return EpochPlan(
        epoch=epoch,
        seq_index=entries.seq_index,
        chunk=entries.chunk,
        lengths=entries.lengths,
        chunk_start=entries.chunk_start,
        batch_starts=batching.cut_batches(entries.lengths, len(entries.seq_index), limits),
        oversized=batching.oversized(entries.lengths, limits),
        limits=limits,
    )


def distinct_shapes(plans: Sequence[EpochPlan]) -> np.ndarray:
    """The shapes of batches of some epochs as they are trained on, each once, int64 [shapes, axes].

    Args:
        plans: All of them packed, or none, with the same data keys.
    """
    axes = [
        np.concatenate([(plan.batch_frames if plan.packed else plan.time_axes)[key] for plan in plans])
        for key in plans[0].lengths
    ]
    if not plans[0].packed:
        axes.insert(0, np.concatenate([plan.batch_rows for plan in plans]))
    sizes = [int(axis.max(initial=0)) + 1 for axis in axes]
    if math.prod(sizes) >= 1 << 63:
        return np.unique(np.stack(axes, axis=1), axis=0)
    # One number a shape: far faster to sort than columns are.
    numbers = distinct(np.ravel_multi_index(axes, sizes))
    return np.stack(np.unravel_index(numbers, sizes), axis=1)


def shard_edges(batch_bytes: np.ndarray, options: EpochOptions) -> np.ndarray:
    """First batch of every shard, and the number of batches, int64 [shards + 1].

    Args:
        batch_bytes: Size of every batch's record, [batches].
        options: ``num_shards``, or else ``shard_size`` in bytes.
    """
    total = int(batch_bytes.sum())
    shards = options.num_shards or -(-total // options.shard_size)
    shards = max(1, min(shards, len(batch_bytes)))
    ends = np.cumsum(batch_bytes)
    inner = np.searchsorted(ends, np.arange(1, shards) * (total / shards)) + 1
    # Every shard gets at least one batch, however uneven the batches are.
    inner = np.maximum.accumulate(inner - np.arange(shards - 1)) + np.arange(shards - 1)
    inner = np.minimum(inner, len(batch_bytes) - np.arange(shards - 1, 0, -1))
    return np.concatenate(([0], inner, [len(batch_bytes)])).astype(np.int64)
