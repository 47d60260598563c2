"""An epoch as seqmill's functions make it, in the form of ``returnn_corpus``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from returnn_corpus import KEYS, Chunk

from seqmill.transforms.planning.batch import BatchLimits, cut_batches
from seqmill.transforms.planning.chunk import Chunking, chunk_lengths, chunk_starts, num_chunks


def seqmill_chunks(lengths: Mapping[str, np.ndarray], order: np.ndarray, chunking: Chunking) -> list[Chunk]:
    rows, starts, frames = _expand(lengths, order, chunking)
    columns = [list(zip(starts[key], starts[key] + frames[key], strict=True)) for key in KEYS]
    return [
        (int(row), *((int(start), int(end)) for start, end in ends))
        for row, *ends in zip(rows, *columns, strict=True)
    ]


def seqmill_batches(
    lengths: Mapping[str, np.ndarray], order: np.ndarray, chunking: Chunking, limits: BatchLimits
) -> list[list[Chunk]]:
    chunks = seqmill_chunks(lengths, order, chunking)
    _, _, frames = _expand(lengths, order, chunking)
    cuts = cut_batches(frames, len(chunks), limits).tolist()
    return [chunks[start:end] for start, end in itertools.pairwise(cuts)]


def _expand(
    lengths: Mapping[str, np.ndarray], order: np.ndarray, chunking: Chunking
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    ordered = {key: lengths[key][order] for key in KEYS}
    counts = num_chunks(ordered, chunking)
    chunks = np.concatenate([np.arange(count) for count in counts])
    repeated = {key: np.repeat(ordered[key], counts) for key in KEYS}
    starts = {key: chunk_starts(key, repeated[key], chunks, chunking) for key in KEYS}
    frames = {key: chunk_lengths(key, repeated[key], chunks, chunking) for key in KEYS}
    return np.repeat(order, counts), starts, frames
