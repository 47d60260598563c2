"""The order of an epoch's sequences, a function of lengths, seed and epoch (RETURNN's ``seq_ordering``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.planning.blocks import blocks, position_type, taken
from seqmill.transforms.planning.permutation import Permutation

_BLOCK = 1 << 18  # bins are sorted in groups of about so many sequences, which stay in the cache

KINDS = ("default", "reverse", "random", "sorted", "sorted_reverse", "laplace")


@dataclass(frozen=True)
class Ordering:
    """A parsed ``seq_ordering``.

    Attributes:
        kind: One of ``KINDS``.
        bins: Number of bins (``laplace:<n>``).
        bin_size: Approximate sequences per bin (``laplace:.<n>``), instead of ``bins``.
        seed: The seed of ``random:<seed>``, instead of the run's.

    >>> str(Ordering("laplace", bin_size=1000))
    'laplace:.1000'
    """

    kind: str
    bins: int | None = None
    bin_size: int | None = None
    seed: int | None = None

    @property
    def is_random(self) -> bool:
        """Whether the order changes from pass to pass."""
        return self.kind in ("random", "laplace")

    def __str__(self) -> str:
        if self.kind == "laplace":
            return f"laplace:.{self.bin_size}" if self.bin_size else f"laplace:{self.bins}"
        return self.kind if self.seed is None else f"{self.kind}:{self.seed}"


def parse_ordering(text: str) -> Ordering:
    """Parses ``default``, ``reverse``, ``random[:seed]``, ``sorted``, ``sorted_reverse``, ``laplace[:[.]n]``.

    Raises:
        ValueError: It is none of these.

    >>> parse_ordering("laplace:.1000")
    Ordering(kind='laplace', bins=None, bin_size=1000, seed=None)
    """
    if text in ("default", "reverse", "random", "sorted", "sorted_reverse"):
        return Ordering(text)
    if match := re.fullmatch(r"random:(\d+)", text):
        return Ordering("random", seed=int(match[1]))
    if text == "laplace":
        return Ordering("laplace", bins=2)
    if (match := re.fullmatch(r"laplace:(\.?)(\d+)", text)) and int(match[2]) > 0:
        number = int(match[2])
        return Ordering("laplace", bin_size=number) if match[1] else Ordering("laplace", bins=number)
    raise ValueError(
        f"{text!r} is no ordering; expected default, reverse, random, random:<seed>, sorted, "
        "sorted_reverse, laplace, laplace:<bins> or laplace:.<sequences per bin>"
    )


def epoch_order(
    ordering: Ordering,
    lengths: np.ndarray,
    epoch: int,
    seed: int,
    partition_epoch: int = 1,
    fixed_random_seed: int | None = None,
) -> np.ndarray:
    """The sequences of one epoch in order, int32 [n]; int64 where there are more than that can count.

    Args:
        ordering: What to order by.
        lengths: Length of every sequence in the length key, [N].
        epoch: Number of the epoch, from 1.
        seed: The run's seed.
        partition_epoch: An epoch is this part of the full order.
        fixed_random_seed: Keeps one permutation for all epochs, as RETURNN's option of that name.

    >>> epoch_order(parse_ordering("sorted"), np.array([5, 2, 9, 2]), epoch=1, seed=1).tolist()
    [1, 3, 0, 2]
    """
    num_seqs = len(lengths)
    start, end = part_bounds(num_seqs, partition_epoch, (epoch - 1) % partition_epoch)
    if fixed_random_seed is not None:
        permutation = Permutation(num_seqs, fixed_random_seed, 0)
    else:
        number = (epoch - 1) // partition_epoch
        permutation = Permutation(num_seqs, seed if ordering.seed is None else ordering.seed, number)
    kind = position_type(num_seqs)
    if ordering.kind == "default":
        return np.arange(start, end, dtype=kind)
    if ordering.kind == "reverse":
        return np.arange(num_seqs - 1 - start, num_seqs - 1 - end, -1, dtype=kind)
    if ordering.kind == "random":
        return permuted(permutation, start, end, kind)
    if ordering.kind == "laplace":
        return laplace(permutation, lengths, num_bins(ordering, num_seqs))[start:end]
    return sort_by_length(lengths, ordering.kind == "sorted_reverse")[start:end]


def part_bounds(num_seqs: int, parts: int, part: int) -> tuple[int, int]:
    """Where part ``part`` of an order begins and ends; the first ``num_seqs % parts`` are one longer."""
    size, longer = divmod(num_seqs, parts)
    start = part * size + min(part, longer)
    return start, start + size + (part < longer)


def num_bins(ordering: Ordering, num_seqs: int) -> int:
    """The number of bins that a ``laplace`` ordering makes of ``num_seqs`` sequences."""
    if ordering.bin_size is not None:
        return max(num_seqs // ordering.bin_size, 2)
    return ordering.bins or 2


def sort_by_length(lengths: np.ndarray, longest_first: bool) -> np.ndarray:
    """Positions by length, [N]; ties stay in order either way."""
    keys = lengths.astype(np.uint64)
    if longest_first:
        keys ^= _length_mask(lengths)
    return _stable_argsort(keys)


def permuted(
    permutation: Callable[[np.ndarray], np.ndarray], start: int, end: int, kind: np.dtype
) -> np.ndarray:
    """The sequences at ``start`` … ``end`` - 1 of a random order."""
    out = np.empty(end - start, kind)
    for block in blocks(end, start):
        out[block.start - start : block.stop - start] = permutation(np.arange(block.start, block.stop))
    return out


def laplace(permutation: Callable[[np.ndarray], np.ndarray], lengths: np.ndarray, bins: int) -> np.ndarray:
    """Cuts a random order into bins and sorts even ones by rising, odd ones by falling length.

    Args:
        permutation: Gives the sequences at positions of the random order.
        lengths: Length of every sequence, [N].
        bins: Number of bins; bin b begins at b·N//bins of the random order.

    Returns:
        The new order, [N]; ties keep the random order.
    """
    num_seqs = len(lengths)
    kind = position_type(num_seqs)
    if bins >= num_seqs:
        return permuted(permutation, 0, num_seqs, kind)
    order = np.empty(num_seqs, kind)
    edges = np.arange(bins + 1) * num_seqs // bins
    mask = _length_mask(lengths)
    length_bits = int(mask).bit_length()
    # Number of the bin, length and place in the block must fit the 64 bits that are sorted.
    most_bins = 1 << max(64 - length_bits - _BLOCK.bit_length(), 0)
    bins_at_once = max(1, min(_BLOCK * bins // max(num_seqs, 1), most_bins))
    for first in range(0, bins, bins_at_once):
        block = edges[first : first + bins_at_once + 1]
        seqs = permuted(permutation, int(block[0]), int(block[-1]), kind)
        keys = taken(lengths, seqs).astype(np.uint64)
        if len(block) > 2:
            bin_of = np.repeat(np.arange(len(block) - 1, dtype=np.uint64), np.diff(block))
            keys ^= ((bin_of + np.uint64(first)) & np.uint64(1)) * mask
            keys |= bin_of << np.uint64(length_bits)
        elif first % 2:
            keys ^= mask
        order[block[0] : block[-1]] = taken(seqs, _stable_argsort(keys))
    return order


def _length_mask(lengths: np.ndarray) -> np.uint64:
    """All bits that a length can have: exclusive-or with it turns rising order into falling."""
    return np.uint64((1 << int(lengths.max(initial=0)).bit_length()) - 1)


def _stable_argsort(keys: np.ndarray) -> np.ndarray:
    """Positions by key, ties in order, [n]; the bits of key and position must fit 64. ``keys`` is used up.

    One sort of both packed into a number is several times as fast as a stable argsort.
    """
    place_bits = np.uint64(len(keys).bit_length())
    mask = (np.uint64(1) << place_bits) - np.uint64(1)
    keys <<= place_bits
    for block in blocks(len(keys)):
        keys[block] |= np.arange(block.start, block.stop, dtype=np.uint64)
    keys.sort()
    out = np.empty(len(keys), position_type(len(keys)))
    for block in blocks(len(keys)):
        out[block] = keys[block] & mask
    return out
