"""How staged sequences are cut into the files of a store, and what became of the records of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from seqmill.transforms.features.array_spec import array_bytes
from seqmill.transforms.store.arrange import Arrangement, cut_by_size, first_rows, whole_splits
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.sequence_block import Origin, largest, summed
from seqmill.transforms.store.staging import (
    BlockNote,
    StagedFile,
    StagedIndex,
    read_staged_rejects,
    split_of,
)
from seqmill.transforms.store.write_split import SplitReport

DUPLICATE = "duplicate order key"
FILE_BYTES = 32_000_000


@dataclass(frozen=True)
class StagedCorpus:
    """Everything that was staged for a store.

    Attributes:
        folder: The store's folder.
        names: The staged files.
        staged: What is in each.
        index: Their indexes behind one another.
        arranged: Their order.
    """

    folder: str
    names: Sequence[str]
    staged: Sequence[StagedFile]
    index: StagedIndex
    arranged: Arrangement

    @property
    def origin(self) -> Origin:
        """What all blocks have in common."""
        return self.staged[0].origin

    def rejects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(split, reject with ``place``) of all staged files, in no particular order."""
        for name, staged in zip(self.names, self.staged, strict=True):
            yield from read_staged_rejects(self.folder, name, staged)


@dataclass(frozen=True)
class StoreFiles:
    """The files of a store to be.

    Attributes:
        edges: First row of every file, and the number of rows.
        reports: What is said beside their rows, but for their rejects.
        counts: What became of all records.
    """

    edges: Sequence[int]
    reports: Sequence[SplitReport]
    counts: Counts


def cut_files(corpus: StagedCorpus) -> StoreFiles:
    """The files of a store.

    Of files that were read there is one for every split, as ingest makes them. Of other records there are
    files of about ``FILE_BYTES``; what cannot be told of one of them is said of the first.

    Raises:
        SeqmillError: Blocks are missing.
    """
    origin, rows, index = corpus.origin, corpus.arranged.rows, corpus.index
    notes = [note for one in corpus.staged for note in one.notes]
    if origin.num_splits:
        splits = whole_splits(notes, origin.num_splits)
        edges = first_rows(split_of(index.numbers[rows]), origin.num_splits).tolist()
        notes = [note for some in splits for note in some]
        return StoreFiles(edges, [*map(_of_split, splits)], _counts(notes, 0))
    edges = cut_by_size(_row_bytes(index, origin)[rows], FILE_BYTES).tolist()
    reports = [SplitReport(origin.name, last - first) for first, last in pairwise(edges)]
    reports[0] = _report(notes, origin.name, reports[0].num_positions)
    return StoreFiles(edges, reports, _counts(notes, len(corpus.arranged.duplicates)))


def list_rejects(corpus: StagedCorpus, num_files: int) -> list[list[bytes]]:
    """Of every file of a store its rejects as lines of JSON, in an order that depends on them alone."""
    lines: list[list[bytes]] = [[] for _ in range(num_files)]
    if corpus.origin.num_splits:
        by_place: list[dict[int, bytes]] = [{} for _ in lines]
        for split, reject in corpus.rejects():
            place = reject.pop("place")
            by_place[split][place] = _line({"position": place, **reject})  # a block may have come twice
        return [[some[place] for place in sorted(some)] for some in by_place]
    rejects = [{"order": one.pop("place"), **one} for _, one in corpus.rejects()]
    rejects += _duplicates(corpus)
    lines[0] = [*map(_line, sorted(rejects, key=_by_order))]
    return lines


def first_rejects(corpus: StagedCorpus, most: int) -> list[bytes]:
    """Some rejects as lines of JSON, where there are too many to list all."""
    found = []
    for _, reject in corpus.rejects():
        found.append(_line({"place": reject.pop("place"), **reject}))
        if len(found) == most:
            return found
    return [*found, *map(_line, _duplicates(corpus)[: most - len(found)])]


def _duplicates(corpus: StagedCorpus) -> list[dict[str, Any]]:
    if corpus.origin.num_splits:
        return []  # a block that came twice
    index, rejects = corpus.index, []
    for row in corpus.arranged.duplicates.tolist():
        key: int | str = int(index.numbers[row])
        if index.is_text[row]:
            assert index.texts is not None
            key = index.texts[row].as_py()
        detail = f"another record has {corpus.origin.order_by} = {key!r:.100} too"
        rejects.append({"order": key, "count": 1, "reason": DUPLICATE, "detail": detail})
    return rejects


def _of_split(notes: Sequence[BlockNote]) -> SplitReport:
    part = notes[-1].part
    assert part is not None and part.end is not None
    return _report(notes, part.source, part.end.num_positions, part.end.damaged)


def _report(
    notes: Sequence[BlockNote], source: str, num_positions: int, damaged: str | None = None
) -> SplitReport:
    return SplitReport(
        source=source,
        num_positions=num_positions,
        converted=summed(note.converted for note in notes),
        unknown=summed(note.unknown for note in notes),
        largest_error=largest([note.largest_error for note in notes]),
        damaged=damaged,
    )


def _counts(notes: Sequence[BlockNote], num_duplicates: int) -> Counts:
    rejected = summed(note.rejected for note in notes)
    if num_duplicates:
        rejected[DUPLICATE] = num_duplicates
    return Counts(
        read=sum(note.read for note in notes),
        kept=sum(note.num_seqs for note in notes) - num_duplicates,
        dropped=summed(note.dropped for note in notes),
        rejected=rejected,
        converted=summed(note.converted for note in notes),
    )


def _row_bytes(index: StagedIndex, origin: Origin) -> np.ndarray:
    """Bytes of every staged sequence, int64 [N]."""
    lengths = {key: index.lengths[f"lengths/{key}"] for key in origin.data_keys}
    sizes = array_bytes(origin.data_keys, lengths)
    return sizes + index.lengths["tag_size"] if origin.has_tags else sizes


def _by_order(reject: Mapping[str, Any]) -> tuple[Any, ...]:
    order = reject["order"]
    kind = (order is None, isinstance(order, str))
    return (*kind, 0 if order is None else order, reject["reason"], reject["detail"])


def _line(reject: Mapping[str, Any]) -> bytes:
    return orjson.dumps(reject) + b"\n"
