"""Dropping whole sequences by length (RETURNN's ``max_seq_length``, ``min_seq_length``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

BY_LENGTH = ("max_seq_length:", "min_seq_length:")
"""How the reasons begin that sequences are dropped for here."""


@dataclass(frozen=True)
class LengthLimits:
    """Lengths a sequence may have, per data key; both ends are allowed lengths.

    >>> kept, dropped = drop({"data": np.array([2, 30])}, LengthLimits(longest={"data": 24}, shortest={}))
    >>> kept.tolist(), dropped
    ([True, False], {'max_seq_length:data': 1})
    """

    longest: Mapping[str, int]
    shortest: Mapping[str, int]


def drop(
    lengths: Mapping[str, np.ndarray], limits: LengthLimits, among: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, int]]:
    """Which sequences stay.

    Args:
        lengths: Per data key the length of every sequence, [N].
        limits: The lengths allowed.
        among: Which are looked at, the others are not counted, bool [N]; default: all.

    Returns:
        A mask of those that stay, bool [N], and how many were dropped by reason (``max_seq_length:data``);
        a sequence that breaks several limits counts under the first.
    """
    num_seqs = len(next(iter(lengths.values())))
    kept = np.ones(num_seqs, bool) if among is None else among.copy()
    dropped: dict[str, int] = {}
    rules = [(f"max_seq_length:{key}", lengths[key] <= limit) for key, limit in limits.longest.items()]
    rules += [(f"min_seq_length:{key}", lengths[key] >= limit) for key, limit in limits.shortest.items()]
    for reason, allowed in rules:
        count = int(np.count_nonzero(kept & ~allowed))
        if count:
            dropped[reason] = count
        kept &= allowed
    return kept, dropped
