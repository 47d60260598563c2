"""Columns of very many sequences, handled a block at a time: what NumPy needs beside them stays small.

Positions are int32 where there are no more than that can count, which halves what planning holds. NumPy
copies positions to int64 before it looks anything up by them; a block at a time, that hardly costs memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_BLOCK = 1 << 20


def blocks(num: int, start: int = 0) -> Iterator[slice]:
    """Consecutive ranges of ``start`` … ``num`` - 1.

    >>> [*blocks(3)], len([*blocks(10_000_000)])
    ([slice(0, 3, None)], 10)
    """
    for first in range(start, num, _BLOCK):
        yield slice(first, min(first + _BLOCK, num))


def position_type(num: int) -> np.dtype:
    """The type of positions among ``num``: int32, or int64 where there are more."""
    return np.dtype(np.int32 if num <= np.iinfo(np.int32).max else np.int64)


def positions(num: int) -> np.ndarray:
    """0 … ``num`` - 1."""
    return np.arange(num, dtype=position_type(num))


def taken(column: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``column[rows]``, [n]."""
    out = np.empty(len(rows), column.dtype)
    for block in blocks(len(rows)):
        out[block] = column[rows[block]]
    return out


def positions_where(mask: np.ndarray) -> np.ndarray:
    """Where a mask [N] is true, ascending."""
    out = np.empty(np.count_nonzero(mask), position_type(len(mask)))
    end = 0
    for block in blocks(len(mask)):
        found = np.flatnonzero(mask[block])
        out[end : end + len(found)] = found + block.start
        end += len(found)
    return out
