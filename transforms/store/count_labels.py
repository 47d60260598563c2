"""Counting labels over a corpus: a task counts one split; the vocabularies follow from the sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.shared_vocabs import sharing
from seqmill.transforms.features.vocab import build_vocab, count_labels, write_vocab
from seqmill.transforms.readers import Reader, get_field, open_split
from seqmill.transforms.readers.split import Record
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.count_folder import CountFolder
from seqmill.transforms.store.ingest import IngestTask

CODE_VERSION = 1  # raised when the same labels would be counted or listed otherwise
_BLOCK_SEQS = 1000
_BLOCK_BYTES = 4_000_000  # of records that are held before they are counted


def label_counts(folder: str) -> CountFolder:
    """What is kept in the folder of vocabularies."""
    return CountFolder(
        folder=folder,
        what="labels",
        part_format="seqmill.counts/2",
        summary_format="seqmill.vocab/3",
        summary=output_folder.VOCAB_SUMMARY_NAME,
        suffix=output_folder.VOCAB_SUFFIX,
    )


@dataclass(frozen=True)
class CountLabels:
    """Counts the labels of splits.

    Attributes:
        folder: The folder of vocabularies.
        keys: The data keys whose labels are counted, those that share a vocabulary included.
        run: The run that the folder must still belong to (``begin_run``).
    """

    folder: str
    keys: tuple[DataKey, ...]
    run: str

    def __call__(self, task: IngestTask) -> None:
        """Counts one split; records that cannot be read or counted are left to ingest to reject."""
        counts = label_counts(self.folder)
        if counts.is_counted(task.index, task.fingerprint):
            return
        reporter = Reporter(output_folder.progress_folder(self.folder))
        keys = task.read_keys(self.keys)
        counters: dict[str, Counter[str]] = {key.labels_of: Counter() for key in keys}
        for records in _blocks(open_split(task.split, [key.field for key in keys])):
            for key in keys:
                count_labels(key, values_of(records, key.field), counters[key.labels_of])
            reporter.add(num_seqs=len(records))
        counts.write_part(task.index, task.fingerprint, self.run, counts=counters)
        reporter.add(task.work)
        reporter.flush()


@dataclass(frozen=True)
class WriteVocabs:
    """Sums the counts of all splits and writes ``<key>.txt`` and, last, the summary.

    Attributes:
        folder: The folder of vocabularies.
        keys: The data keys whose labels are counted, those that share a vocabulary included.
        fingerprint: Of all splits and keys; also the run that the folder must still belong to.
        splits: Fingerprint of every split, those that a rerun kept included.
    """

    folder: str
    keys: tuple[DataKey, ...]
    fingerprint: str
    splits: tuple[str, ...]

    def __call__(self, num_tasks: int) -> None:
        """Writes the vocabularies; called when all tasks have succeeded."""
        with publishing(self.folder, self.fingerprint), files.remembering(self.folder):
            self._write()

    def _write(self) -> None:
        counts = label_counts(self.folder)
        owners = [key for key in self.keys if key.has_counted_vocab]
        sums: dict[str, Counter[str]] = {key.name: Counter() for key in owners}
        for part in counts.parts(self.splits):
            for key, added in part["counts"].items():
                sums[key].update(added)
        for key in owners:
            write_vocab(counts.path(key.name), build_vocab(sums[key.name], *sharing(key, self.keys)))
        counts.write_summary(self.fingerprint, sums)


def _blocks(reader: Reader) -> Iterator[list[Record]]:
    """The records that can be read."""
    block: list[Record] = []
    start = 0
    for _, record in reader:
        if not isinstance(record, RejectedSequence):
            block.append(record)
        if len(block) >= _BLOCK_SEQS or reader.num_bytes - start > _BLOCK_BYTES:
            yield block
            block, start = [], reader.num_bytes
    yield block


def values_of(records: Iterable[Mapping[str, Any]], field: str) -> list[Any]:
    """The values of a field, where it is there."""
    values = []
    for record in records:
        with suppress(RejectedSequence):
            values.append(record[field] if field in record else get_field(record, field))
    return values
