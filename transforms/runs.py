"""Runs of consecutive numbers behind one another: positions of what lies scattered in a flat array."""

from __future__ import annotations

import numpy as np


def runs(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``starts[0]``, ``starts[0] + 1``, … (``sizes[0]`` numbers), then those from ``starts[1]`` on, …, int64.

    Args:
        starts: First number of every run, [n].
        sizes: Numbers of every run, each at least 1, [n].
    """
    steps = np.ones(int(sizes.sum()), np.int64)
    if len(steps):
        # Within a run one further, from the end of a run to the start of the next.
        steps[0] = starts[0]
        steps[np.cumsum(sizes[:-1])] = starts[1:] - (starts[:-1] + sizes[:-1] - 1)
    return np.cumsum(steps, out=steps)
