"""A corpus folder that was written, opened: what its manifest says."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.batches import manifest as manifests
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.storage.errors import SeqmillError, UsageError


@dataclass(frozen=True)
class Corpus:
    """A corpus folder that ``seqmill preprocess`` wrote.

    Attributes:
        folder: ``epochs/<corpus>``: path or URL.
        manifest: What its ``manifest.json`` says.

    >>> import seqmill
    >>> corpus = seqmill.open_corpus("work/epochs/train")
    >>> corpus.num_epochs, corpus.epoch(1).num_batches, corpus.dtypes
    (2, 3, {'data': dtype('int32'), 'classes': dtype('int32')})
    """

    folder: str
    manifest: Manifest

    @property
    def dtypes(self) -> dict[str, np.dtype]:
        """Per data key the dtype of its arrays."""
        return {key: np.dtype(spec.dtype) for key, spec in self.manifest.data_keys.items()}

    @property
    def num_epochs(self) -> int:
        """Number of stored epochs."""
        return len(self.manifest.epochs)

    def epoch(self, epoch: int) -> Epoch:
        """What the manifest says about a stored epoch, numbered from 1. Raises UsageError."""
        found = next((stored for stored in self.manifest.epochs if stored.epoch == epoch), None)
        if found is None:
            raise UsageError(f"{self.folder}: no epoch {epoch}; it holds {self.num_epochs} epochs")
        return found


def open_corpus(folder: str | os.PathLike[str]) -> Corpus:
    """Opens a corpus folder; neither TensorFlow nor Apache Beam is imported for it.

    Args:
        folder: ``epochs/<corpus>``: path or URL.

    Raises:
        SeqmillError: The folder has no manifest, one of another format version, or holds no epoch.

    >>> import seqmill
    >>> seqmill.open_corpus("work/epochs/train").manifest.corpus
    'train'
    """
    corpus = Corpus(os.fspath(folder), manifests.read(os.fspath(folder)))
    if corpus.num_epochs == 0:
        raise SeqmillError(f"{corpus.folder}: the manifest lists no epoch")
    return corpus
