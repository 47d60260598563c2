"""Reading written epochs back, without TensorFlow and without copying."""

from __future__ import annotations

from collections.abc import Iterator

from seqmill.transforms.batches import epoch_manifest, record
from seqmill.transforms.batches.epoch_manifest import Shard
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch, widened
from seqmill.transforms.batches.record import BrokenBatchError
from seqmill.transforms.batches.shard_file import ShardFile
from seqmill.transforms.storage.errors import SeqmillError


def read_epoch(folder: str, manifest: Manifest, epoch: Epoch, first_batch: int = 0) -> Iterator[PaddedBatch]:
    """The batches of a written epoch in order; their arrays are views of the mapped files, or float32.

    Args:
        folder: The corpus' folder of epochs.
        manifest: Its manifest.
        epoch: The epoch, as the manifest lists it.
        first_batch: Number of the first batch to read, from 0.

    Raises:
        SeqmillError: The epoch is not there (yet), a file is missing or not as its manifest says, or a
            record is damaged.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> for batch in seqmill.read_epoch("work/epochs/train", manifest, manifest.epochs[0]):
    ...     print(batch.batch_index, batch.arrays["data"].shape)
    0 (3, 7)
    1 (3, 8)
    2 (2, 3)
    """
    before = 0
    for shard in epoch_manifest.read(folder, manifest, epoch).shards:
        skipped = max(0, first_batch - before)
        if skipped < shard.num_batches:
            yield from read_shard(folder, manifest, shard, skipped)
        before += shard.num_batches


def read_shard(folder: str, manifest: Manifest, shard: Shard, first: int = 0) -> Iterator[PaddedBatch]:
    """The batches of a shard; their arrays are views of the mapped file.

    Args:
        folder: The corpus' folder of epochs.
        manifest: Its manifest.
        shard: The shard.
        first: Number of the first batch to read, from 0 in the shard.

    Raises:
        SeqmillError: The file is missing or not as the manifest says, or a record is damaged.
    """
    opened = ShardFile(folder, shard)
    for number in range(first, len(opened)):
        yield read_batch(opened, number, manifest)


def read_batch(shard: ShardFile, number: int, manifest: Manifest) -> PaddedBatch:
    """Batch ``number`` of an opened shard. Raises SeqmillError where its record is damaged."""
    try:
        batch = record.decode(shard.record(number), manifest.data_keys, manifest.packed)
        return widened(batch, manifest.data_keys)
    except BrokenBatchError as error:
        raise SeqmillError(f"{shard.path}: record {number}: {error}") from None
