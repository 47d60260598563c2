"""Collecting sequences from the store into padded arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.records.slices import interleaved, slices
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.store.sequence_store import Block

# From so many bytes a sequence on, a copy each is faster than taking all and ordering them.
_LOOP_BYTES = 1024

# Of some entries that lie in one block: the block, their places among all entries, their rows in it.
_Group = tuple[Block, np.ndarray, np.ndarray]
# The same for one data key: the block's elements, the entries' first elements there, their places.
_Part = tuple[np.ndarray, np.ndarray, np.ndarray]


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
    """Copies runs of frames from a source into flat buffers; keeps the buffers for the next call.

    Args:
        source: Where the sequences are.
        take: Gives the bytes of a buffer, uint8 [size], for what is to outlive the next call; then none are
            kept.
    """

    def __init__(self, source: SequenceSource, take: Callable[[int], np.ndarray] | None = None):
        self.source = source
        self._take = take
        self._buffers: dict[str, np.ndarray] = {}

    def gather(
        self,
        rows: np.ndarray,
        starts: Mapping[str, np.ndarray],
        lengths: Mapping[str, np.ndarray],
        batch_starts: np.ndarray,
        longest: Mapping[str, np.ndarray] | None,
    ) -> tuple[list[dict[str, np.ndarray]], Tags]:
        """The arrays of consecutive batches, valid until the next call, and the tags of all entries.

        Args:
            rows: Rows in the source of all entries, [n].
            starts: Per data key the first frame of every entry, [n].
            lengths: Per data key the frames of every entry, [n].
            batch_starts: First entry of every batch, and n, [batches + 1].
            longest: Per data key the frames of every batch's time axis, [batches]; None for packed batches.

        Returns:
            Per batch and data key the array, padded [B, T, *feature_shape] or packed [sum of T,
            *feature_shape]; the n tags.
        """
        batch_seqs = np.diff(batch_starts)
        groups = list(self._by_block(rows))
        batches: list[dict[str, np.ndarray]] = [{} for _ in batch_seqs]
        for key, spec in self.source.data_keys.items():
            frame_size = spec.frame_size
            parts = list(_parts(groups, key, starts[key], frame_size))
            sizes = lengths[key].astype(np.int64) * frame_size
            if longest is None:
                frames = np.diff(np.concatenate(([0], np.cumsum(lengths[key], dtype=np.int64)))[batch_starts])
                shapes: list[tuple[int, ...]] = [(total,) for total in frames.tolist()]
                strides = sizes
            else:
                frames = batch_seqs * longest[key]
                shapes = list(zip(batch_seqs.tolist(), longest[key].tolist(), strict=True))
                strides = np.repeat(longest[key] * frame_size, batch_seqs)
            if int(sizes.sum()) * spec.elements.itemsize >= _LOOP_BYTES * len(sizes):
                padded = self._buffer(key, int(strides.sum()))
                _copy_each(parts, sizes, strides, padded)
            else:
                padded = _take(parts, sizes, strides)
            edges = np.concatenate(([0], np.cumsum(frames * frame_size)))
            for batch, shape, (first, last) in zip(batches, shapes, pairwise(edges.tolist()), strict=True):
                batch[key] = padded[first:last].reshape(*shape, *spec.feature_shape)
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
        dtype = self.source.data_keys[key].elements
        if self._take is not None:
            return self._take(size * dtype.itemsize).view(dtype)
        held = self._buffers.get(key)
        if held is None or len(held) < size:
            held = np.empty(size, dtype)
            self._buffers[key] = held
        return held[:size]


def _parts(groups: list[_Group], key: str, starts: np.ndarray, frame_size: int) -> Iterator[_Part]:
    for block, chosen, local in groups:
        column = block.keys[key]
        yield column.elements, (column.offsets[local] + starts[chosen]) * frame_size, chosen


def _tags(groups: list[_Group], num_entries: int) -> Tags:
    tags = Tags.concatenate(block.tags.take(local) for block, _, local in groups)
    place = np.empty(num_entries, np.int64)
    place[np.concatenate([chosen for _, chosen, _ in groups])] = np.arange(num_entries)
    return tags.take(place)


def _copy_each(parts: list[_Part], sizes: np.ndarray, strides: np.ndarray, padded: np.ndarray) -> None:
    """Copies every entry by itself to ``padded``, zeros behind it, ``strides`` elements in all."""
    places = np.cumsum(strides) - strides
    for elements, firsts, chosen in parts:
        columns = (firsts.tolist(), sizes[chosen].tolist(), places[chosen].tolist(), strides[chosen].tolist())
        for first, size, place, stride in zip(*columns, strict=True):
            padded[place : place + size] = elements[first : first + size]
            padded[place + size : place + stride] = 0


def _take(parts: list[_Part], sizes: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Collects the entries part by part, then puts them in order, zeros behind each."""
    found = [slices(elements, firsts, sizes[chosen]) for elements, firsts, chosen in parts]
    order = np.concatenate([chosen for _, _, chosen in parts])
    ends = np.cumsum(sizes[order])
    places = np.empty(len(sizes), np.int64)
    places[order] = ends - sizes[order]
    padding = strides - sizes
    data = np.concatenate([*found, np.zeros(int(padding.max()), found[0].dtype)])
    zeros = np.full(len(sizes), ends[-1])
    return slices(data, interleaved(places, zeros), interleaved(sizes, padding))
