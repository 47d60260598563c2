"""The shards of a stored epoch: any batch by its index, each shard opened shortly before it is needed."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate

import google_crc32c
import numpy as np
import xxhash

from seqmill.trainer.buffers import BufferPool
from seqmill.trainer.record import padded_arrays
from seqmill.transforms.batches import padded_batch
from seqmill.transforms.batches.manifest import Epoch, Shard
from seqmill.transforms.records import tfrecord
from seqmill.transforms.records.example import BrokenExampleError
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_POOL = BufferPool()


class StoredEpoch:
    """Reads batches of one stored epoch.

    Args:
        folder: The corpus folder.
        epoch: The epoch, as the manifest lists it.
        dtypes: Per data key the dtype of its arrays.
        check: Compare each shard's hash when it is opened.

    Attributes:
        error: The first error met while a dataset read from it; TensorFlow hides the original.

    Raises:
        SeqmillError: A shard is missing or not as long as the manifest says.
    """

    def __init__(self, folder: str, epoch: Epoch, dtypes: Mapping[str, np.dtype], check: bool = False):
        self.error: SeqmillError | None = None
        self._folder = folder
        self._shards = epoch.shards
        self._dtypes = dtypes
        self._check = check
        self._ends = list(accumulate(shard.num_batches for shard in epoch.shards))
        self._open: dict[int, Future[_OpenShard]] = {}
        self._lock = threading.Lock()
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="seqmill-shard")
        for shard in epoch.shards:
            _check_size(folder, shard)

    def arrays(self, index: int) -> list[np.ndarray]:
        """The padded array and the lengths (int32 [B]) of each data key in turn, in recycled memory."""
        try:
            path, record = self._record(int(index))
            try:
                arrays = padded_arrays(record, self._dtypes)
            except BrokenExampleError as error:
                raise SeqmillError(f"{path}: batch {index}: {error}") from None
            return [part for array, lengths in arrays.values() for part in (_POOL.copy(array), lengths)]
        except SeqmillError as error:
            self.error = self.error or error
            raise

    def batch(self, index: int) -> padded_batch.PaddedBatch:
        """A whole batch, with tags and where its sequences came from. Raises IndexError."""
        if not 0 <= index < self._ends[-1]:
            raise IndexError(index)
        path, record = self._record(index)
        try:
            return padded_batch.decode(record, self._dtypes)
        except BrokenExampleError as error:
            raise SeqmillError(f"{path}: batch {index}: {error}") from None

    def _record(self, index: int) -> tuple[str, np.ndarray]:
        number = bisect_right(self._ends, index)
        shard = self._shard(number)
        return shard.path, shard.record(index - (self._ends[number - 1] if number else 0))

    def _shard(self, number: int) -> _OpenShard:
        """The shard, while the next one is being opened (fetched, verified) beside it."""
        with self._lock:
            for wanted in (number, number + 1):
                if wanted < len(self._shards) and wanted not in self._open:
                    shard = self._shards[wanted]
                    self._open[wanted] = self._opener.submit(_open_shard, self._folder, shard, self._check)
            for passed in [opened for opened in self._open if opened < number - 1]:
                del self._open[passed]
            future = self._open[number]
        return future.result()


class _OpenShard:
    def __init__(self, path: str, content: np.ndarray, starts: list[int]):
        self.path = path
        self._content = content
        self._starts = starts

    def record(self, index: int) -> np.ndarray:
        """The payload of record ``index``. Raises SeqmillError where its CRC does not match."""
        start = self._starts[index] + 12
        length = int.from_bytes(self._content[start - 12 : start - 4].tobytes(), "little")
        payload = self._content[start : start + length]
        crc = int.from_bytes(self._content[start + length : start + length + 4].tobytes(), "little")
        if tfrecord.masked(google_crc32c.value(payload)) != crc:
            raise SeqmillError(f"{self.path}: wrong CRC of the record at byte {start - 12}")
        return payload


def _open_shard(folder: str, shard: Shard, check: bool) -> _OpenShard:
    path = _check_size(folder, shard)
    content = files.map_bytes(path)
    if check and xxhash.xxh128_hexdigest(content.data) != shard.xxh128:
        raise SeqmillError(
            f"{path}: its xxh128 is not the manifest's {shard.xxh128}: the content has changed"
        )
    try:
        starts = [position for position, _ in tfrecord.records(content, check=False)]
    except tfrecord.BrokenRecordError as error:
        raise SeqmillError(f"{path}: {error}") from None
    if len(starts) != shard.num_batches:
        raise SeqmillError(f"{path}: holds {len(starts)} batches, the manifest says {shard.num_batches}")
    return _OpenShard(path, content, starts)


def _check_size(folder: str, shard: Shard) -> str:
    path = files.inside(folder, shard.file)
    try:
        found = files.size(path)
    except FileNotFoundError:
        raise SeqmillError(f"{path}: missing; the manifest lists it (run `seqmill preprocess`)") from None
    if found != shard.bytes:
        raise SeqmillError(
            f"{path}: {found} bytes, the manifest says {shard.bytes} (run `seqmill preprocess`)"
        )
    return path
