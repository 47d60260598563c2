"""An epoch's manifest: written by the task that wrote its last shard, or by the last step of the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.epoch_manifest import EpochManifest
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.segment import (
    Receipt,
    Segment,
    epoch_fingerprint,
    num_receipts,
    read_receipts,
)
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import SeqmillError

_SHARDS_OF_A_LIST = 1000  # names that an object store lists in one request


@dataclass(frozen=True)
class FinishEpochs:
    """The last step: checks that every epoch is there, and writes the manifests that are not.

    Attributes:
        folder: The corpus' folder of epochs.
        run: The run that the folder must still belong to.
        epochs: The epochs that were to be written.
    """

    folder: str
    run: str
    epochs: tuple[int, ...]

    def __call__(self, num_tasks: int) -> None:
        """Called when all segments have been written. Raises SeqmillError where one is not as planned."""
        with publishing(self.folder, self.run):
            corpus = manifest.read(self.folder)
            for number in self.epochs:
                epoch = corpus.by_number[number]
                if not epoch_manifest.is_complete(self.folder, corpus, epoch):
                    _finish(self.folder, corpus, epoch)


def finish_if_last(folder: str, run: str, segment: Segment) -> None:
    """Makes the epoch of a segment complete, if all its segments are written by now.

    Args:
        folder: The corpus' folder of epochs.
        run: The run that the folder must still belong to.
        segment: One whose receipt has just been written.
    """
    if not _are_all_written(folder, segment):
        return
    with publishing(folder, run):
        corpus = _manifest(folder, run)
        _finish(folder, corpus, corpus.by_number[segment.epoch])


def _are_all_written(folder: str, segment: Segment) -> bool:
    """Whether all segments of an epoch are written.

    Listing the receipts grows with the epoch; in a large one most tasks learn from one look, at a segment
    that will be written late, that others are still to come.
    """
    if segment.num_shards > _SHARDS_OF_A_LIST:
        for shard in range(segment.num_shards - 1, segment.num_shards - 1 - _SHARDS_OF_A_LIST, -1):
            if not files.exists(output_folder.segment_receipt_path(folder, segment.epoch, shard)):
                return False
    return num_receipts(folder, segment.epoch) == segment.num_shards


def _finish(folder: str, corpus: Manifest, epoch: Epoch) -> None:
    with files.remembering(output_folder.epoch_folder(folder, epoch.epoch)):
        receipts = read_receipts(folder, epoch.epoch)
        _check_written(folder, epoch, receipts)
        content = EpochManifest(
            format=epoch_manifest.FORMAT,
            corpus=corpus.corpus,
            planned=epoch,
            plan=receipts[0].segment.plan,
            shards=tuple(receipt.shard for receipt in receipts),
        )
        epoch_manifest.write(folder, content)


def _check_written(folder: str, epoch: Epoch, receipts: list[Receipt]) -> None:
    segments = [receipt.segment for receipt in receipts]
    if epoch_fingerprint(segments, epoch.left_out) != epoch.fingerprint:
        raise SeqmillError(f"{folder}: epoch {epoch.epoch}: a shard is missing or not as planned; run again")
    for shard in (receipt.shard for receipt in receipts):
        if not files.is_whole(files.join(folder, shard.file), shard.bytes):
            raise SeqmillError(f"{folder}: {shard.file} is missing or not as planned; run again")


@lru_cache(maxsize=4)
def _manifest(folder: str, run: str) -> Manifest:
    """The corpus' manifest, which a run writes once."""
    return manifest.read(folder)
