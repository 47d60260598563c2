"""The shards of a stored epoch: any batch by its index, each shard opened shortly before it is needed."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate

import numpy as np

from seqmill.trainer.buffers import BufferPool
from seqmill.transforms.batches import record
from seqmill.transforms.batches.manifest import Epoch
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.read_batches import read_batch
from seqmill.transforms.batches.record import BrokenBatchError
from seqmill.transforms.batches.shard_file import ShardFile, check_size
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage.errors import SeqmillError

_POOL = BufferPool()


class StoredEpoch:
    """Reads batches of one stored epoch.

    Args:
        folder: The corpus folder.
        epoch: The epoch, as the manifest lists it.
        data_keys: What the arrays are like.
        check: Compare each shard's hash with the manifest when it is opened.

    Attributes:
        error: The first error met while a dataset read from it; TensorFlow hides the original.

    Raises:
        SeqmillError: A shard is missing or not as long as the manifest says.
    """

    def __init__(self, folder: str, epoch: Epoch, data_keys: Mapping[str, ArraySpec], check: bool = True):
        self.error: SeqmillError | None = None
        self._folder = folder
        self._shards = epoch.shards
        self._data_keys = data_keys
        self._check = check
        self._ends = list(accumulate(shard.num_batches for shard in epoch.shards))
        self._open: dict[int, Future[ShardFile]] = {}
        self._lock = threading.Lock()
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="seqmill-shard")
        for shard in epoch.shards:
            check_size(folder, shard)

    def arrays(self, index: int) -> list[np.ndarray]:
        """The padded array and the lengths (int32 [B]) of each data key in turn, in recycled memory."""
        try:
            shard, number = self._place(int(index))
            try:
                arrays = record.decode_arrays(shard.record(number), self._data_keys)
            except BrokenBatchError as error:
                raise SeqmillError(f"{shard.path}: record {number}: {error}") from None
            return [part for array, lengths in arrays.values() for part in (_POOL.copy(array), lengths)]
        except SeqmillError as error:
            self.error = self.error or error
            raise

    def batch(self, index: int) -> PaddedBatch:
        """A whole batch, with tags and where its sequences came from. Raises IndexError."""
        if not 0 <= index < self._ends[-1]:
            raise IndexError(index)
        shard, number = self._place(index)
        return read_batch(shard, number, self._data_keys)

    def close(self) -> None:
        """Lets go of the shards and of the thread that opens them; a dataset may outlive its reading."""
        self._opener.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._open.clear()

    def _place(self, index: int) -> tuple[ShardFile, int]:
        """The shard of a batch, and the batch's number there."""
        number = bisect_right(self._ends, index)
        return self._shard(number), index - (self._ends[number - 1] if number else 0)

    def _shard(self, number: int) -> ShardFile:
        """The shard, while the next one is being opened (fetched, verified) beside it."""
        with self._lock:
            for wanted in (number, number + 1):
                if wanted < len(self._shards) and wanted not in self._open:
                    shard = self._shards[wanted]
                    self._open[wanted] = self._opener.submit(ShardFile, self._folder, shard, self._check)
            for passed in [opened for opened in self._open if opened < number - 1]:
                del self._open[passed]
            future = self._open[number]
        return future.result()
