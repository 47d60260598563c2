"""Cutting an ordered epoch into mini-batches (RETURNN's ``batch_size`` and ``max_seqs``).

Greedy: a sequence that would push the batch over a limit starts the next one. A sequence that alone is
over ``batch_size`` is a batch of its own. A padded batch has longest sequence times number of sequences
frames, a packed one only those of its sequences.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.planning.blocks import blocks

_BLOCK = 1 << 15
_NARROW = 128  # batches of fewer sequences are found for all starts of a block at once


@dataclass(frozen=True)
class BatchLimits:
    """Limits of a batch.

    Attributes:
        batch_size: Per limited data key the most frames, padding included.
        max_seqs: The most sequences; None for no limit.
        packed: Whether sequences lie behind one another, without padding.

    >>> BatchLimits({"data": 4000}, max_seqs=200).max_seqs
    200
    """

    batch_size: Mapping[str, int]
    max_seqs: int | None = None
    packed: bool = False


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
    columns = [lengths[key] for key in limits.batch_size]
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
    """How many sequences (or chunks) are alone over ``batch_size`` in any key."""
    over = [lengths[key] > limit for key, limit in limits.batch_size.items()]
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
