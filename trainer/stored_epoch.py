"""The shards of a stored epoch: any batch by its index, each shard opened shortly before it is needed."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from seqmill.trainer.background import Background, Task
from seqmill.trainer.buffers import BufferPool
from seqmill.transforms.batches import record
from seqmill.transforms.batches.epoch_manifest import Shard
from seqmill.transforms.batches.padded_batch import PaddedBatch, widened
from seqmill.transforms.batches.record import BrokenBatchError
from seqmill.transforms.batches.shard_file import ShardFile, check_size
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files
from seqmill.transforms.storage.cache import CacheFullError
from seqmill.transforms.storage.checked_files import forget
from seqmill.transforms.storage.errors import SeqmillError

ALL_ROWS = slice(None)

# Remote shards are fetched ahead: so many, of so many bytes in all, some of them at once.
_REMOTE_SHARDS, _REMOTE_BYTES, _REMOTE_THREADS = 8, 1 << 29, 8

_POOL = BufferPool()


class StoredEpoch:
    """Reads batches of one stored epoch.

    Args:
        folder: The corpus folder.
        shards: The epoch's files (``Corpus.shards``).
        data_keys: What the arrays are like.
        check: Compare each shard's hash with the manifest whenever it is opened, which is faster than
            comparing the CRCs of its records and finds more; without it CRCs are compared.
        packed: Whether its batches are packed.

    Attributes:
        error: The first error met while a dataset read from it; TensorFlow hides the original.

    Raises:
        SeqmillError: A shard is missing or not as long as the manifest says.
    """

    def __init__(
        self,
        folder: str,
        shards: Sequence[Shard],
        data_keys: Mapping[str, ArraySpec],
        check: bool = True,
        packed: bool = False,
    ):
        self.error: SeqmillError | None = None
        self._folder = folder
        self._shards = shards
        self._data_keys = data_keys
        self._check = check
        self._packed = packed
        self._ends = list(accumulate(shard.num_batches for shard in shards))
        self._open: dict[int, Task[ShardFile]] = {}
        self._lock = threading.Lock()
        self._is_remote = not files.is_local(folder)
        threads = _REMOTE_THREADS if self._is_remote else 1
        self._opener = Background(threads, "seqmill-shard")
        with files.remembering(*({files.parent(files.join(folder, shard.file)) for shard in shards})):
            for shard in shards:
                check_size(folder, shard)

    def arrays(self, index: int, rows: slice = ALL_ROWS) -> list[np.ndarray]:
        """The array and the lengths (int32 [B]) of each data key in turn, in recycled memory.

        Args:
            index: The batch's position in the epoch.
            rows: Which of its rows.
        """
        found = self._arrays(index, rows).items()
        copies = ((_POOL.read(array, self._data_keys[key]), lengths) for key, (array, lengths) in found)
        return [part for pair in copies for part in pair]

    def views(self, index: int, rows: slice = ALL_ROWS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per data key the array, read-only, and the lengths, int32 [B].

        Arrays are views of the mapped shard, but for those of small elements.

        Args:
            index: The batch's position in the epoch.
            rows: Which of its rows.

        Raises:
            IndexError: There is no such batch.
            SeqmillError: The shard is missing or damaged.
        """
        return self._views(index, rows, aligned=False)

    def aligned(self, index: int, rows: slice = ALL_ROWS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """As ``views``; what is not aligned in the shard for its dtype is copied into recycled memory."""
        return self._views(index, rows, aligned=True)

    def batch(self, index: int) -> PaddedBatch:
        """A whole batch, with tags and where its sequences came from; raises as ``views``."""
        batch: PaddedBatch = self._decoded(index, record.decode)
        return widened(batch, self._data_keys)

    def close(self) -> None:
        """Lets go of the shards and of the thread that opens them; a dataset may outlive its reading."""
        self._opener.close()
        with self._lock:
            self._open.clear()

    def _views(self, index: int, rows: slice, aligned: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = self._arrays(index, rows)
        for key, (array, lengths) in found.items():
            spec = self._data_keys[key]
            if spec.is_small or (aligned and not array.flags.aligned):
                copied = _POOL.read(array, spec)
                copied.flags.writeable = False  # as a view is
                found[key] = copied, lengths
        return found

    def _arrays(self, index: int, rows: slice) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per data key the elements in the shard and the lengths."""
        found = self._decoded(index, record.decode_arrays)
        return {key: (array[rows], lengths[rows]) for key, (array, lengths) in found.items()}

    def _decoded(self, index: int, decode: Callable[[np.ndarray, Mapping[str, ArraySpec], bool], Any]) -> Any:
        if not 0 <= index < self._ends[-1]:
            raise IndexError(index)
        place = bisect_right(self._ends, index)
        number = index - (self._ends[place - 1] if place else 0)
        shard = self._shard(place)
        try:
            return decode(shard.record(number, check=not self._check), self._data_keys, self._packed)
        except BrokenBatchError as error:
            raise SeqmillError(f"{shard.path}: record {number}: {error}") from None

    def _shard(self, number: int) -> ShardFile:
        """The shard, while the next ones are being opened (fetched, verified) beside it."""
        with self._lock:
            for wanted in range(number, self._last_ahead(number) + 1):
                if wanted not in self._open:
                    self._open[wanted] = self._opener.begin(self._opened, self._shards[wanted])
            for passed in [opened for opened in self._open if opened < number - 1]:
                del self._open[passed]
            task = self._open[number]
        try:
            return task.result()
        except CacheFullError:
            del task
            return self._only_shard(number)

    def _last_ahead(self, number: int) -> int:
        """The last shard to open while ``number`` is read: the next one, of remote ones several."""
        last = min(number + 1, len(self._shards) - 1)
        room = _REMOTE_BYTES - self._shards[last].bytes
        while self._is_remote and last + 1 < len(self._shards) and last - number < _REMOTE_SHARDS:
            room -= self._shards[last + 1].bytes
            if room < 0:
                break
            last += 1
        return last

    def _only_shard(self, number: int) -> ShardFile:
        """The shard, where there is no room for others beside it."""
        with self._lock:
            others = [*self._open.values()]
            self._open.clear()
            while others:
                others.pop().wait()
            task = self._open[number] = self._opener.begin(self._opened, self._shards[number])
        return task.result()

    def _opened(self, shard: Shard) -> ShardFile:
        if self._check:  # what was hashed in an earlier epoch may have decayed since
            forget(files.inside(self._folder, shard.file), shard.checksum)
        return ShardFile(self._folder, shard, self._check)
