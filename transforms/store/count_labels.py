"""Counting labels over a corpus: a task counts one split; the vocabularies follow from the sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.shared_vocabs import sharing
from seqmill.transforms.features.vocab import build_vocab, count_labels, write_vocab
from seqmill.transforms.readers import Reader, get_field, open_split
from seqmill.transforms.readers.split import Record
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum, is_intact
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.manifest_file import read_sealed_json, seal
from seqmill.transforms.storage.output_folder import counted_vocab_path, split_receipt_path
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.ingest import IngestTask

CODE_VERSION = 1  # raised when the same labels would be counted or listed otherwise
_BLOCK_SEQS = 1000
_BLOCK_BYTES = 4_000_000  # of records that are held before they are counted
_PART_FORMAT = "seqmill.counts/2"
_SUMMARY_FORMAT = "seqmill.vocab/2"


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
        if is_counted(self.folder, task):
            return
        reporter = Reporter(output_folder.progress_folder(self.folder))
        counters: dict[str, Counter[str]] = {key.labels_of: Counter() for key in self.keys}
        for records in _blocks(open_split(task.split, [key.field for key in self.keys])):
            for key in self.keys:
                count_labels(key, _values(records, key.field), counters[key.labels_of])
            reporter.add(num_seqs=len(records))
        content = {"format": _PART_FORMAT, "fingerprint": task.fingerprint, "counts": counters}
        with publishing(self.folder, self.run):
            files.write_json(_part_path(self.folder, task.index), seal(content))
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
        owners = [key for key in self.keys if key.has_counted_vocab]
        sums: dict[str, Counter[str]] = {key.name: Counter() for key in owners}
        for index, fingerprint in enumerate(self.splits):
            content = _read(_part_path(self.folder, index), _PART_FORMAT)
            if content.get("fingerprint") != fingerprint:
                raise SeqmillError(f"{self.folder}: the labels of split {index} are not counted; run again")
            for key, counts in content["counts"].items():
                sums[key].update(counts)
        written = {}
        for key in owners:
            path = counted_vocab_path(self.folder, key.name)
            write_vocab(path, build_vocab(sums[key.name], *sharing(key, self.keys)))
            written[key.name] = asdict(checksum(path))
        content = {"format": _SUMMARY_FORMAT, "fingerprint": self.fingerprint, "vocabs": written}
        files.write_json(output_folder.vocab_summary_path(self.folder), seal(content))


def is_counted(folder: str, task: IngestTask) -> bool:
    """Whether an earlier run has counted this split as it is now."""
    return _read(_part_path(folder, task.index), _PART_FORMAT).get("fingerprint") == task.fingerprint


def counted_fingerprint(folder: str, fresh: bool = False) -> str | None:
    """The fingerprint of the vocabularies in a folder, if they are intact; ``fresh`` as for ``is_intact``."""
    summary = _read(output_folder.vocab_summary_path(folder), _SUMMARY_FORMAT)
    for key, expected in summary.get("vocabs", {}).items():
        if not is_intact(counted_vocab_path(folder, key), Checksum(**expected), fresh):
            return None
    return summary.get("fingerprint")


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


def _values(records: Iterable[Record], field: str) -> list[Any]:
    """The values of a field, where it is there."""
    values = []
    for record in records:
        with suppress(RejectedSequence):
            values.append(record[field] if field in record else get_field(record, field))
    return values


def _read(path: str, expected_format: str) -> dict[str, Any]:
    """What was written as a whole; nothing where it is not there or not what was written."""
    try:
        return read_sealed_json(path, expected_format, "nothing is counted")
    except SeqmillError:
        return {}


def _part_path(folder: str, index: int) -> str:
    return split_receipt_path(folder, index, "counts.json")
