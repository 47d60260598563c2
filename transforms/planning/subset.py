"""A random but fixed part of a corpus (``num_seqs``), a function of seed and position alone.

A position is taken where its hash is among the smallest. So a larger part holds all of a smaller one, and a
corpus to which files are added at its end keeps most of its part. Which positions are taken is part of the
file format: a golden test guards it.
"""

from __future__ import annotations

import hashlib

import numpy as np

from seqmill.transforms.planning.blocks import blocks

_STEP, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def subset(total: int, num_seqs: int, seed: int) -> np.ndarray:
    """Which of the positions 0 … ``total`` - 1 are taken, bool [total].

    Args:
        total: Sequences of the corpus.
        num_seqs: How many of them to take; all, where there are no more.
        seed: The run's seed.

    >>> np.flatnonzero(subset(10, 3, seed=1)).tolist(), np.flatnonzero(subset(10, 5, seed=1)).tolist()
    ([2, 7, 9], [1, 2, 6, 7, 9])
    """
    if num_seqs >= total:
        return np.ones(total, bool)
    hashes = _hashes(total, seed)
    return hashes <= np.partition(hashes, num_seqs - 1)[num_seqs - 1]


def _hashes(total: int, seed: int) -> np.ndarray:
    """All different, uint64 [total]: splitmix64 (Steele, Lea & Flood, 2014) from where the seed says."""
    digest = hashlib.shake_256(f"seqmill.subset/1 {seed}".encode()).digest(8)
    start = np.frombuffer(digest, "<u8")
    out = np.empty(total, np.uint64)
    for block in blocks(total):
        mixed = np.arange(block.start, block.stop, dtype=np.uint64) * np.uint64(_STEP) + start
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
        out[block] = mixed ^ (mixed >> np.uint64(31))
    return out
