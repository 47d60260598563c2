"""Stored epochs for TensorFlow: from a corpus and an epoch number to a ``tf.data.Dataset``.

corpus = open_corpus("work/g2p/epochs/train")
for batch in dataset(corpus, epoch=1):
    batch["data"], batch["data_lengths"]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from seqmill.trainer.batch_graph import BatchGraph
from seqmill.trainer.corpus import Corpus, open_corpus
from seqmill.trainer.packed_columns import PACKED_COLUMNS, check_share
from seqmill.trainer.share import By, share_of
from seqmill.trainer.source import BatchSource, open_source
from seqmill.transforms.storage.errors import UsageError

__all__ = ["column_shapes", "dataset", "open_corpus"]


def dataset(
    corpus: Corpus,
    epoch: int,
    masks: bool = False,
    check: bool = True,
    prefetch: int = 2,
    transform: Callable[[dict[str, tf.Tensor]], Any] | None = None,
    reader: tuple[int, int] = (0, 1),
    by: By = "rows",
    first_batch: int = 0,
    source: BatchSource | None = None,
    ragged: bool = False,
) -> tf.data.Dataset:
    """The batches of a stored epoch in ``batch_index`` order, with exact cardinality.

    Each element is a dict: ``<key>`` the padded array [B, T, …] in the manifest's dtype, ``<key>_lengths``
    int32 [B], and with ``masks`` ``<key>_mask`` bool [B, T], true for frames and false for padding.

    Of a packed corpus ``<key>`` is [N, …], N the sum of the lengths, or with ``ragged`` a ``tf.RaggedTensor``
    [B, (T), …]; beside it, and in place of masks, are ``<key>_row_splits`` int32 [B + 1],
    ``<key>_segment_ids`` and ``<key>_positions``, both int32 [N].

    Args:
        corpus: From ``open_corpus``.
        epoch: Number of the stored epoch, from 1.
        masks: Add the masks.
        check: Compare each shard's xxh128 with the manifest before the first of its batches is read, so that
            no batch of another run is taken for one of this; without it the CRCs of the records.
        prefetch: Batches read ahead.
        transform: What to make of each element, for example (inputs, targets).
        reader: (r, R) for reader r of R, from 0.
        by: How readers share: ``"rows"``: rows r, r + R, … of every batch; ``"batches"``: whole batches,
            every R-th from r on.
        first_batch: Batches of the epoch that are done already, by however many readers.
        source: What gives the batches, for those who want its ``error`` afterwards.
        ragged: Make each data key of packed batches a ``tf.RaggedTensor``.

    Raises:
        UsageError: There is no such epoch, reader or batch; ``ragged`` is asked of padded batches, or rows
            of packed ones.
        SeqmillError: The epoch is not there (yet), a shard is missing or not as long as the manifest says.
            Later, while the dataset is iterated, a broken record ends it with a TensorFlow error that holds
            the message.

    >>> import seqmill
    >>> for batch in seqmill.dataset(seqmill.open_corpus("work/epochs/train"), epoch=1, masks=True):
    ...     print(*(f"{name} {tuple(column.shape)}" for name, column in batch.items()))
    ...     break
    data (3, 7) data_lengths (3,) data_mask (3, 7) classes (3, 7) classes_lengths (3,) classes_mask (3, 7)
    """
    packed = corpus.manifest.packed
    check_share(packed, reader, by)
    if ragged and not packed:
        raise UsageError(f"ragged=True: expected packed batches; those in {corpus.folder} are padded")
    stored = corpus.epoch(epoch)
    share = share_of(stored.num_batches, reader, by, first_batch)
    source = source or open_source(corpus, epoch, check, share)
    graph = BatchGraph(corpus.manifest.data_keys, masks, prefetch, transform, packed, ragged)
    return graph.dataset(source, share)


def column_shapes(corpus: Corpus) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """Per column that ``dataset`` can give its dtype and shape, ``None`` for B, T and N."""
    packed = corpus.manifest.packed
    shapes: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for key, spec in corpus.manifest.data_keys.items():
        axes = (None,) if packed else (None, None)
        shapes[key] = (spec.batch_dtype.name, (*axes, *spec.feature_shape))
        shapes[f"{key}_lengths"] = ("int32", (None,))
        for name in PACKED_COLUMNS if packed else ():
            shapes[f"{key}_{name}"] = ("int32", (None,))
        if not packed:
            shapes[f"{key}_mask"] = ("bool", (None, None))
    return shapes
