"""Arranging staged files: which row of a store is which staged sequence, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_block import SplitPart
from seqmill.transforms.store.staging import BlockNote, StagedIndex


@dataclass(frozen=True)
class Arrangement:
    """The rows of a store.

    Attributes:
        rows: Place among all staged sequences of every row of the store, int64 [n].
        duplicates: Staged sequences whose order key another one has that stays, int64 [k].
    """

    rows: np.ndarray
    duplicates: np.ndarray


def arrange(index: StagedIndex) -> Arrangement:
    """Sorts sequences by their order keys: numbers first, then text by code point.

    Of several with one key that one stays whose content has the smallest hash, so that neither order nor
    duplicates depend on how they came.

    >>> index = StagedIndex(
    ...     numbers=np.array([7, 0, 3, 7]),
    ...     is_text=np.array([False, True, False, False]),
    ...     texts=pa.array(["", "b", "", ""]),
    ...     hashes=np.array([5, 1, 1, 2], np.uint64),
    ...     lengths={},
    ... )
    >>> arranged = arrange(index)
    >>> arranged.rows.tolist(), arranged.duplicates.tolist()
    ([2, 3, 1], [0])
    """
    numbered, texts = np.flatnonzero(~index.is_text), np.flatnonzero(index.is_text)
    by_number = numbered[np.lexsort((index.hashes[numbered], index.numbers[numbered]))]
    is_first = np.diff(index.numbers[by_number], prepend=np.int64(0)) != 0
    is_first[:1] = True
    rows, duplicates = [by_number[is_first]], [by_number[~is_first]]
    if len(texts):
        assert index.texts is not None
        keys = index.texts.take(pa.array(texts))
        table = pa.table({"key": keys, "hash": pa.array(index.hashes[texts])})
        sorted_rows = pc.sort_indices(table, [("key", "ascending"), ("hash", "ascending")])
        keys = keys.take(sorted_rows)
        is_first = np.ones(len(keys), bool)
        is_first[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
        by_text = texts[sorted_rows.to_numpy()]
        rows.append(by_text[is_first])
        duplicates.append(by_text[~is_first])
    return Arrangement(np.concatenate(rows), np.concatenate(duplicates))


def join_indexes(indexes: Sequence[StagedIndex]) -> StagedIndex:
    """The indexes of some staged files behind one another."""
    texts = None
    if any(index.texts is not None for index in indexes):
        empty = [index.texts if index.texts is not None else _empty(len(index.numbers)) for index in indexes]
        texts = pa.concat_arrays(empty)
    return StagedIndex(
        numbers=np.concatenate([index.numbers for index in indexes]),
        is_text=np.concatenate([index.is_text for index in indexes]),
        texts=texts,
        hashes=np.concatenate([index.hashes for index in indexes]),
        lengths={
            column: np.concatenate([index.lengths[column] for index in indexes])
            for column in indexes[0].lengths
        },
    )


def cut_by_size(sizes: np.ndarray, target: int) -> np.ndarray:
    """First row of every file of a store, and the number of rows, int64 [files + 1].

    Args:
        sizes: Bytes of every row, [n].
        target: Bytes of a file; one has fewer, or one row.

    >>> cut_by_size(np.array([3, 3, 3, 9, 1]), 6).tolist()
    [0, 2, 3, 4, 5]
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    edges, last = [0], len(sizes)
    while edges[-1] < last:
        start = int(ends[edges[-1] - 1]) if edges[-1] else 0
        edges.append(max(edges[-1] + 1, int(np.searchsorted(ends, start + target, "right"))))
    return np.array(edges if last else [0, 0], np.int64)


def whole_splits(notes: Iterable[BlockNote], num_splits: int) -> list[list[BlockNote]]:
    """The notes of every split of files, in order; a block that came twice counts once.

    Raises:
        SeqmillError: A block did not come, or not all records of a split became something.
    """
    found: dict[int, dict[int, BlockNote]] = {split: {} for split in range(num_splits)}
    for note in notes:
        part = _part(note)
        found[part.split].setdefault(part.number, note)
    splits = []
    for split, by_number in found.items():
        ordered = [by_number[number] for number in sorted(by_number)]
        end = _part(ordered[-1]).end if ordered else None
        numbers = [_part(note).number for note in ordered]
        if end is None or numbers != [*range(len(ordered))]:
            raise SeqmillError(f"part {split + 1} of {num_splits} of the files: the runner lost a block")
        read = sum(note.read for note in ordered)
        if read != end.num_records:
            raise SeqmillError(
                f"{_part(ordered[-1]).source}: {end.num_records:,} records, but {read:,} became something; "
                "the file has changed meanwhile, or a transform between has lost some"
            )
        splits.append(ordered)
    return splits


def first_rows(split_of_row: np.ndarray, num_splits: int) -> np.ndarray:
    """First row of every split of files, and the number of rows, int64 [num_splits + 1]."""
    return np.searchsorted(split_of_row, np.arange(num_splits + 1))


def _part(note: BlockNote) -> SplitPart:
    assert note.part is not None
    return note.part


def _empty(number: int) -> pa.Array:
    return pa.array([""] * number, pa.large_string())
