"""Cutting sequences into chunks (RETURNN's ``chunking`` and ``min_chunk_size``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DISAGREE = -1


@dataclass(frozen=True)
class KeyChunking:
    """How one data key is chunked, in frames: chunks of ``size`` begin every ``step``.

    ``min_size``: after the first, a chunk with at most this many frames left is not made.

    >>> num_chunks({"data": np.array([200])}, {"data": KeyChunking(100, 75)}).tolist()
    [3]
    """

    size: int
    step: int
    min_size: int = 0


Chunking = Mapping[str, KeyChunking]
"""Per chunked data key how; keys that are not in it go whole into every chunk."""


def parse_chunking(text: str) -> tuple[int, int]:
    """``"100:75"`` or ``"100,75"`` as (size, step); ``"100"`` has step = size; ``"0"`` is (0, 0), off.

    Raises:
        ValueError: It is not of that form.

    >>> parse_chunking("100:75"), parse_chunking("100")
    ((100, 75), (100, 100))
    """
    match = re.fullmatch(r"\s*(\d+)\s*(?:[:,]\s*(\d+)\s*)?", text)
    if not match:
        raise ValueError(f"{text!r} is no chunking; expected size or size:step, such as 100 or 100:75")
    size = int(match[1])
    step = int(match[2]) if match[2] else size
    if size > 0 and step == 0:
        raise ValueError(f"{text!r} has step 0; expected a step of at least 1")
    return (size, step) if size else (0, 0)


def num_chunks(lengths: Mapping[str, np.ndarray], chunking: Chunking) -> np.ndarray:
    """Chunks of every sequence, int64 [N].

    A chunked key of length 0 or 1, such as one label for the whole sequence, is repeated whole in every
    chunk and has no say in the number (RETURNN does so where that key's step is 0); where the others
    differ in their number, it is ``DISAGREE``.

    Args:
        lengths: Per data key the length of every sequence, [N].
        chunking: How the keys are chunked.
    """
    total = np.zeros(len(next(iter(lengths.values()))), np.int64)
    for key, rule in chunking.items():
        per_key = _num_chunks_of_key(lengths[key], rule)
        has_say = lengths[key] > 1
        differs = has_say & (total != 0) & (total != per_key)
        total = np.where(has_say & (total == 0), per_key, total)
        total[differs] = DISAGREE
    total[total == 0] = 1
    return total


def chunk_starts(key: str, lengths: np.ndarray, chunks: np.ndarray, chunking: Chunking) -> np.ndarray:
    """First frame of chunks in one data key, int64 [n].

    Args:
        key: The data key.
        lengths: Lengths of the whole sequences in that key, [n].
        chunks: Number of the chunk in its sequence, from 0, [n].
        chunking: How the keys are chunked.
    """
    if key not in chunking:
        return np.zeros(len(lengths), np.int64)
    return np.where(lengths > 1, chunks * chunking[key].step, 0)


def chunk_lengths(key: str, lengths: np.ndarray, chunks: np.ndarray, chunking: Chunking) -> np.ndarray:
    """Frames of chunks in one data key, int64 [n]; arguments as for ``chunk_starts``."""
    if key not in chunking:
        return lengths.astype(np.int64)
    starts = chunk_starts(key, lengths, chunks, chunking)
    return np.where(lengths > 1, np.minimum(lengths - starts, chunking[key].size), lengths)


def _num_chunks_of_key(lengths: np.ndarray, rule: KeyChunking) -> np.ndarray:
    # Starts 0, step, … below the length; those after 0 must leave more than min_size frames.
    left = np.maximum(lengths.astype(np.int64) - max(rule.min_size, 0), 1)
    return -(-left // rule.step)
