"""Counting labels over a corpus: a task counts one split; the vocabularies follow from the sums."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.vocab import build_vocab, count_labels, write_vocab
from seqmill.transforms.readers import get_field, open_split
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.storage.output_folder import counted_vocab_path, split_part_path
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.ingest import IngestTask


@dataclass(frozen=True)
class CountLabels:
    """Counts the labels of splits.

    Attributes:
        folder: The folder of vocabularies.
        keys: The data keys whose labels are counted.
    """

    folder: str
    keys: tuple[DataKey, ...]

    def __call__(self, task: IngestTask) -> None:
        """Counts one split; records that cannot be read or counted are left to ingest to reject."""
        reporter = Reporter(output_folder.progress_folder(self.folder))
        counters: dict[str, Counter[str]] = {key.name: Counter() for key in self.keys}
        for num_records, (_, record) in enumerate(open_split(task.split, [key.field for key in self.keys])):
            if not isinstance(record, RejectedSequence):
                for key in self.keys:
                    with suppress(RejectedSequence):
                        count_labels(key, get_field(record, key.field), counters[key.name])
            if num_records % 1000 == 999:
                reporter.add(num_seqs=1000)
        files.write_json(
            _part_path(self.folder, task.index), {"fingerprint": task.fingerprint, "counts": counters}
        )
        reporter.add(task.work)
        reporter.flush()


@dataclass(frozen=True)
class WriteVocabs:
    """Sums the counts of all splits and writes ``<key>.txt`` and, last, the summary.

    Attributes:
        folder: The folder of vocabularies.
        keys: The data keys whose labels are counted.
        fingerprint: Of all splits and keys.
        num_splits: How many splits were counted, those that a rerun kept included.
    """

    folder: str
    keys: tuple[DataKey, ...]
    fingerprint: str
    num_splits: int

    def __call__(self, num_tasks: int) -> None:
        """Writes the vocabularies; called when all tasks have succeeded."""
        sums: dict[str, Counter[str]] = {key.name: Counter() for key in self.keys}
        for index in range(self.num_splits):
            for key, counts in files.read_json(_part_path(self.folder, index))["counts"].items():
                sums[key].update(counts)
        for key in self.keys:
            write_vocab(counted_vocab_path(self.folder, key.name), build_vocab(sums[key.name], key))
        files.write_json(output_folder.vocab_summary_path(self.folder), {"fingerprint": self.fingerprint})


def is_counted(folder: str, task: IngestTask) -> bool:
    """Whether an earlier run has counted this split as it is now."""
    return _read(_part_path(folder, task.index)).get("fingerprint") == task.fingerprint


def counted_fingerprint(folder: str) -> str | None:
    """The fingerprint of the vocabularies in a folder, if they are complete."""
    return _read(output_folder.vocab_summary_path(folder)).get("fingerprint")


def _read(path: str) -> dict[str, Any]:
    return files.read_json(path) if files.exists(path) else {}


def _part_path(folder: str, index: int) -> str:
    return split_part_path(folder, index, "counts.json")
