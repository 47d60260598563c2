"""Collecting sequences from the store into padded arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.records.slices import addresses, copied, interleaved
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.store.record_batches import Block

# From so many bytes a sequence on, a step of Python for each costs less than Arrow's copying all of them.
_LONG_BYTES = 4096

# Of some entries that lie in one block: the block, their places among all entries, their rows in it.
_Group = tuple[Block, np.ndarray, np.ndarray]
# The same for one data key: the block's bytes, where there the entries begin, their places.
_Part = tuple[np.ndarray, np.ndarray, np.ndarray]


class BlockSource(Protocol):
    """Where sequences are: the store, what was staged for one, or what a shuffle brought.

    Attributes:
        data_keys: What the arrays are like.
        block_starts: First row of every block, and N, int64 [blocks + 1].
    """

    @property
    def data_keys(self) -> Mapping[str, ArraySpec]: ...  # noqa: D102

    @property
    def block_starts(self) -> np.ndarray: ...  # noqa: D102

    def block(self, number: int) -> Block:
        """A block's arrays and tags."""
        ...


class SequenceSource(BlockSource, Protocol):
    """One that knows how long its sequences are.

    Attributes:
        lengths: Per data key the frames of every row, int32 [N].
    """

    @property
    def lengths(self) -> Mapping[str, np.ndarray]: ...  # noqa: D102


class GatheredArrays(Mapping[str, np.ndarray]):
    """The arrays of a batch by data key, put together when they are asked for.

    Attributes:
        specs: What the arrays are like.
        shapes: Their shapes.
        pieces: What lies behind one another in each, uint8.
    """

    def __init__(self, specs: Mapping[str, ArraySpec]):
        self.specs = specs
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.pieces: dict[str, list[np.ndarray]] = {}

    def __getitem__(self, key: str) -> np.ndarray:
        pieces = self.pieces[key]
        flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return flat.view(self.specs[key].elements).reshape(self.shapes[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)


class Gatherer:
    """Brings together runs of frames from a source.

    Args:
        source: Where the sequences are.
        take: Gives memory for long sequences, uint8 [size]; without it, arrays of long sequences are made of
            views of the source.
    """

    def __init__(self, source: BlockSource, take: Callable[[int], np.ndarray] | None = None):
        self.source = source
        self._take = take

    def gather(
        self,
        rows: np.ndarray,
        starts: Mapping[str, np.ndarray],
        lengths: Mapping[str, np.ndarray],
        batch_starts: np.ndarray,
        time_axes: Mapping[str, np.ndarray] | None,
    ) -> tuple[list[GatheredArrays], Tags]:
        """The arrays of consecutive batches, and the tags of all entries.

        Args:
            rows: Rows in the source of all entries, [n].
            starts: Per data key the first frame of every entry, [n].
            lengths: Per data key the frames of every entry, [n].
            batch_starts: First entry of every batch, and n, [batches + 1].
            time_axes: Per data key the frames of every batch's time axis, [batches]; None for packed batches.

        Returns:
            Per batch and data key the array, padded [B, T, *feature_shape] or packed [sum of T,
            *feature_shape]; the n tags.
        """
        batch_seqs = np.diff(batch_starts)
        groups = list(self._by_block(rows))
        batches = [GatheredArrays(self.source.data_keys) for _ in batch_seqs]
        for key, spec in self.source.data_keys.items():
            sizes = lengths[key].astype(np.int64) * spec.frame_bytes
            if time_axes is None:
                frames = np.diff(np.concatenate(([0], np.cumsum(lengths[key], dtype=np.int64)))[batch_starts])
                shapes: list[tuple[int, ...]] = [(total,) for total in frames.tolist()]
                strides = sizes
            else:
                shapes = list(zip(batch_seqs.tolist(), time_axes[key].tolist(), strict=True))
                strides = np.repeat(time_axes[key] * spec.frame_bytes, batch_seqs)
            parts = list(_parts(groups, key, starts[key] * spec.frame_bytes, spec.frame_bytes))
            longest = int((strides - sizes).max(initial=0)) // spec.frame_bytes
            pieces = self._pieces(parts, sizes, strides, batch_starts, spec.padding(longest))
            for batch, shape, own in zip(batches, shapes, pieces, strict=True):
                batch.shapes[key] = (*shape, *spec.feature_shape)
                batch.pieces[key] = own
        return batches, _tags(groups, len(rows))

    def _by_block(self, rows: np.ndarray) -> Iterator[_Group]:
        """Every block that the rows lie in."""
        numbers = np.searchsorted(self.source.block_starts, rows, "right") - 1
        order = np.argsort(numbers.astype(np.min_scalar_type(len(self.source.block_starts))), kind="stable")
        edges = np.flatnonzero(np.diff(numbers[order], prepend=-1, append=-1))
        for first, last in pairwise(edges.tolist()):
            chosen = order[first:last]
            number = int(numbers[chosen[0]])
            yield self.source.block(number), chosen, rows[chosen] - self.source.block_starts[number]

    def _pieces(
        self,
        parts: list[_Part],
        sizes: np.ndarray,
        strides: np.ndarray,
        batch_starts: np.ndarray,
        fill: np.ndarray,
    ) -> list[list[np.ndarray]]:
        """Of every batch what lies behind one another in its array."""
        edges = np.concatenate(([0], np.cumsum(strides)))[batch_starts]
        if int(sizes.sum()) < _LONG_BYTES * len(sizes):
            flat = _copied(parts, sizes, strides - sizes, fill)
        else:
            views = _views(parts, sizes, strides - sizes, fill)
            if self._take is None:
                return [views[2 * first : 2 * last] for first, last in pairwise(batch_starts.tolist())]
            flat = np.concatenate(views, out=self._take(int(edges[-1])))
        return [[flat[first:last]] for first, last in pairwise(edges.tolist())]


def _parts(groups: list[_Group], key: str, starts: np.ndarray, frame_bytes: int) -> Iterator[_Part]:
    for block, chosen, local in groups:
        column = block.keys[key]
        data = column.elements.view(np.uint8)
        yield data, column.offsets[local] * np.int64(frame_bytes) + starts[chosen], chosen


def _copied(parts: list[_Part], sizes: np.ndarray, padding: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The entries, padding behind each."""
    places = np.empty(len(sizes), np.int64)
    for data, firsts, chosen in parts:
        places[chosen] = addresses(data, firsts, sizes[chosen])
    if not padding.any():
        return copied(places, sizes)
    fill_places = addresses(fill, np.zeros(len(sizes), np.int64), padding)
    return copied(interleaved(places, fill_places), interleaved(sizes, padding))


def _views(parts: list[_Part], sizes: np.ndarray, padding: np.ndarray, fill: np.ndarray) -> list[np.ndarray]:
    """For every entry a view of it and one of the padding behind it."""
    views = [fill] * (2 * len(sizes))
    views[1::2] = [fill[:size] for size in padding.tolist()]
    for data, firsts, chosen in parts:
        ends = firsts + sizes[chosen]
        for place, first, last in zip(chosen.tolist(), firsts.tolist(), ends.tolist(), strict=True):
            views[2 * place] = data[first:last]
    if sum(map(len, views)) != int(sizes.sum() + padding.sum()):
        raise IndexError("a sequence leads out of its block")
    return views


def _tags(groups: list[_Group], num_entries: int) -> Tags:
    if groups[0][0].tags.stored is not None:
        places, sizes = np.empty(num_entries, np.int64), np.empty(num_entries, np.int64)
        for block, chosen, local in groups:
            tags = block.tags.stored
            assert tags is not None
            sizes[chosen] = tags.offsets[local + 1] - tags.offsets[local]
            places[chosen] = addresses(tags.text, tags.offsets[local].astype(np.int64), sizes[chosen])
        return Tags(copied(places, sizes), np.concatenate(([0], np.cumsum(sizes))))
    prefixes: dict[bytes, int] = {}
    which, numbers = np.empty(num_entries, np.int64), np.empty(num_entries, np.int64)
    for block, chosen, local in groups:
        assert block.tags.numbers is not None
        which[chosen] = prefixes.setdefault(block.tags.prefix, len(prefixes))
        numbers[chosen] = block.tags.numbers[local]
    return Tags.numbered(list(prefixes), which, numbers)
