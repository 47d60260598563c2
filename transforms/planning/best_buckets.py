"""Choosing a few lengths that all others are padded to, with the least padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST_COUNTED = 1 << 20  # lengths that are counted one by one whatever there is of them


def best_buckets(lengths: np.ndarray, weights: np.ndarray, most: int) -> tuple[int, ...]:
    """The lengths to pad to so that the padding is the least that so many of them allow.

    Exact, by dynamic programming: the best k lengths for all up to some length are its own and the best k - 1
    for those up to a shorter one. Which shorter one never falls as the length grows (the costs fulfil the
    quadrangle inequality), so each round looks at about n log n pairs in place of n².

    Args:
        lengths: Frames, in any order, [N].
        weights: How often each is to be padded, at least 1, int64 [N].
        most: How many lengths there may be.

    Returns:
        Ascending; the last is the longest of ``lengths``.

    >>> best_buckets(np.array([2, 3, 9, 10]), np.array([5, 5, 1, 1]), 2)
    (3, 10)
    """
    values, counts = _added_up(lengths, weights)
    # A cost is at most all weights times the longest; beyond 64 bits Python's own integers take over.
    exact = np.int64 if float(counts.sum()) * float(values[-1]) < 2**62 else object
    values, before = values.astype(exact), np.concatenate(([0], np.cumsum(counts))).astype(exact)
    cost = before[1:] * values
    firsts = []
    for _ in range(min(most, len(values)) - 1):
        first = _best_firsts(cost, before, values)
        cost = _cost_before(cost)[first] + (before[1:] - before[first]) * values
        firsts.append(first)
    chosen = [len(values) - 1]
    for first in reversed(firsts):
        if first[chosen[-1]] == 0:
            break
        chosen.append(int(first[chosen[-1]]) - 1)
    return tuple(int(values[place]) for place in reversed(chosen))


def rounded_up(lengths: np.ndarray, buckets: Sequence[int]) -> np.ndarray:
    """The bucket that each length is padded to, of the same shape; one longer than all stays as it is.

    >>> rounded_up(np.array([1, 5, 6, 12]), (5, 9)).tolist()
    [5, 5, 9, 12]
    """
    of = np.array([*buckets, 0])  # the last is for lengths over all
    if not buckets or buckets[-1] <= np.iinfo(lengths.dtype).max:
        of = of.astype(lengths.dtype)
    rounded: np.ndarray = np.maximum(of[of[:-1].searchsorted(lengths)], lengths)
    return rounded


def _added_up(lengths: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths that there are, ascending, and the weights of each, added up."""
    longest = int(lengths.max(initial=0))
    if longest <= len(lengths) + _MOST_COUNTED:  # sorting takes several times as long as counting
        counts = np.zeros(longest + 1, np.int64)
        np.add.at(counts, lengths, weights)
        values = np.flatnonzero(counts)
        return values, counts[values]
    values, places = np.unique(lengths, return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, weights)
    return values, counts


def _cost_before(cost: np.ndarray) -> np.ndarray:
    """Of each first length of the last bucket the cost of those before it."""
    return np.concatenate((np.zeros(1, cost.dtype), cost[:-1]))


def _best_firsts(cost: np.ndarray, before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where the last bucket begins if it ends with each length; the first of equally good places, [n].

    Ends are looked at in ever finer steps: between two of them, places lie between theirs.
    """
    number = len(values)
    costs_before = _cost_before(cost)
    firsts = np.zeros(number, np.int64)
    step = 1 << number.bit_length()
    while step > 1:
        step //= 2
        ends = np.arange(step - 1, number, 2 * step)
        low = np.where(ends >= step, firsts[ends - step], 0)
        behind = ends + step
        high = np.where(behind < number, firsts[np.minimum(behind, number - 1)], number)
        high = np.minimum(high, ends)
        sizes = high - low + 1
        starts = np.cumsum(sizes) - sizes
        places = np.arange(int(sizes.sum())) - np.repeat(starts - low, sizes)
        tried = costs_before[places] - before[places] * np.repeat(values[ends], sizes)
        best = np.minimum.reduceat(tried, starts)
        hits = np.flatnonzero(tried == np.repeat(best, sizes))
        firsts[ends] = places[hits[np.searchsorted(hits, starts)]]
    return firsts
