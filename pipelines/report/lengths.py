"""How long sequences are, and what limits would drop."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from seqmill.pipelines.report.drawing import bars
from seqmill.pipelines.report.page import Section, heading, table
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.sequence_store import Store

_MOST_BARS = 60
_SHOWN = 99.9  # percentile up to which bars are of equal width
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99, 99.9)
_LIMITS = (95, 99, 99.9)


def section(store: Store, options: EpochOptions) -> Section:
    """Histogram, percentiles and limits per data key of all sequences of a store.

    Args:
        store: The store.
        options: Of the corpus; of them the limits in force are told.
    """
    limits = options.length_limits
    told = [
        f"`{name} = {limit}` for {key}"
        for name, table_ in (("min_seq_length", limits.shortest), ("max_seq_length", limits.longest))
        for key, limit in table_.items()
    ]
    now = f" Now: {', '.join(told)}." if told else " No limit is set."
    parts = [part for key in store.lengths for part in _of_key(key, store.lengths[key])]
    return Section(
        f"Lengths of {store.manifest.corpus}",
        "Frames of the sequences in the store, before any is dropped; the last bar reaches to the longest, "
        "however long that is. The tables say what `max_seq_length` at some percentiles would leave "
        f"out.{now}",
        tuple(parts),
    )


def _of_key(key: str, lengths: np.ndarray) -> Iterator[str]:
    ascending = np.sort(lengths)
    edges, counts = histogram(ascending)
    names = [f"{a:,}" if b - a == 1 else f"{a:,} to {b - 1:,}" for a, b in pairwise(edges)]
    yield heading(key)
    yield bars(
        [edge + (edges[1] - edges[0] - 1) / 2 for edge in edges[:-1]],
        counts,
        f"frames of {key}",
        "sequences",
        [f"{name} frames: {counted(number, 'sequence')}" for name, number in zip(names, counts, strict=True)],
    )
    percentiles = [_percentile(ascending, percent) for percent in _PERCENTILES]
    yield table(
        ["shortest", *(f"p{percent:g}" for percent in _PERCENTILES), "longest", "mean"],
        [[int(ascending[0]), *percentiles, int(ascending[-1]), f"{ascending.mean():,.1f}"]],
    )
    total = int(ascending.sum(dtype=np.int64))
    rows = []
    for percent in _LIMITS:
        limit = _percentile(ascending, percent)
        dropped = len(ascending) - int(ascending.searchsorted(limit, "right"))
        lost = int(ascending[len(ascending) - dropped :].sum(dtype=np.int64))
        rows.append([f"{limit:,} (p{percent:g})", dropped, lost, f"{lost / max(total, 1):.2%}"])
    yield table([f"max_seq_length of {key}", "drops sequences", "frames", "of all frames"], rows)


def histogram(ascending: np.ndarray) -> tuple[list[int], list[int]]:
    """A histogram with few bars whatever the lengths are.

    Args:
        ascending: The lengths, at least one.

    Returns:
        Where bars begin, and the end of the last; and what each counts. All have the same width but the last,
        which holds what is longer than 99.9 % of all.

    >>> histogram(np.array([1, 1, 2, 4]))
    ([1, 2, 3, 4, 5], [2, 1, 0, 1])
    """
    first, last = int(ascending[0]), int(ascending[-1])
    shown = _percentile(ascending, _SHOWN)
    width = max(-(-(shown - first + 1) // _MOST_BARS), 1)
    edges = [*range(first, shown + 1, width)]
    if edges[-1] + width <= last:
        edges.append(edges[-1] + width)
    edges.append(max(edges[-1] + width, last + 1))
    return edges, np.diff(ascending.searchsorted(edges)).tolist()


def _percentile(ascending: np.ndarray, percent: float) -> int:
    """The least length that at least so many percent do not exceed."""
    place = max(int(np.ceil(len(ascending) * percent / 100)) - 1, 0)
    return int(ascending[place])
