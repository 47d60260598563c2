"""Stored epochs as ``fit`` and ``evaluate`` take them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from seqmill.trainer.batch_graph import BatchGraph
from seqmill.trainer.corpus import Corpus
from seqmill.trainer.fill_rows import filled
from seqmill.trainer.inputs import BatchToXy
from seqmill.trainer.share import share_of
from seqmill.trainer.source import open_source
from seqmill.transforms.features.spec_differences import differences
from seqmill.transforms.storage.errors import SeqmillError


class Feed:
    """The epochs of a corpus, for a whole training or evaluation.

    Args:
        corpus: The corpus.
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight).
        multiple: Fill batches up to a multiple of rows, and to as many as ``pad_batch`` asks for; by default
            they are not filled at all.
    """

    def __init__(self, corpus: Corpus, batch_to_xy: BatchToXy, multiple: int | None = None):
        self._corpus = corpus
        manifest = corpus.manifest
        self._graph = BatchGraph(
            manifest.data_keys,
            masks=True,
            transform=batch_to_xy if multiple is None else filled(batch_to_xy, multiple),
            packed=manifest.packed,
            num_rows=multiple is not None and pads_batches(corpus),
        )

    @contextmanager
    def epoch(
        self, stored: int, first_batch: int = 0, corpus: Corpus | None = None
    ) -> Iterator[tf.data.Dataset]:
        """The dataset of a stored epoch, for the length of a ``with`` block.

        What goes wrong in reading leaves the block as the SeqmillError that it is; TensorFlow wraps it in an
        error of its own.

        Args:
            stored: Number of the stored epoch, from 1.
            first_batch: Batches of the epoch that are done already.
            corpus: Whose epoch it is, where that is another with the same data keys.
        """
        corpus = corpus or self._corpus
        share = share_of(corpus.epoch(stored).num_batches, first_batch=first_batch)
        source = open_source(corpus, stored)
        try:
            yield self._graph.dataset(source, share, corpus.manifest.schedule.at(stored).batch_limits)
        except tf.errors.OpError:
            if source.error is not None:
                raise source.error from None
            raise
        finally:
            source.close()


def pads_batches(corpus: Corpus) -> bool:
    """Whether batches of any epoch are filled up (``pad_batch``)."""
    return any(stretch.options.batch_limits.pad_batch for stretch in corpus.manifest.schedule.stretches)


def check_same_data_keys(train: Corpus, other: Corpus) -> None:
    """Raises SeqmillError where a corpus lacks a data key of the one to train on, or has it otherwise."""
    if train.manifest.packed != other.manifest.packed:
        ours, theirs = ("packed" if corpus.manifest.packed else "padded" for corpus in (train, other))
        raise SeqmillError(
            f"{other.folder}: its batches are {theirs}, but those in {train.folder} are {ours}; set packed "
            "alike for both and run `seqmill preprocess`"
        )
    for key, spec in train.manifest.data_keys.items():
        found = other.manifest.data_keys.get(key)
        if found is None:
            raise SeqmillError(
                f"{other.folder}: has no data key {key!r}, unlike {train.folder}; run `seqmill preprocess` "
                "for both"
            )
        same = ("batch_dtype", "feature_shape", "processing")
        if any(getattr(found, what) != getattr(spec, what) for what in same):
            raise SeqmillError(
                f"{other.folder}: of data key {key!r}, {differences(found, spec)}, as in {train.folder}; run "
                "`seqmill preprocess` for both"
            )
        if spec.norm and train.manifest.others[spec.norm] != other.manifest.others[str(found.norm)]:
            raise SeqmillError(
                f"{other.folder}: data key {key!r} is normalized by other statistics than in {train.folder}; "
                "run `seqmill preprocess` for both"
            )
