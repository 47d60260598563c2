"""Stored epochs as NumPy arrays: what feeds JAX, PyTorch or a loop of one's own, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.packed_columns import check_share, packed_columns
from seqmill.trainer.share import By, share_of
from seqmill.trainer.source import open_source

SEQ_TAG, SEQ_INDEX = "seq_tag", "seq_index"

Columns = dict[str, Any]


def batches(
    corpus: Corpus,
    epoch: int,
    tags: bool = False,
    check: bool = True,
    reader: tuple[int, int] = (0, 1),
    by: By = "rows",
    first_batch: int = 0,
    worker: tuple[int, int] = (0, 1),
) -> NumpyBatches:
    """The batches of a stored epoch in ``batch_index`` order, as NumPy arrays.

    Each is a dict: ``<key>`` the padded array [B, T, …] in the manifest's dtype, ``<key>_lengths`` int32 [B],
    and with ``tags`` ``seq_tag``, a list of B strings, and ``seq_index``, int64 [B], the sequences' rows in
    the store. Where the corpus is packed, ``<key>`` is [N, …], N the sum of the lengths, and beside it are
    ``<key>_row_splits`` int32 [B + 1], ``<key>_segment_ids`` and ``<key>_positions``, both int32 [N]. The
    arrays are read-only: views of the mapped shard where an array is aligned there, else copies. Neither
    TensorFlow nor Apache Beam is imported.

    Several readers, on as many hosts or devices, share every batch, or take whole batches in turn. How many
    they are may change whenever training is resumed: batches done is all there is to remember.

    Args:
        corpus: From ``open_corpus``.
        epoch: Number of the stored epoch, from 1.
        tags: Add the sequences' tags, and where they are in the store.
        check: Compare each shard's xxh128 with the manifest before the first of its batches is read;
            without it the CRCs of the records.
        reader: (r, R) for reader r of R, from 0.
        by: ``"rows"``: rows r, r + R, … of every batch, none where a batch has too few; all readers make
            the same number of steps. ``"batches"``: whole batches, every R-th from r on; some readers make a
            step more than others where R does not divide their number. Packed batches have no rows to share.
        first_batch: Batches of the epoch that are done already, by however many readers
            (``batches_done`` of an earlier run).
        worker: (w, W): of this reader's batches every W-th from w on, for one of W processes that load for
            it.

    Raises:
        UsageError: There is no such epoch, reader or batch.
        SeqmillError: The epoch is not there (yet), a shard is missing or not as the manifest says; of damage,
            when its batch is asked for.

    >>> import seqmill
    >>> corpus = seqmill.open_corpus("work/epochs/train")
    >>> for batch in seqmill.batches(corpus, epoch=1, tags=True, reader=(0, 2)):
    ...     print(batch["data"].shape, batch["data_lengths"].tolist(), batch["seq_tag"])
    (2, 7) [2, 7] ['words.jsonl:2', 'words.jsonl:7']
    (2, 8) [8, 5] ['words.jsonl:8', 'words.jsonl:5']
    (1, 3) [3] ['words.jsonl:3']
    """
    return NumpyBatches(corpus, epoch, tags, check, reader, by, first_batch, worker)


class NumpyBatches(Iterator[Columns]):
    """What ``batches`` gives: an iterator; its ``len`` counts all its batches, read or not.

    >>> import seqmill
    >>> data = seqmill.batches(seqmill.open_corpus("work/epochs/train"), epoch=1)
    >>> batch = next(data)
    >>> data.batches_done, len(data)
    (1, 3)
    """

    def __init__(
        self,
        corpus: Corpus,
        epoch: int,
        tags: bool,
        check: bool,
        reader: tuple[int, int],
        by: By,
        first_batch: int,
        worker: tuple[int, int],
    ):
        check_share(corpus.manifest.packed, reader, by)
        stored = corpus.epoch(epoch)
        self._packed = corpus.manifest.packed
        self._num_batches = stored.num_batches
        self._share = share_of(stored.num_batches, reader, by, first_batch, worker)
        self._source = open_source(corpus, epoch, check, self._share)
        self._tags = tags
        self._steps = 0

    @property
    def batches_done(self) -> int:
        """Batches of the epoch that are done once every reader is as far as this one: ``first_batch`` of the
        readers that go on from here, however many they are.
        """
        return self._share.batches_done(self._steps, self._num_batches)

    def __len__(self) -> int:
        return len(self._share.batches)

    def __next__(self) -> Columns:
        if self._steps == len(self):
            self._source.close()
            raise StopIteration
        columns = self._read(self._share.batches[self._steps])
        self._steps += 1
        return columns

    def _read(self, index: int) -> Columns:
        columns: Columns = {}
        rows = self._share.rows
        for key, (array, lengths) in self._source.aligned(index, rows).items():
            columns[key], columns[f"{key}_lengths"] = array, lengths
            if self._packed:
                columns |= packed_columns(key, lengths)
        if self._tags:
            whole = self._source.batch(index)
            columns[SEQ_TAG] = [tag.decode() for tag in list(whole.seq_tags)[rows]]
            columns[SEQ_INDEX] = whole.seq_index[rows]
        return columns
