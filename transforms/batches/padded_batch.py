"""One mini-batch as the shards hold it, and making the batches of a segment from sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from seqmill.transforms.batches.gather import Gatherer, SequenceSource
from seqmill.transforms.batches.plan_file import PlannedBatches
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.small_elements import widen
from seqmill.transforms.planning.chunk import chunk_lengths, chunk_starts
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.storage.errors import SeqmillError

_WINDOW_BYTES = 16_000_000  # small batches are gathered several at once


@dataclass(frozen=True)
class PaddedBatch:
    """One mini-batch of B sequences (or chunks).

    Attributes:
        arrays: Per data key the padded array [B, T, …], little-endian, 0 (or the label ``pad``) where there
            is no frame; of a packed batch its sequences behind one another, [sum of T, …]. On the way to a
            record they hold the elements of the store; once read they are as models take them.
        lengths: Per data key the true lengths, int64 [B].
        seq_tags: The sequences' tags, B of them.
        seq_index: Rows in the store, int64 [B].
        chunk_start: First frame of each chunk in the length key, int64 [B].
        batch_index: Position of the batch in its epoch, over all shards, from 0.
        packed: Whether its sequences lie behind one another.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> batch = next(seqmill.read_epoch("work/epochs/train", manifest, manifest.epochs[0]))
    >>> batch.arrays["data"].shape, batch.lengths["data"].tolist()
    ((3, 7), [2, 4, 7])
    """

    arrays: Mapping[str, np.ndarray]
    lengths: Mapping[str, np.ndarray]
    seq_tags: Tags | list[bytes]
    seq_index: np.ndarray
    chunk_start: np.ndarray
    batch_index: int
    packed: bool = False

    def num_frames(self, key: str) -> int:
        """Frames of the array of a data key, padding included."""
        shape = self.arrays[key].shape
        return shape[0] if self.packed else shape[0] * shape[1]

    def sequence(self, key: str, row: int) -> np.ndarray:
        """The frames of one sequence in a data key, [T, …]."""
        length = int(self.lengths[key][row])
        if not self.packed:
            return self.arrays[key][row, :length]
        start = int(self.lengths[key][:row].sum())
        return self.arrays[key][start : start + length]


def widened(batch: PaddedBatch, data_keys: Mapping[str, ArraySpec]) -> PaddedBatch:
    """A batch with its arrays as models read them."""
    if not any(spec.is_small for spec in data_keys.values()):
        return batch
    return replace(batch, arrays={key: widen(batch.arrays[key], spec) for key, spec in data_keys.items()})


def padded_batches(
    source: SequenceSource,
    rows: np.ndarray,
    planned: PlannedBatches,
    options: EpochOptions,
) -> Iterator[list[PaddedBatch]]:
    """Planned batches, a few at a time; arrays are valid until the next are asked for.

    Args:
        source: Where the sequences are.
        rows: Row in ``source`` of every entry, [n].
        planned: The batches.
        options: What the epoch was planned by.

    Raises:
        SeqmillError: The plan names sequences or chunks that the source does not have.
    """
    gatherer = Gatherer(source)
    chunking, packed = options.chunking, options.batch_limits.packed
    if rows.min() < 0 or rows.max() >= source.block_starts[-1]:
        raise SeqmillError("the plan names sequences that the store does not have")
    whole = {key: column[rows] for key, column in source.lengths.items()}
    starts = {key: chunk_starts(key, column, planned.chunk, chunking) for key, column in whole.items()}
    lengths = {key: chunk_lengths(key, column, planned.chunk, chunking) for key, column in whole.items()}
    edges = planned.batch_starts
    _check_chunks(whole, starts, lengths)
    limits = options.batch_limits
    time_axes = {
        key: limits.time_axis(key, np.maximum.reduceat(column, edges[:-1])) for key, column in lengths.items()
    }
    for first, last in _windows(_array_bytes(source, edges, None if packed else time_axes, lengths)):
        entries = slice(int(edges[first]), int(edges[last]))
        arrays, tags = gatherer.gather(
            rows[entries],
            {key: column[entries] for key, column in starts.items()},
            {key: column[entries] for key, column in lengths.items()},
            edges[first : last + 1] - edges[first],
            None if packed else {key: axes[first:last] for key, axes in time_axes.items()},
        )
        bounds = pairwise(edges[first : last + 1].tolist())
        yield [
            PaddedBatch(
                arrays=arrays[number],
                lengths={key: column[start:end] for key, column in lengths.items()},
                seq_tags=tags.slice(start - entries.start, end - entries.start),
                seq_index=planned.seq_index[start:end],
                chunk_start=starts[options.length_key][start:end],
                batch_index=planned.first_batch + first + number,
                packed=packed,
            )
            for number, (start, end) in enumerate(bounds)
        ]


def _check_chunks(
    whole: Mapping[str, np.ndarray], starts: Mapping[str, np.ndarray], lengths: Mapping[str, np.ndarray]
) -> None:
    for key, column in whole.items():
        ends = starts[key] + lengths[key]
        if starts[key].min() < 0 or lengths[key].min() < 1 or (ends > column).any():
            raise SeqmillError(f"the plan names chunks of {key} that its sequences do not have")


def _array_bytes(
    source: SequenceSource,
    edges: np.ndarray,
    time_axes: Mapping[str, np.ndarray] | None,
    lengths: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Bytes of the arrays of every batch, [batches]."""
    total = np.zeros(len(edges) - 1, np.int64)
    for key, spec in source.data_keys.items():
        if time_axes is None:
            frames = np.add.reduceat(lengths[key], edges[:-1])
        else:
            frames = np.diff(edges) * time_axes[key]
        total += frames * spec.frame_bytes
    return total


def _windows(batch_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of batches of about ``_WINDOW_BYTES``, at least one batch each."""
    first, size = 0, 0
    for i, here in enumerate(batch_bytes.tolist()):
        if i > first and size + here > _WINDOW_BYTES:
            yield first, i
            first, size = i, 0
        size += here
    yield first, len(batch_bytes)
