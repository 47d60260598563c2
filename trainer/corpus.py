"""A corpus folder that was written, opened: what its manifest says."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from seqmill.trainer.options import ReadFrom, TrainOptions
from seqmill.trainer.store_epochs import store_epochs
from seqmill.transforms.batches import epoch_manifest
from seqmill.transforms.batches import manifest as manifests
from seqmill.transforms.batches.epoch_manifest import Shard
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.stream import is_stream
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.ranges import counted

EVALUATED_EPOCH = 1


@dataclass(frozen=True)
class Corpus:
    """A corpus folder that ``seqmill preprocess`` wrote.

    Attributes:
        folder: ``epochs/<corpus>``: path or URL.
        manifest: What its ``manifest.json`` says.
        store: The folder of the store that batches are gathered from; ``None`` where they are read from
            shards.

    >>> import seqmill
    >>> corpus = seqmill.open_corpus("work/epochs/train")
    >>> corpus.num_epochs, corpus.epoch(1).num_batches, corpus.dtypes
    (2, 3, {'data': dtype('int32'), 'classes': dtype('int32')})
    """

    folder: str
    manifest: Manifest
    store: str | None = None

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        """Per data key the dtype of its arrays as they are read."""
        return {key: spec.batch_dtype for key, spec in self.manifest.data_keys.items()}

    @property
    def num_epochs(self) -> int:
        """Number of planned epochs."""
        return len(self.manifest.epochs)

    def stored_epoch(self, epoch: int) -> int:
        """The stored epoch that epoch ``epoch`` of a training, from 1, reads.

        Raises:
            UsageError: So many epochs are not planned.
        """
        schedule = self.manifest.schedule
        if not 1 <= epoch <= schedule.num_epochs:
            raise UsageError(
                f"{self.folder}: no epoch {epoch}; it was planned with num_epochs = {schedule.num_epochs}"
            )
        return schedule.stored(epoch)

    def epoch(self, epoch: int) -> Epoch:
        """What is planned of an epoch, numbered from 1. Raises UsageError."""
        found = self.manifest.by_number.get(epoch)
        if found is None:
            planned = counted(self.num_epochs, "epoch is", "epochs are")
            raise UsageError(f"{self.folder}: no epoch {epoch}; {planned} planned")
        return found

    def shards(self, epoch: int) -> tuple[Shard, ...]:
        """The files of an epoch in batch order.

        Raises:
            UsageError: No such epoch is planned.
            SeqmillError: It is not there (yet), or its manifest is unusable.
        """
        return epoch_manifest.read(self.folder, self.manifest, self.epoch(epoch)).shards

    def is_complete(self, epoch: int) -> bool:
        """Whether an epoch can be read as it was planned, from its shards or the store. Raises UsageError."""
        planned = self.epoch(epoch)
        return self.store is not None or epoch_manifest.is_complete(self.folder, self.manifest, planned)


def check_evaluable(corpora: Iterable[Corpus]) -> None:
    """Refuses, before any work, corpora of which the epoch that is evaluated is not there.

    Found only later, it would cost an epoch of training; and a training that waits for its first window or
    epoch would keep the only one away that could make what is missing.

    Raises:
        SeqmillError: Names the corpus.
    """
    for corpus in corpora:
        if not corpus.is_complete(EVALUATED_EPOCH):
            raise SeqmillError(
                f"{corpus.folder}: epoch {EVALUATED_EPOCH} is not there, which is evaluated after every "
                "epoch of the training; finish it first (`seqmill preprocess`, with --watch for a stream)"
            )


def corpus_of(options: TrainOptions, output: str, name: str) -> Corpus:
    """A corpus of an output, read from where the options say; raises as ``open_corpus``."""
    folder = output_folder.epochs_folder(output, name)
    return open_corpus(folder, options.read_from, output_folder.store_folder(options.store or output, name))


def open_corpus(
    folder: str | os.PathLike[str],
    read_from: ReadFrom = "shards",
    store: str | os.PathLike[str] | None = None,
) -> Corpus:
    """Opens a corpus folder; neither TensorFlow nor Apache Beam is imported for it.

    Args:
        folder: ``epochs/<corpus>``: path or URL.
        read_from: Where batches come from: the ``"shards"`` of the epochs, or the ``"store"``, from which
            the same batches are gathered; no shards are needed then.
        store: ``store/<corpus>``: path or URL; by default that in the same output.

    Raises:
        UsageError: ``read_from`` is something else.
        SeqmillError: The folder has no manifest, one of another format version, or plans no epoch; the store
            is missing, or another than the epochs were planned from.

    >>> import seqmill
    >>> seqmill.open_corpus("work/epochs/train").manifest.corpus
    'train'
    """
    if read_from not in ("shards", "store"):
        raise UsageError(f'read_from={read_from!r}: expected "shards" or "store"')
    if is_stream(os.fspath(folder)):
        raise SeqmillError(
            f"{os.fspath(folder)}: is a stream of windows, each a corpus; `seqmill train --follow` trains on "
            "them as they appear"
        )
    corpus = Corpus(os.fspath(folder), manifests.read(os.fspath(folder)))
    if corpus.num_epochs == 0:
        raise SeqmillError(f"{corpus.folder}: the manifest plans no epoch")
    if read_from == "shards":
        return corpus
    beside = output_folder.store_beside(corpus.folder, corpus.manifest.corpus)
    corpus = replace(corpus, store=beside if store is None else os.fspath(store))
    store_epochs(corpus.folder, corpus.manifest, str(corpus.store))  # fits, or says why not
    return corpus
