"""Collecting sequences from the store into padded arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from transforms.manifest import ArraySpec
from transforms.runs import runs
from transforms.store import Block
from transforms.tags import Tags

_LOOP_BYTES = 1024  # from so many bytes a sequence on, a copy each is faster than copying element by element
_ELEMENTS = 1 << 16  # copied element by element at once: their positions stay in the cache

# Of some entries that lie in one block: the block, their places among all entries, their rows in it.
_Group = tuple[Block, np.ndarray, np.ndarray]


class SequenceSource(Protocol):
    """Where sequences are: the store, or what a shuffle brought of it.

    Attributes:
        data_keys: What the arrays are like.
        lengths: Per data key the frames of every row, int32 [N].
        block_starts: First row of every block, and N, int64 [blocks + 1].
    """

    @property
    def data_keys(self) -> Mapping[str, ArraySpec]: ...  # noqa: D102

    @property
    def lengths(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102

    @property
    def block_starts(self) -> np.ndarray: ...  # noqa: D102

    def block(self, number: int) -> Block:
        """A block's arrays and tags."""
        ...


class Gatherer:
    """Copies runs of frames from a source into flat buffers; keeps the buffers for the next call."""

    def __init__(self, source: SequenceSource):
        self.source = source
        self._buffers: dict[str, np.ndarray] = {}

    def gather(
        self,
        rows: np.ndarray,
        starts: Mapping[str, np.ndarray],
        lengths: Mapping[str, np.ndarray],
        batch_starts: np.ndarray,
        longest: Mapping[str, np.ndarray],
    ) -> tuple[list[dict[str, np.ndarray]], Tags]:
        """Padded arrays of consecutive batches, valid until the next call, and the tags of all entries.

        Args:
            rows: Rows in the source of all entries, [n].
            starts: Per data key the first frame of every entry, [n].
            lengths: Per data key the frames of every entry, [n].
            batch_starts: First entry of every batch, and n, [batches + 1].
            longest: Per data key the frames of every batch's time axis, [batches].

        Returns:
            Per batch and data key the array [B, T, *feature_shape]; the n tags.
        """
        batch_seqs = np.diff(batch_starts)
        within_batch = np.arange(len(rows)) - np.repeat(batch_starts[:-1], batch_seqs)
        groups = list(self._by_block(rows))
        batches: list[dict[str, np.ndarray]] = [{} for _ in batch_seqs]
        for key, spec in self.source.data_keys.items():
            frame_size = int(np.prod(spec.feature_shape))
            sizes = longest[key] * frame_size
            edges = np.concatenate(([0], np.cumsum(batch_seqs * sizes)))
            buffer = self._buffer(key, int(edges[-1]))
            strides = np.repeat(sizes, batch_seqs)
            places = np.repeat(edges[:-1], batch_seqs) + within_batch * strides
            _copy(groups, key, starts[key], lengths[key], frame_size, buffer, places, strides)
            shapes = zip(batch_seqs.tolist(), longest[key].tolist(), strict=True)
            for batch, shape, (first, last) in zip(batches, shapes, pairwise(edges.tolist()), strict=True):
                batch[key] = buffer[first:last].reshape(*shape, *spec.feature_shape)
        return batches, _tags(groups, len(rows))

    def _by_block(self, rows: np.ndarray) -> Iterator[_Group]:
        """Every block that the rows lie in; entries in the order of the source, which is read faster so."""
        order = np.argsort(rows)
        numbers = np.searchsorted(self.source.block_starts, rows[order], "right") - 1
        edges = np.flatnonzero(np.diff(numbers, prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            chosen, number = order[first:last], int(numbers[first])
            yield self.source.block(number), chosen, rows[chosen] - self.source.block_starts[number]

    def _buffer(self, key: str, size: int) -> np.ndarray:
        held = self._buffers.get(key)
        if held is None or len(held) < size:
            held = np.empty(size, self.source.data_keys[key].dtype)
            self._buffers[key] = held
        return held[:size]


def _tags(groups: list[_Group], num_entries: int) -> Tags:
    tags = Tags.concatenate(block.tags.take(local) for block, _, local in groups)
    place = np.empty(num_entries, np.int64)
    place[np.concatenate([chosen for _, chosen, _ in groups])] = np.arange(num_entries)
    return tags.take(place)


def _copy(
    groups: list[_Group],
    key: str,
    starts: np.ndarray,
    lengths: np.ndarray,
    frame_size: int,
    buffer: np.ndarray,
    places: np.ndarray,
    strides: np.ndarray,
) -> None:
    """Copies ``lengths`` frames from ``starts`` on to ``places``; zeros from there up to ``strides``."""
    sizes = lengths.astype(np.int64) * frame_size
    long = int(sizes.sum()) * buffer.itemsize >= _LOOP_BYTES * len(sizes)
    if not long:
        buffer[:] = 0
    for block, chosen, local in groups:
        elements, offsets = block.keys[key].elements, block.keys[key].offsets
        sources = (offsets[local] + starts[chosen]) * frame_size
        if long:
            _copy_runs(elements, sources, sizes[chosen], buffer, places[chosen], strides[chosen])
        else:
            _copy_elements(elements, sources, sizes[chosen], buffer, places[chosen])


def _copy_runs(
    elements: np.ndarray,
    sources: np.ndarray,
    sizes: np.ndarray,
    buffer: np.ndarray,
    places: np.ndarray,
    strides: np.ndarray,
) -> None:
    columns = (sources.tolist(), sizes.tolist(), places.tolist(), strides.tolist())
    for source, size, place, stride in zip(*columns, strict=True):
        buffer[place : place + size] = elements[source : source + size]
        buffer[place + size : place + stride] = 0


def _copy_elements(
    elements: np.ndarray, sources: np.ndarray, sizes: np.ndarray, buffer: np.ndarray, places: np.ndarray
) -> None:
    ends = np.cumsum(sizes)
    first, done = 0, 0
    while first < len(sizes):
        last = max(first + 1, int(np.searchsorted(ends, done + _ELEMENTS, "right")))
        here, done = slice(first, last), int(ends[last - 1])
        buffer[runs(places[here], sizes[here])] = elements[runs(sources[here], sizes[here])]
        first = last
