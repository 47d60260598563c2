"""Collecting sequences from the store into padded arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transforms.store import Store

_LOOP_BYTES = 2048  # from so many bytes a sequence on, a copy each is as fast as copying element by element


class Gatherer:
    """Copies runs of frames from a store into flat buffers; keeps the buffers for the next call."""

    def __init__(self, store: Store):
        self.store = store
        self._buffers: dict[str, np.ndarray] = {}

    def pad(
        self,
        rows: np.ndarray,
        starts: Mapping[str, np.ndarray],
        lengths: Mapping[str, np.ndarray],
        batch_starts: np.ndarray,
        longest: Mapping[str, np.ndarray],
    ) -> list[dict[str, np.ndarray]]:
        """Padded arrays of consecutive batches; valid until the next call.

        Args:
            rows: Rows in the store of all entries, [n].
            starts: Per data key the first frame of every entry, [n].
            lengths: Per data key the frames of every entry, [n].
            batch_starts: First entry of every batch, and n, [batches + 1].
            longest: Per data key the frames of every batch's time axis, [batches].

        Returns:
            Per batch and data key the array [B, T, *feature_shape].
        """
        batch_seqs = np.diff(batch_starts)
        batches: list[dict[str, np.ndarray]] = [{} for _ in batch_seqs]
        for key, spec in self.store.manifest.data_keys.items():
            frame_size = int(np.prod(spec.feature_shape))
            sizes = batch_seqs * longest[key] * frame_size
            edges = np.concatenate(([0], np.cumsum(sizes)))
            strides = np.repeat(longest[key] * frame_size, batch_seqs)
            places = np.repeat(edges[:-1], batch_seqs)
            places += (
                np.arange(len(rows)) - np.repeat(batch_starts[:-1] - batch_starts[0], batch_seqs)
            ) * strides
            buffer = self._buffer(key, int(edges[-1]))
            self._copy(
                key, rows, starts[key] * frame_size, lengths[key] * frame_size, buffer, places, strides
            )
            for i, batch in enumerate(batches):
                shape = (int(batch_seqs[i]), int(longest[key][i]), *spec.feature_shape)
                batch[key] = buffer[edges[i] : edges[i + 1]].reshape(shape)
        return batches

    def tags(self, rows: np.ndarray) -> list[bytes]:
        """The tags of sequences."""
        tags = []
        starts = self.store.block_starts
        for row, number in zip(rows.tolist(), self._block_numbers(rows).tolist(), strict=True):
            tags.append(self.store.block(number).tags[row - int(starts[number])])
        return tags

    def _copy(
        self,
        key: str,
        rows: np.ndarray,
        starts: np.ndarray,
        sizes: np.ndarray,
        buffer: np.ndarray,
        places: np.ndarray,
        strides: np.ndarray,
    ) -> None:
        """Copies ``sizes`` elements from ``starts`` on to ``places``; zeros from there up to ``strides``."""
        numbers = self._block_numbers(rows)
        frame_size = int(np.prod(self.store.manifest.data_keys[key].feature_shape))
        in_loop = int(sizes.sum()) * buffer.itemsize >= _LOOP_BYTES * len(rows)
        if not in_loop:
            buffer[:] = 0
        by_block = np.argsort(numbers, kind="stable")
        edges = np.flatnonzero(np.diff(numbers[by_block], prepend=-1, append=-1))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            chosen = by_block[first:last]
            number = int(numbers[chosen[0]])
            block = self.store.block(number).keys[key]
            local = rows[chosen] - self.store.block_starts[number]
            sources = block.offsets[local].astype(np.int64) * frame_size + starts[chosen]
            copy = _copy_runs if in_loop else _copy_elements
            copy(block.elements, sources, sizes[chosen], buffer, places[chosen], strides[chosen])

    def _block_numbers(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.store.block_starts, rows, "right") - 1

    def _buffer(self, key: str, size: int) -> np.ndarray:
        held = self._buffers.get(key)
        if held is None or len(held) < size:
            held = np.empty(size, self.store.manifest.data_keys[key].dtype)
            self._buffers[key] = held
        return held[:size]


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
    elements: np.ndarray,
    sources: np.ndarray,
    sizes: np.ndarray,
    buffer: np.ndarray,
    places: np.ndarray,
    strides: np.ndarray,
) -> None:
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    buffer[np.repeat(places, sizes) + within] = elements[np.repeat(sources, sizes) + within]
