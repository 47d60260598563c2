"""How random an order is: how far sequences of similar length stay together."""

from __future__ import annotations

import numpy as np

from seqmill.transforms.planning.blocks import taken


def randomness(lengths: np.ndarray) -> float:
    """How well an order mixes short and long sequences: about 1 where it is random, about 0 where sorted.

    The order is cut into windows of 2, 4, 8, … sequences, up to half of all. For each size it is measured how
    much lengths differ inside a window, as the variance of their ranks over that of all ranks: 1 where a
    window is as mixed as the whole, 0 where it holds one length. The mean over the sizes is the share of
    the scales, from two sequences to half the corpus, on which the order is mixed. For ``laplace`` with n
    sequences in a bin it is about 1 - log(n) / log(N).

    Args:
        lengths: Of all sequences in order, [N].

    Returns:
        The mean; 1 where all lengths are the same or there are fewer than four.

    >>> randomness(np.arange(1 << 12)) < 0.03
    True
    """
    scores = _middle_ranks(lengths)
    of_all = float(np.var(scores)) if len(scores) >= 4 else 0.0
    if of_all == 0.0:
        return 1.0
    scores -= scores.mean()
    squares, sums, size, mixed = float(scores @ scores), scores, 1, []
    while len(sums) >= 4:
        if len(sums) % 2:
            sums = sums[:-1]
            scores, rest = np.split(scores, [len(sums) * size])
            squares -= float(rest @ rest)
        sums, size = sums[0::2] + sums[1::2], 2 * size
        inside = (squares - float(sums @ sums) / size) / (len(sums) * (size - 1))
        mixed.append(inside / of_all)
    return float(np.mean(mixed))


def _middle_ranks(lengths: np.ndarray) -> np.ndarray:
    """Per sequence its place among all by length, from 0 to 1; equal lengths share the middle of theirs."""
    places = lengths
    if lengths.max(initial=0) > 4 * len(lengths):
        places = np.unique(lengths, return_inverse=True)[1]
    counts = np.bincount(places)
    ranks = (np.cumsum(counts) - counts / 2) / len(lengths)
    return taken(ranks, places)
