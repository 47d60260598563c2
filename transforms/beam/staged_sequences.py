"""Making a store of staged sequences: plain functions, by folder, that run once for every store.

``write_planned_file`` does one file of a store that ``store_plan.plan_store`` has planned, ``finish_planned``
what comes last. A stream's windows are stores of their own, each in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import orjson

from seqmill.transforms.batches.gather import Gatherer
from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import ArraySpec, array_bytes
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import file_version, map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.arrange import cut_by_size
from seqmill.transforms.store.arrow_file import ArrowFile
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.record_batches import (
    Block,
    RecordBatches,
    TagColumn,
    key_block,
    store_schema,
    stored_tags,
)
from seqmill.transforms.store.sequence_store import Store
from seqmill.transforms.store.split_receipt import read_receipt
from seqmill.transforms.store.staging import rows_path
from seqmill.transforms.store.store_plan import (
    PlannedFile,
    StorePlan,
    planned_rejects_path,
    read_planned_rows,
    read_store_plan,
)
from seqmill.transforms.store.write_split import Append, SplitFile, SplitReport

_PIECE_BYTES = 4_000_000  # of rows that are brought together at once


@dataclass(frozen=True)
class StoreWritten:
    """What is in a store that was written.

    Attributes:
        folder: The store's folder.
        corpus: Its name.
        fingerprint: Of everything that decides its bytes.
        num_seqs: Sequences in it.
        num_frames: Per data key their frames.
        counts: What became of the records.
        rejected: The file that lists the rejects; None where there are none.

    >>> describe_store("work/store/train").num_frames
    {'data': 36, 'classes': 36}
    """

    folder: str
    corpus: str
    fingerprint: str
    num_seqs: int
    num_frames: Mapping[str, int]
    counts: Counts
    rejected: str | None


def write_planned_file(folder: str, run: str, number: int) -> None:
    """Writes one file of a planned store, with its receipt; does nothing where another attempt has.

    Args:
        folder: The store's folder.
        run: The run that plans it so.
        number: Number of the file.

    Raises:
        SeqmillError: Another run has begun there, or what was staged is not what it was.
    """
    plan = _plan(folder, run)
    planned, finish = plan.files[number], plan.finish
    receipt = read_receipt(folder, number)
    if receipt is not None and receipt.file.fingerprint == planned.fingerprint:
        return
    file = SplitFile(folder, run, number, planned.fingerprint, finish.data_keys, finish.has_tags)
    file.write(lambda append: _fill(append, folder, plan, planned))


def finish_planned(folder: str, run: str) -> StoreWritten:
    """Writes the manifest of a store of which all files are written, and removes what was staged for it.

    Raises:
        SeqmillError: Another run has begun there, or a file is missing.
    """
    plan = _plan(folder, run)
    plan.finish(len(plan.files))
    remove_staged(folder)
    return describe_store(folder)


def remove_staged(folder: str) -> None:
    """Removes what was staged for a store."""
    _opened.clear()  # what is mapped takes room on disk
    files.remove(output_folder.staged_folder(folder))


def describe_store(folder: str) -> StoreWritten:
    """What is in a store. Raises SeqmillError where there is none."""
    store = Store(folder)
    manifest = store.manifest
    name = output_folder.rejected_name(output_folder.INGEST)
    return StoreWritten(
        folder=folder,
        corpus=manifest.corpus,
        fingerprint=manifest.fingerprint,
        num_seqs=store.num_seqs,
        num_frames={key: int(column.sum(dtype=np.int64)) for key, column in store.lengths.items()},
        counts=manifest.counts,
        rejected=files.join(folder, name) if name in manifest.others else None,
    )


class StagedSequences(RecordBatches):
    """The sequences of staged files; a source for ``Gatherer``.

    Args:
        folder: The store's folder.
        plan: The store's plan.

    Attributes:
        data_keys: What the arrays are like.
    """

    def __init__(self, folder: str, plan: StorePlan):
        super().__init__([batch_rows for _, batch_rows in plan.contents])
        self._folder = folder
        self._plan = plan
        self.data_keys: Mapping[str, ArraySpec] = plan.finish.data_keys

    def is_of(self, folder: str, plan: StorePlan) -> bool:
        """Whether these are the sequences that a plan is about: no two staged files have the same name."""
        return self._folder == folder and self._plan.staged == plan.staged

    def _open_block(self, number: int) -> Block:
        file_number, batch_number = self._places[number]
        file = self._file(file_number)
        batch = file.batch(batch_number)
        keys = {}
        for key, spec in self.data_keys.items():
            keys[key] = key_block(batch[key], spec)
            file.offsets(batch[key], len(keys[key].elements) // spec.frame_size)
        has_tags = self._plan.finish.has_tags
        return Block(keys, stored_tags(batch) if has_tags else TagColumn(b"", batch["position"].to_numpy()))

    def _open_file(self, number: int) -> ArrowFile:
        expected, batch_rows = self._plan.contents[number]
        path = rows_path(self._folder, self._plan.staged[number])
        schema = store_schema(self.data_keys, self._plan.finish.has_tags)
        return ArrowFile(path, map_checked(path, expected), schema, batch_rows)


def _fill(append: Append, folder: str, plan: StorePlan, planned: PlannedFile) -> SplitReport:
    """Adds the rows of a planned file."""
    columns = read_planned_rows(folder, plan, planned)
    if columns:
        source, has_tags = _sequences(folder, plan), plan.finish.has_tags
        gatherer = Gatherer(source)
        lengths = {key: columns[f"lengths/{key}"] for key in source.data_keys}
        sizes = array_bytes(source.data_keys, lengths)
        for first, last in pairwise(cut_by_size(sizes, _PIECE_BYTES).tolist()):
            some = {key: column[first:last] for key, column in lengths.items()}
            arrays, tags = _gather(gatherer, columns["row"][first:last], some)
            positions = [] if has_tags else columns["position"][first:last].tolist()
            append(arrays, positions, [tag.decode() for tag in tags] if has_tags else [])
    return replace(planned.report, rejects=_rejects(folder, plan, planned))


def _gather(
    gatherer: Gatherer, rows: np.ndarray, lengths: Mapping[str, np.ndarray]
) -> tuple[dict[str, Ragged], Tags]:
    """Staged sequences behind one another, as one packed batch."""
    zeros = np.zeros(len(rows), np.int64)
    starts = dict.fromkeys(lengths, zeros)
    (batch,), tags = gatherer.gather(rows, starts, lengths, np.array([0, len(rows)]), None)
    return {key: Ragged(batch[key], lengths[key]) for key in lengths}, tags


def _rejects(folder: str, plan: StorePlan, planned: PlannedFile) -> Sequence[Mapping[str, object]]:
    first, last = planned.rejects
    if first == last:
        return ()
    content = map_checked(planned_rejects_path(folder), plan.rejects)
    return [orjson.loads(line) for line in content[first:last].tobytes().splitlines()]


def _plan(folder: str, run: str) -> StorePlan:
    version = file_version(output_folder.arranged_path(folder))
    # Only what tells versions of a file apart can tell a plan from one that the same run made before.
    plan = read_store_plan(folder) if version is None else _read_plan(folder, version)
    if plan.finish.run != run:
        raise SeqmillError(f"{folder}: another run with other options or input has begun here")
    return plan


@lru_cache(maxsize=4)
def _read_plan(folder: str, version: object) -> StorePlan:
    return read_store_plan(folder)


_opened: list[StagedSequences] = []  # the last, for the next file of its store


def _sequences(folder: str, plan: StorePlan) -> StagedSequences:
    """The staged sequences that a plan is about, opened once per process."""
    found = next((one for one in _opened if one.is_of(folder, plan)), None)
    if found is None:
        found = StagedSequences(folder, plan)
        _opened[:] = [found]
    return found
