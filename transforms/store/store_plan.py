"""The plan of a store that is made of staged files: its files, and the staged sequence that each row is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import xxhash
from pydantic import TypeAdapter

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum, map_checked
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.hashing_file import write_hashed
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.store.arrange import arrange, join_indexes
from seqmill.transforms.store.arrow_file import ArrowFile
from seqmill.transforms.store.finish_store import FinishStore, check_rejected
from seqmill.transforms.store.length_index import write_index
from seqmill.transforms.store.sequence_block import Origin
from seqmill.transforms.store.staging import StagedFile, read_staged, read_staged_index
from seqmill.transforms.store.store_files import (
    StagedCorpus,
    StoreFiles,
    cut_files,
    first_rejects,
    list_rejects,
)
from seqmill.transforms.store.store_writer import CODE_VERSION as STORE_VERSION
from seqmill.transforms.store.write_split import SplitReport

CODE_VERSION = 1  # raised when the same sequences would be arranged otherwise
_FORMAT = "seqmill.arranged/1"
_MOST_LISTED = 10_000  # rejects, where there are too many


@dataclass(frozen=True)
class StoreOptions:
    """What a store is written with.

    Attributes:
        corpus: Its name.
        max_rejected: Largest share of rejected records.
        allow_damaged: Whether sources may pass of which an unknown part is lost.
    """

    corpus: str
    max_rejected: float
    allow_damaged: bool


@dataclass(frozen=True)
class PlannedFile:
    """One file of the store.

    Attributes:
        first: Its first row in the store.
        last: The row behind its last.
        fingerprint: Of everything that decides its bytes.
        report: What is said beside its rows, but for its rejects.
        rejects: First and last byte of its rejects in the file of all.
    """

    first: int
    last: int
    fingerprint: str
    report: SplitReport
    rejects: tuple[int, int]


@dataclass(frozen=True)
class StorePlan:
    """``arranged.json``: what a store is made of.

    Attributes:
        format: Its version.
        staged: Names of the staged files.
        contents: Of each the size and hash of its rows, and the rows of each record batch.
        rows: Size and hash of the file that says which staged sequence every row is.
        rejects: Size and hash of the file of all rejects.
        files: The files of the store.
        finish: What the last step does.
    """

    format: str
    staged: tuple[str, ...]
    contents: tuple[tuple[Checksum, tuple[int, ...]], ...]
    rows: Checksum
    rejects: Checksum
    files: tuple[PlannedFile, ...]
    finish: FinishStore


_PLAN = TypeAdapter(StorePlan)


def plan_store(folder: str, names: Sequence[str], options: StoreOptions) -> StorePlan:
    """Plans a store that is made of staged files; its folder belongs to it from now on.

    Done again with the same staged files, it gives the same plan, also when they are used up.

    Args:
        folder: The store's folder.
        names: The staged files; one that comes twice counts once.
        options: What the store is written with.

    Raises:
        SeqmillError: Too much is rejected, nothing is left, blocks are missing or of different collections.
    """
    names = sorted(set(names))
    there = _plan_there(folder)
    if there is not None and [*there.staged] == names:
        return there
    staged = [read_staged(folder, name) for name in names]
    _check_one_origin(staged)
    index = join_indexes([read_staged_index(folder, *one) for one in zip(names, staged, strict=True)])
    corpus = StagedCorpus(folder, names, staged, index, arrange(index))
    cut = cut_files(corpus)
    _check_rejected(corpus, cut, options)
    rejects = list_rejects(corpus, len(cut.reports))
    prints = _fingerprints(corpus, cut, rejects)
    finish = _finish(corpus, cut, prints, options)
    files.remove(output_folder.manifest_path(folder))
    files.make_folder(output_folder.receipts_folder(folder))
    begin_run(folder, finish.run)
    ends = np.cumsum([0, *(sum(map(len, lines)) for lines in rejects)]).tolist()
    plan = StorePlan(
        format=_FORMAT,
        staged=tuple(names),
        contents=tuple((one.rows, one.batch_rows) for one in staged),
        rows=_write_rows(corpus),
        rejects=write_hashed(planned_rejects_path(folder), map(b"".join, rejects)),
        files=tuple(
            PlannedFile(first, last, prints[n], cut.reports[n], (ends[n], ends[n + 1]))
            for n, (first, last) in enumerate(pairwise(cut.edges))
        ),
        finish=finish,
    )
    write_sealed(output_folder.arranged_path(folder), _PLAN, plan)
    return plan


def read_store_plan(folder: str) -> StorePlan:
    """The plan that ``plan_store`` made last. Raises SeqmillError where there is none."""
    path = output_folder.arranged_path(folder)
    plan: StorePlan = read_sealed(path, _PLAN, _FORMAT, "no store is being made of staged files here")
    return plan


def read_planned_rows(folder: str, plan: StorePlan, file: PlannedFile) -> dict[str, np.ndarray]:
    """Of every row of a planned file: ``row`` among all staged sequences, and what the length index has.

    Raises:
        SeqmillError: They are not what was written.
    """
    path = _rows_path(folder)
    if file.first == file.last:
        return {}
    batch = ArrowFile(path, map_checked(path, plan.rows)).batch(0)
    return {name: batch[name].to_numpy()[file.first : file.last] for name in batch.schema.names}


def planned_rejects_path(folder: str) -> str:
    """Path of the rejects of all files of the store."""
    return files.join(output_folder.staged_folder(folder), "rejects.jsonl")


def _rows_path(folder: str) -> str:
    return files.join(output_folder.staged_folder(folder), "rows.arrow")


def _plan_there(folder: str) -> StorePlan | None:
    try:
        return read_store_plan(folder)
    except SeqmillError:
        return None


def _check_one_origin(staged: Sequence[StagedFile]) -> None:
    for one in staged[1:]:
        if one.origin != staged[0].origin:
            raise SeqmillError(
                f"blocks of different collections: {_shown(staged[0].origin)}, and {_shown(one.origin)}; "
                "expected those of one ReadSequences or EncodeSequences"
            )


def _shown(origin: Origin) -> str:
    keys = ", ".join(f"{key}: {spec.type}" for key, spec in origin.data_keys.items())
    return (
        f"{keys} of {origin.num_splits} parts of files" if origin.num_splits else f"{keys} of {origin.name}"
    )


def _check_rejected(corpus: StagedCorpus, cut: StoreFiles, options: StoreOptions) -> None:
    """Raises SeqmillError where too much is rejected; lists some of it, as all may be too much to hold."""
    path = output_folder.rejected_path(corpus.folder, output_folder.INGEST)
    if sum(cut.counts.rejected.values()) > options.max_rejected * cut.counts.read:
        write_hashed(path, first_rejects(corpus, _MOST_LISTED))
        check_rejected(options.corpus, cut.counts, options.max_rejected, path)
    check_rejected(options.corpus, cut.counts, options.max_rejected, None)


def _fingerprints(corpus: StagedCorpus, cut: StoreFiles, rejects: Sequence[Sequence[bytes]]) -> list[str]:
    """Of everything that decides the bytes of each file."""
    origin, index, rows = corpus.origin, corpus.index, corpus.arranged.rows
    common = (CODE_VERSION, STORE_VERSION, origin.data_keys, origin.has_tags)
    places = index.lengths["tag_size" if origin.has_tags else "position"]
    prints = []
    for number, (first, last) in enumerate(pairwise(cut.edges)):
        chosen = rows[first:last]
        content = [xxhash.xxh3_128_hexdigest(column[chosen].tobytes()) for column in (index.hashes, places)]
        lines = xxhash.xxh3_128_hexdigest(b"".join(rejects[number]))
        prints.append(fingerprint(common, number, content, cut.reports[number], lines))
    return prints


def _finish(
    corpus: StagedCorpus, cut: StoreFiles, prints: Sequence[str], options: StoreOptions
) -> FinishStore:
    origin, sources = corpus.origin, tuple(report.source for report in cut.reports)
    for key, vocab in origin.vocab_files.items():
        if checksum(vocab.path) != vocab.checksum:
            raise SeqmillError(f"{vocab.path}: the labels of {key} have changed since they were read")
    vocabs = {key: vocab.checksum for key, vocab in origin.vocab_files.items()}
    limits = (options.corpus, options.max_rejected, options.allow_damaged)
    norms = (origin.norms,) if origin.norms else ()
    whole = fingerprint(prints, sources, vocabs, cut.counts.dropped, limits, *norms)
    return FinishStore(
        folder=corpus.folder,
        corpus=options.corpus,
        sources=sources,
        data_keys=origin.data_keys,
        has_tags=origin.has_tags,
        fingerprint=whole,
        splits=tuple(prints),
        max_rejected=options.max_rejected,
        allow_damaged=options.allow_damaged,
        vocab_files={key: vocab.path for key, vocab in origin.vocab_files.items()},
        run=whole,
        dropped=cut.counts.dropped,
        norms=origin.norms,
    )


def _write_rows(corpus: StagedCorpus) -> Checksum:
    rows = corpus.arranged.rows
    columns = {"row": rows, **{name: column[rows] for name, column in corpus.index.lengths.items()}}
    return write_index(_rows_path(corpus.folder), pa.table(columns))
