"""Where the batches of an epoch come from: its shards, or the store that they would be made from."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.gathered_epoch import GatheredEpoch
from seqmill.trainer.share import Share
from seqmill.trainer.store_epochs import store_epochs
from seqmill.trainer.stored_epoch import ALL_ROWS, StoredEpoch
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.storage.errors import SeqmillError

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]


class BatchSource(Protocol):
    """Gives any batch of an epoch by its position in it, faster where they are asked for in order.

    Attributes:
        error: The first error met while a dataset read from it; TensorFlow hides the original.
    """

    error: SeqmillError | None

    def arrays(self, index: int, rows: slice = ALL_ROWS) -> list[np.ndarray]:
        """The array and the lengths (int32 [B]) of each data key in turn, the reader's alone."""
        ...

    def views(self, index: int, rows: slice = ALL_ROWS) -> Arrays:
        """Per data key the array, read-only, and the lengths, int32 [B].

        Raises:
            IndexError: There is no such batch.
            SeqmillError: What it is read from is missing or damaged.
        """
        ...

    def aligned(self, index: int, rows: slice = ALL_ROWS) -> Arrays:
        """As ``views``, each array aligned for its dtype."""
        ...

    def batch(self, index: int) -> PaddedBatch:
        """A whole batch, with tags and where its sequences came from; raises as ``views``."""
        ...

    def close(self) -> None:
        """Lets go of files and threads."""
        ...


def open_source(corpus: Corpus, epoch: int, check: bool = True, share: Share | None = None) -> BatchSource:
    """What gives the batches of an epoch.

    Args:
        corpus: From ``open_corpus``, which was told where to read from.
        epoch: Number of the epoch, from 1.
        check: Compare each shard's hash whenever it is opened; a store is compared once a run in any case.
        share: What of the epoch will be asked for, in its order; by default all.

    Raises:
        UsageError: There is no such epoch.
        SeqmillError: The epoch is not there (yet), a shard or the store is missing, or another than the
            manifest says.
    """
    if corpus.store is None:
        manifest, shards = corpus.manifest, corpus.shards(epoch)
        return StoredEpoch(corpus.folder, shards, manifest.data_keys, check, manifest.packed)
    batches = range(corpus.epoch(epoch).num_batches) if share is None else share.batches
    return GatheredEpoch(store_epochs(corpus.folder, corpus.manifest, corpus.store), epoch, batches)
