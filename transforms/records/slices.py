"""Slices of arrays behind one another: what lies scattered is copied by the slice, not by the element."""

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
    return copied(addresses(data, starts, sizes), sizes * data.itemsize).view(data.dtype)


def addresses(data: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Where in memory slices of an array begin, int64 [n]; arguments and errors are those of ``slices``."""
    if len(starts) and (starts.min() < 0 or sizes.min() < 0 or (starts + sizes).max() > len(data)):
        raise IndexError(f"a slice leads out of the {len(data):,} elements")
    return starts.astype(np.int64) * data.itemsize + int(data.__array_interface__["data"][0])


def copied(addresses: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """What lies at some addresses, which may be those of many arrays, behind one another, uint8.

    Args:
        addresses: As the function of this name gives them, int64 [n]; their arrays must still be held.
        sizes: Bytes at each, [n].
    """
    if len(addresses) == 0:
        return np.empty(0, np.uint8)
    # Arrow takes strings: every second one is a slice, the others are what lies between two slices. Those are
    # never taken, so it does not matter that some would have to run backwards, or over what is not ours.
    lowest, total = int(addresses.min()), int(sizes.sum())
    ends = np.zeros(2 * len(addresses) + 2, np.int64)
    np.subtract(addresses, lowest, out=ends[1:-1:2])
    np.add(ends[1:-1:2], sizes, out=ends[2::2])
    # For each that is taken it asks for memory of the mean size, which is the last end by the number of all:
    # a last string makes that what is needed, and not a part of how far the slices lie from each other.
    ends[-1] = -(-total * (len(ends) - 1) // len(addresses)) + 2
    buffers = [None, pa.py_buffer(ends), pa.foreign_buffer(lowest, int(ends.max()))]
    strings = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends) - 1, buffers)
    taken = strings.take(pa.array(np.arange(1, 2 * len(addresses), 2)))
    return np.frombuffer(taken.buffers()[2], np.uint8)


def interleaved(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``first[0], second[0], first[1], …``, int64."""
    both = np.empty(2 * len(first), np.int64)
    both[0::2], both[1::2] = first, second
    return both
