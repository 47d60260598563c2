"""Reading written epochs back, without TensorFlow and without copying."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqmill.transforms.batches import padded_batch
from seqmill.transforms.batches.manifest import Epoch, Manifest, Shard
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.records import tfrecord
from seqmill.transforms.records.example import BrokenExampleError
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


def read_epoch(folder: str, manifest: Manifest, epoch: Epoch, first_batch: int = 0) -> Iterator[PaddedBatch]:
    """The batches of an epoch in order, from ``first_batch`` on; raises as ``read_shard``."""
    before = 0
    for shard in epoch.shards:
        if before + shard.num_batches > first_batch:
            for number, batch in enumerate(read_shard(folder, manifest, shard), start=before):
                if number >= first_batch:
                    yield batch
        before += shard.num_batches


def read_shard(folder: str, manifest: Manifest, shard: Shard, check: bool = True) -> Iterator[PaddedBatch]:
    """The batches of a shard; their arrays are views of the mapped file.

    Args:
        folder: The corpus' folder of epochs.
        manifest: Its manifest.
        shard: The shard.
        check: Compare the CRC of every record.

    Raises:
        SeqmillError: The file is missing or of another size, or a record is damaged.
    """
    path = files.inside(folder, shard.file)
    try:
        mapped = files.map_bytes(path)
    except FileNotFoundError:
        raise SeqmillError(f"{path}: the manifest names this file, but it is not there") from None
    if len(mapped) != shard.bytes:
        raise SeqmillError(f"{path}: {len(mapped):,} bytes, but the manifest says {shard.bytes:,}")
    dtypes = {key: np.dtype(spec.dtype) for key, spec in manifest.data_keys.items()}
    try:
        for number, (_, payload) in enumerate(tfrecord.records(mapped, check)):
            yield _decode(path, number, payload, dtypes)
    except tfrecord.BrokenRecordError as error:
        raise SeqmillError(f"{path}: {error}") from None


def _decode(path: str, number: int, payload: np.ndarray, dtypes: dict[str, np.dtype]) -> PaddedBatch:
    try:
        return padded_batch.decode(payload, dtypes)
    except BrokenExampleError as error:
        raise SeqmillError(f"{path}: record {number}: {error}") from None
