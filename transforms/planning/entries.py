"""What an epoch consists of, in order, before it is cut into batches: sequences, or chunks of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.planning import chunk as chunking
from seqmill.transforms.planning.blocks import blocks, taken
from seqmill.transforms.planning.chunk import Chunking


@dataclass(frozen=True)
class Entries:
    """Entries of an epoch in order.

    Attributes:
        seq_index: Row in the store of every entry, int32 or int64 [n].
        chunk: Number of the chunk in its sequence, from 0, int32 [n]; None where nothing is chunked.
        lengths: Per data key the frames of every entry, [n].
        chunk_start: First frame in the length key, int32 [n].
    """

    seq_index: np.ndarray
    chunk: np.ndarray | None
    lengths: Mapping[str, np.ndarray]
    chunk_start: np.ndarray


def make_entries(
    order: np.ndarray, rows: np.ndarray, lengths: Mapping[str, np.ndarray], rules: Chunking, length_key: str
) -> Entries:
    """The entries of an epoch.

    Args:
        order: The sequences of the epoch in order, as positions in ``rows``, [m].
        rows: Rows in the store of all sequences that take part, [N].
        lengths: Per data key their lengths, [N].
        rules: How they are chunked.
        length_key: The data key of ``chunk_start``.
    """
    if rules:
        return _chunks(order, rows, lengths, rules, length_key)
    return Entries(
        seq_index=order if _are_positions(rows) else taken(rows, order),
        chunk=None,
        lengths={key: taken(column, order) for key, column in lengths.items()},
        chunk_start=np.broadcast_to(np.int32(0), len(order)),
    )


def _are_positions(rows: np.ndarray) -> bool:
    """Whether rows are 0, 1, 2, …"""
    if not len(rows) or rows[-1] != len(rows) - 1:
        return False
    return all(np.array_equal(rows[block], np.arange(block.start, block.stop)) for block in blocks(len(rows)))


def _chunks(
    order: np.ndarray, rows: np.ndarray, lengths: Mapping[str, np.ndarray], rules: Chunking, length_key: str
) -> Entries:
    counts = np.empty(len(order), np.int32)
    for block in blocks(len(order)):
        counts[block] = chunking.num_chunks({key: n[order[block]] for key, n in lengths.items()}, rules)
    total = int(counts.sum(dtype=np.int64))
    seq_index, chunk = np.empty(total, rows.dtype), np.empty(total, np.int32)
    of_keys, starts = {key: np.empty(total, np.int32) for key in lengths}, np.empty(total, np.int32)
    end = 0
    for block in blocks(len(order)):
        own = counts[block]
        here = slice(end, end + int(own.sum(dtype=np.int64)))
        seq_index[here] = np.repeat(rows[order[block]], own)
        chunk[here] = np.arange(here.stop - end) - np.repeat(np.cumsum(own) - own, own)
        for key, column in lengths.items():
            whole = np.repeat(column[order[block]], own)
            of_keys[key][here] = chunking.chunk_lengths(key, whole, chunk[here], rules)
            if key == length_key:
                starts[here] = chunking.chunk_starts(key, whole, chunk[here], rules)
        end = here.stop
    return Entries(seq_index, chunk, of_keys, starts)
