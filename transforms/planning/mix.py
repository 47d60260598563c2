"""Which sequences of each source an epoch of a mixed corpus has (``[corpus.train.mix]``).

The sequences of a source follow one another in passes without end, each pass a permutation of its own. An
epoch takes the next ones of every source: of the first, which is the corpus' own, one in ``partition_epoch``
parts of a pass, and of the others as many as their shares say. Where that is no whole number, the ends of the
epochs' windows are rounded down, so that any epochs in a row have the exact share but for less than one
sequence. What is taken is part of the file format: a golden test guards it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from seqmill.transforms.planning.blocks import blocks, position_type
from seqmill.transforms.planning.permutation import Permutation


def windows(
    sizes: Mapping[str, int], shares: Mapping[str, int], partition_epoch: int, number: int
) -> dict[str, tuple[int, int]]:
    """Where an epoch begins and ends in the passes over each source.

    Args:
        sizes: Sequences of each source that take part, one at least; the first source sets the pace.
        shares: The share of each.
        partition_epoch: How many epochs one pass over the first source takes.
        number: Number of the epoch, from 0.

    >>> windows({"own": 9, "other": 2}, {"own": 3, "other": 1}, partition_epoch=2, number=1)
    {'own': (4, 9), 'other': (1, 3)}
    """
    pace = next(iter(sizes))
    parts = shares[pace] * partition_epoch
    steps = {name: sizes[pace] * shares[name] for name in sizes}
    return {name: (number * step // parts, (number + 1) * step // parts) for name, step in steps.items()}


def mixed(
    sizes: Mapping[str, int],
    shares: Mapping[str, int],
    partition_epoch: int,
    number: int,
    seed: int,
    is_fixed: bool = False,
) -> np.ndarray:
    """The sequences of an epoch, in corpus order; one that an epoch has several times stands there as often.

    Args:
        sizes: See ``windows``; sequences are numbered over all sources.
        shares: See ``windows``.
        partition_epoch: See ``windows``.
        number: See ``windows``.
        seed: Chooses the permutations.
        is_fixed: Whether all passes over a source have the same one.

    >>> mixed({"own": 3, "other": 2}, {"own": 1, "other": 1}, partition_epoch=1, number=0, seed=1).tolist()
    [0, 1, 2, 3, 3, 4]
    """
    found = windows(sizes, shares, partition_epoch, number)
    out = np.empty(sum(end - start for start, end in found.values()), position_type(sum(sizes.values())))
    first = filled = 0
    for name, window in found.items():
        times = _times(sizes[name], window, _seed_of(seed, name), is_fixed)
        for block in blocks(sizes[name]):
            positions = np.arange(first + block.start, first + block.stop, dtype=out.dtype)
            taken = np.repeat(positions, times[block])
            out[filled : filled + len(taken)] = taken
            filled += len(taken)
        first += sizes[name]
    return out


def _times(size: int, window: tuple[int, int], seed: int, is_fixed: bool) -> np.ndarray:
    """How often a window has each sequence of a source, int32 [size]."""
    start, end = window
    first_whole, behind_whole = -(-start // size), end // size
    times = np.full(size, max(behind_whole - first_whole, 0), np.int32)
    for number in {start // size, behind_whole}:
        if first_whole <= number < behind_whole:
            continue
        first, last = max(start - number * size, 0), min(end - number * size, size)
        permutation = Permutation(size, seed, 0 if is_fixed else number)
        for block in blocks(last, first):
            times[permutation(np.arange(block.start, block.stop))] += 1
    return times


def _seed_of(seed: int, name: str) -> int:
    digest = hashlib.shake_256(f"seqmill.mix/1 {seed} {name}".encode()).digest(8)
    return int.from_bytes(digest, "little", signed=True)
