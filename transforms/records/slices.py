"""Slices of an array behind one another: what lies scattered is copied by the slice, not by the element."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def slices(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``data[starts[0]:][:sizes[0]]``, then ``data[starts[1]:][:sizes[1]]``, …

    Args:
        data: A flat, contiguous array.
        starts: First element of every slice, in any order; slices may overlap, [n].
        sizes: Elements of every slice, 0 at least, [n].

    Raises:
        IndexError: A slice leads out of ``data``.
    """
    if len(starts) == 0:
        return data[:0]
    if starts.min() < 0 or sizes.min() < 0 or (starts + sizes).max() > len(data):
        raise IndexError(f"a slice leads out of the {len(data):,} elements")
    # Arrow takes strings: every second one is a slice, the others are what lies between two slices. Those are
    # never taken, so it does not matter that some would have to run backwards.
    ends = np.zeros(2 * len(starts) + 1, np.int64)
    ends[1::2], ends[2::2] = starts, starts + sizes
    ends *= data.itemsize
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    strings = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 2 * len(starts), buffers)
    taken = strings.take(pa.array(np.arange(1, 2 * len(starts), 2)))
    return np.frombuffer(taken.buffers()[2], data.dtype)


def interleaved(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``first[0], second[0], first[1], …``, int64."""
    both = np.empty(2 * len(first), np.int64)
    both[0::2], both[1::2] = first, second
    return both
