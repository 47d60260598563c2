"""Cutting an ordered epoch into mini-batches (RETURNN's ``batch_size`` and ``max_seqs``).

Greedy: a sequence that would push the batch over a limit starts the next one. A sequence that alone is
over ``batch_size`` is a batch of its own. A padded batch has longest sequence times number of sequences
frames, a packed one only those of its sequences.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seqmill.transforms.planning.best_buckets import rounded_up
from seqmill.transforms.planning.blocks import blocks

_BLOCK = 1 << 15
_NARROW = 128  # batches of fewer sequences are found for all starts of a block at once


@dataclass(frozen=True)
class BatchLimits:
    """Limits of a batch, and what its array is padded to.

    Attributes:
        batch_size: Per limited data key the most frames, padding included.
        max_seqs: The most sequences; None for no limit.
        packed: Whether sequences lie behind one another, without padding.
        length_buckets: Per data key how many time axes there may be; of others, each batch has its own.
        padded_lengths: Per such key the time axes, ascending: what ``with_buckets`` chose.
        pad_batch: Whether batches are filled up with rows, so that all of the same time axes have as many.

    >>> BatchLimits({"data": 4000}, max_seqs=200).max_seqs
    200
    """

    batch_size: Mapping[str, int]
    max_seqs: int | None = None
    packed: bool = False
    length_buckets: Mapping[str, int] = field(default_factory=dict)
    padded_lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    pad_batch: bool = False

    @property
    def mistake(self) -> str | None:
        """Why they cannot be meant together, if so.

        >>> BatchLimits({}, 9, packed=True, pad_batch=True).mistake
        'pad_batch: packed batches have no padding; expected only one of pad_batch and packed'
        """
        names = [name for name in ("length_buckets", "pad_batch") if getattr(self, name)]
        if self.packed and names:
            return f"{names[0]}: packed batches have no padding; expected only one of {names[0]} and packed"
        unlike = [key for key in self.batch_size if key not in self.length_buckets]
        if self.pad_batch and unlike:
            return (
                f"pad_batch: batch_size limits {unlike[0]}; expected length_buckets of it too, or its rows "
                "would not be the same"
            )
        return None

    def time_axis(self, key: str, longest: np.ndarray) -> np.ndarray:
        """The frames that arrays of a data key are padded to.

        Args:
            key: The data key.
            longest: Frames of their longest sequences, any shape.

        Raises:
            ValueError: The time axes are not chosen yet.

        >>> limits = BatchLimits({}, 2, length_buckets={"data": 2}, padded_lengths={"data": (5, 9)})
        >>> limits.time_axis("data", np.array([2, 5, 6])).tolist()
        [5, 5, 9]
        """
        if key not in self.length_buckets:
            return longest
        if key not in self.padded_lengths:
            raise ValueError(f"length_buckets of {key} are not chosen; expected what with_buckets gives")
        return rounded_up(longest, self.padded_lengths[key])

    def num_rows(self, time_axes: Mapping[str, np.ndarray], batch_seqs: np.ndarray) -> np.ndarray:
        """The rows of batches as they are trained on, [batches].

        Args:
            time_axes: Per data key the time axis of every batch, [batches].
            batch_seqs: Their sequences, [batches].

        >>> limits = BatchLimits({"data": 20}, 9, pad_batch=True)
        >>> limits.num_rows({"data": np.array([2, 5])}, np.array([8, 4])).tolist()
        [9, 4]
        """
        if not self.pad_batch:
            return batch_seqs
        most = [size // time_axes[key] for key, size in self.batch_size.items()]
        if self.max_seqs is not None:
            most.append(np.full(len(batch_seqs), self.max_seqs))
        return np.maximum(np.minimum.reduce(most), batch_seqs)


def cut_batches(lengths: Mapping[str, np.ndarray], num_seqs: int, limits: BatchLimits) -> np.ndarray:
    """Where batches begin, int64 [number of batches + 1]; the last entry is ``num_seqs``.

    Args:
        lengths: Lengths in the epoch's order, [num_seqs] per data key, at least for the limited keys.
        num_seqs: Sequences (or chunks) of the epoch.
        limits: Limits of a batch.

    >>> cut_batches({"data": np.array([3, 3, 9, 2])}, 4, BatchLimits({"data": 6})).tolist()
    [0, 2, 3, 4]
    >>> cut_batches({"data": np.array([3, 3, 9, 2])}, 4, BatchLimits({"data": 12}, packed=True)).tolist()
    [0, 2, 4]
    """
    most = num_seqs if limits.max_seqs is None else limits.max_seqs
    if not limits.batch_size:
        return np.append(np.arange(0, num_seqs, max(most, 1)), num_seqs)
    columns = [limits.time_axis(key, lengths[key]) for key in limits.batch_size]
    sizes = list(limits.batch_size.values())
    if limits.packed:
        return _cut_packed(columns, sizes, most, num_seqs)
    starts = array("q")
    position, mean = 0, 1.0
    while position < num_seqs:
        before = len(starts)
        if mean < _NARROW:
            position, new = _cut_block(columns, sizes, most, position, num_seqs, mean)
            starts.extend(new)
            mean = (position - new[0]) / len(new)
        else:
            starts.append(position)
            position = _batch_end(columns, sizes, most, position, num_seqs, 2 * int(mean))
            mean = 0.75 * mean + 0.25 * (position - starts[before])
    starts.append(num_seqs)
    return np.array(starts, np.int64)


def oversized(lengths: Mapping[str, np.ndarray], limits: BatchLimits) -> int:
    """How many sequences (or chunks) are alone over ``batch_size`` in any key, padding included."""
    over = [limits.time_axis(key, lengths[key]) > limit for key, limit in limits.batch_size.items()]
    return int(np.count_nonzero(np.logical_or.reduce(over))) if over else 0


def _cut_packed(columns: list[np.ndarray], sizes: list[int], most: int, num_seqs: int) -> np.ndarray:
    """``cut_batches`` where a batch is as large as its sequences together."""
    ends_of = [np.cumsum(column, dtype=np.int64) for column in columns]
    edges = array("q", [0])
    for block in blocks(num_seqs):
        alone = np.arange(block.start + 1, block.stop + 1)
        behind = np.minimum(alone + (min(most, num_seqs) - 1), num_seqs)
        for column, ends, size in zip(columns, ends_of, sizes, strict=True):
            most_ends = ends[block] - column[block] + min(size, int(ends[-1]))
            np.minimum(behind, ends.searchsorted(most_ends, "right"), out=behind)
        np.maximum(behind, alone, out=behind)
        while edges[-1] < block.stop:
            edges.append(int(behind[edges[-1] - block.start]))
    return np.array(edges, np.int64)


def _batch_end(
    columns: list[np.ndarray], sizes: list[int], most: int, start: int, num_seqs: int, guess: int
) -> int:
    """Where the batch that begins at ``start`` ends; looks ahead ``guess`` sequences, then twice that, …"""
    while True:
        end = min(start + min(guess, most), num_seqs)
        counts = np.arange(1, end - start + 1)
        fitting = end - start
        for column, size in zip(columns, sizes, strict=True):
            padded = np.maximum.accumulate(column[start:end], dtype=np.int64) * counts
            fitting = min(fitting, int(padded.searchsorted(size, "right")))
        if fitting < end - start or end == num_seqs or end - start == most:
            return start + max(fitting, 1)
        guess *= 2


def _cut_block(
    columns: list[np.ndarray], sizes: list[int], most: int, position: int, num_seqs: int, mean: float
) -> tuple[int, list[int]]:
    """Batches from ``position`` on over about a block: (where the next begins, where these begin).

    Finds for every sequence of the block how many fit into a batch that begins there, then walks.
    """
    stop = min(position + _BLOCK, num_seqs)
    levels = min(int(8 * mean), most).bit_length()
    steps = _fitting(columns, sizes, position, stop, levels)
    np.minimum(steps, most, out=steps)
    at_most = min((1 << levels) - 1, most)
    fitting = steps.tolist()
    starts = []
    here = position
    while here < stop:
        starts.append(here)
        step = fitting[here - position]
        if step == at_most < most:
            here = _batch_end(columns, sizes, most, here, num_seqs, 2 * step)
        else:
            here += step
    return min(here, num_seqs), starts


def _fitting(columns: list[np.ndarray], sizes: list[int], start: int, stop: int, levels: int) -> np.ndarray:
    """How many sequences fit a batch that begins at each of ``start`` … ``stop`` - 1, at most 2^levels - 1.

    Counts are built bit by bit, highest first, from the longest sequence of every run of 2^k.
    """
    first = np.arange(stop - start)
    fitting = np.zeros(stop - start, np.int64)
    runs = [
        _longest_of_runs(column[start : stop + (1 << levels)], levels, stop - start) for column in columns
    ]
    longest = [np.zeros(stop - start, column.dtype) for column in columns]
    for level in range(levels - 1, -1, -1):
        fits = np.ones(stop - start, bool)
        candidates = []
        for by_level, running, size in zip(runs, longest, sizes, strict=True):
            candidate = np.maximum(running, by_level[level][first + fitting])
            fits &= candidate.astype(np.int64) * (fitting + (1 << level)) <= size
            candidates.append(candidate)
        for running, candidate in zip(longest, candidates, strict=True):
            np.copyto(running, candidate, where=fits)
        fitting += fits.astype(np.int64) << level
    return np.maximum(fitting, 1)


def _longest_of_runs(column: np.ndarray, levels: int, needed: int) -> list[np.ndarray]:
    """Per level k the longest of the 2^k sequences from each position on; past the end none is too long."""
    padded = np.zeros(needed + (2 << levels), column.dtype)
    padded[: len(column)] = column
    runs = [padded]
    for level in range(levels - 1):
        runs.append(np.maximum(runs[-1][: -(1 << level)], runs[-1][1 << level :]))
    return runs
