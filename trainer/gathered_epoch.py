"""An epoch without shards: its batches are gathered from the memory-mapped store by its plan."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from seqmill.trainer.background import Background, Task
from seqmill.trainer.buffers import BufferPool
from seqmill.trainer.store_epochs import StoreEpochs
from seqmill.trainer.stored_epoch import ALL_ROWS
from seqmill.transforms.batches.gather import Gatherer
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.planning.chunk import chunk_starts
from seqmill.transforms.planning.plan import EpochOptions, EpochPlan
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

_WINDOW_BYTES = 1_000_000  # small batches are gathered several at once, which is a few times as fast
_WINDOW_BATCHES = 64
_ALIGNMENT = 64  # bytes: TensorFlow copies what is not aligned so

_POOL = BufferPool()


class GatheredEpoch:
    """Gives the batches that the shards of an epoch would hold, bit for bit, where there are no shards.

    What will be asked for next is gathered beside the reader.

    Args:
        epochs: The corpus' epochs.
        epoch: Number of the epoch, from 1.
        batches: Which batches will be asked for, in their order; any other is gathered by itself.

    Attributes:
        error: The first error met while a dataset read from it; TensorFlow hides the original.

    Raises:
        SeqmillError: The store is damaged, or the plan is another than the manifest has.
    """

    def __init__(self, epochs: StoreEpochs, epoch: int, batches: range):
        self.error: SeqmillError | None = None
        self._plan = epochs.plan(epoch)
        epochs.store.bring(self._plan.seq_index)
        self._gathering = _Gathering(epochs.store, self._plan, epochs.options(epoch))
        self._batches = batches
        self._window_of = _windows(self._gathering.batch_bytes()[batches.start : batches.stop : batches.step])
        self._windows = np.flatnonzero(np.diff(self._window_of, prepend=-1, append=-1)).tolist()
        self._open: dict[tuple[int, int, int], Task[list[PaddedBatch]]] = {}
        self._lock = threading.Lock()
        self._worker = Background(1, "seqmill-gather")

    def arrays(self, index: int, rows: slice = ALL_ROWS) -> list[np.ndarray]:
        """The array and the lengths (int32 [B]) of each data key in turn, in recycled memory.

        Args:
            index: The batch's position in the epoch.
            rows: Which of its rows.
        """
        batch, is_shared = self._batch(index, rows, keep=False)
        columns = []
        for key, array in batch.arrays.items():
            must_copy = is_shared or array.ctypes.data % _ALIGNMENT
            columns += [_POOL.copy(array) if must_copy else array, batch.lengths[key].astype(np.int32)]
        return columns

    def views(self, index: int, rows: slice = ALL_ROWS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per data key the array, read-only, and the lengths, int32 [B].

        Args:
            index: The batch's position in the epoch.
            rows: Which of its rows.

        Raises:
            IndexError: There is no such batch.
            SeqmillError: The store is damaged.
        """
        batch = self._batch(index, rows)[0]
        return {
            key: (_read_only(array), batch.lengths[key].astype(np.int32))
            for key, array in batch.arrays.items()
        }

    aligned = views

    def batch(self, index: int) -> PaddedBatch:
        """A whole batch, with tags and where its sequences came from; raises as ``views``."""
        return self._batch(index, ALL_ROWS)[0]

    def close(self) -> None:
        """Lets go of the thread that gathers; a dataset may outlive its reading."""
        self._worker.close()
        with self._lock:
            self._open.clear()

    def _batch(self, index: int, rows: slice, keep: bool = True) -> tuple[PaddedBatch, bool]:
        """A batch, and whether others may be given its memory: not without ``keep``, if it is alone there."""
        if not 0 <= index < self._plan.num_batches:
            raise IndexError(index)
        start, step = rows.start or 0, rows.step or 1
        if index not in self._batches:
            return self._gathering.gather(range(index, index + 1), start, step)[0], False
        position = self._batches.index(index)
        number = int(self._window_of[position])
        window = self._window(number, start, step, keep).result()
        return window[position - self._windows[number]], keep or len(window) > 1

    def _window(self, number: int, start: int, step: int, keep: bool) -> Task[list[PaddedBatch]]:
        """Some neighbouring batches, while the next ones are gathered."""
        with self._lock:
            for wanted in (number, number + 1):
                if wanted < len(self._windows) - 1 and (wanted, start, step) not in self._open:
                    batches = self._batches[self._windows[wanted] : self._windows[wanted + 1]]
                    task = self._worker.begin(self._gathering.gather, batches, start, step)
                    self._open[wanted, start, step] = task
            for passed in [opened for opened in self._open if opened[0] < number - 1]:
                del self._open[passed]
            task = self._open[number, start, step]
            if not keep and self._windows[number + 1] == self._windows[number] + 1:
                del self._open[number, start, step]  # its memory is the reader's
            return task


class _Gathering:
    """Gathers batches of a planned epoch."""

    def __init__(self, store: Store, plan: EpochPlan, options: EpochOptions):
        self._store = store
        self._plan = plan
        self._chunking = options.chunking
        self._length_key = options.length_key

    def batch_bytes(self) -> np.ndarray:
        """Bytes of the arrays of every batch, int64 [batches]."""
        frames, specs = self._plan.batch_frames, self._store.data_keys
        return np.sum([frames[key] * spec.frame_bytes for key, spec in specs.items()], axis=0)

    def gather(self, batches: range, start: int, step: int) -> list[PaddedBatch]:
        """Rows ``start``, ``start + step``, … of some batches."""
        plan = self._plan
        entries = [np.arange(plan.batch_starts[i] + start, plan.batch_starts[i + 1], step) for i in batches]
        edges = np.cumsum([0, *map(len, entries)])
        chosen = np.concatenate(entries)
        if not len(chosen):
            return [self._empty(index) for index in batches]
        seq_index = plan.seq_index[chosen].astype(np.int64)
        lengths = {key: column[chosen].astype(np.int64) for key, column in plan.lengths.items()}
        starts = {key: self._starts(key, seq_index, chosen) for key in lengths}
        time_axes = None if plan.packed else {k: axes[list(batches)] for k, axes in plan.time_axes.items()}
        gatherer = Gatherer(self._store, _POOL.take)
        arrays, tags = gatherer.gather(seq_index, starts, lengths, edges, time_axes)
        return [
            PaddedBatch(
                arrays=self._read(arrays[number]),
                lengths={key: column[first:last] for key, column in lengths.items()},
                seq_tags=tags.slice(first, last),
                seq_index=seq_index[first:last],
                chunk_start=starts[self._length_key][first:last],
                batch_index=index,
                packed=plan.packed,
            )
            for number, (index, first, last) in enumerate(zip(batches, edges[:-1], edges[1:], strict=True))
        ]

    def _read(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays as models read them."""
        specs = self._store.data_keys
        return {key: _POOL.read(a, specs[key]) if specs[key].is_small else a for key, a in arrays.items()}

    def _starts(self, key: str, seq_index: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        chunk = self._plan.chunk
        if chunk is None:
            return np.zeros(len(chosen), np.int64)
        return chunk_starts(key, self._store.lengths[key][seq_index], chunk[chosen], self._chunking)

    def _empty(self, index: int) -> PaddedBatch:
        nothing, plan = np.empty(0, np.int64), self._plan
        arrays = {}
        for key, spec in self._store.data_keys.items():
            time = () if plan.packed else (int(plan.time_axes[key][index]),)
            arrays[key] = np.zeros((0, *time, *spec.feature_shape), spec.batch_dtype)
        return PaddedBatch(
            arrays=arrays,
            lengths=dict.fromkeys(self._store.data_keys, nothing),
            seq_tags=Tags.of([]),
            seq_index=nothing,
            chunk_start=nothing,
            batch_index=index,
            packed=plan.packed,
        )


def _windows(batch_bytes: np.ndarray) -> np.ndarray:
    """The window that every batch belongs to, from 0: runs of ``_WINDOW_BYTES`` or ``_WINDOW_BATCHES``."""
    windows = np.zeros(len(batch_bytes), np.int64)
    number = first = size = 0
    for position, here in enumerate(batch_bytes.tolist()):
        if position > first and (size + here > _WINDOW_BYTES or position - first == _WINDOW_BATCHES):
            number, first, size = number + 1, position, 0
        windows[position] = number
        size += here
    return windows


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
