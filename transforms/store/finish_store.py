"""The last step of ingest: puts the parts of all splits together and writes the store's manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import orjson
import pyarrow as pa

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.output_folder import split_part_path, store_file_name
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.ingest import read_receipt
from seqmill.transforms.store.sequence_store import (
    FORMAT,
    StoreFile,
    StoreManifest,
    index_schema,
    read_index,
    write_index,
    write_manifest,
)


@dataclass(frozen=True)
class FinishStore:
    """Writes the length index, the rejects and, last, the manifest of a store.

    Attributes:
        folder: The store's folder.
        corpus: Name of the corpus.
        sources: The files it was read from.
        data_keys: What its arrays are like.
        has_tags: Whether tags were given.
        fingerprint: Of all splits.
        splits: Fingerprint of every split in corpus order.
        max_rejected: Largest share of rejected sequences.
        vocab_files: Per data key with a vocabulary the file to copy.
    """

    folder: str
    corpus: str
    sources: tuple[str, ...]
    data_keys: Mapping[str, ArraySpec]
    has_tags: bool
    fingerprint: str
    splits: tuple[str, ...]
    max_rejected: float
    vocab_files: Mapping[str, str]

    def __call__(self, num_tasks: int) -> None:
        """Called when all tasks have succeeded.

        Raises:
            SeqmillError: Too many sequences were rejected, none is left, or a part is missing.
        """
        entries = self._receipts()
        counts = _sum_counts(entries)
        rejected_path = output_folder.rejected_path(self.folder, output_folder.INGEST)
        files.remove(rejected_path)
        if counts.rejected:
            with files.write_atomically(rejected_path) as file:
                for line in self._rejects(entries):
                    file.write(line)
        check_rejected(self.corpus, counts, self.max_rejected, rejected_path)
        write_index(output_folder.lengths_path(self.folder), self._index(len(entries)))
        self._remove_others(entries)
        for key, path in self.vocab_files.items():
            files.copy(path, files.join(self.folder, str(self.data_keys[key].vocab)))
        write_manifest(
            self.folder,
            StoreManifest(
                format=FORMAT,
                fingerprint=self.fingerprint,
                corpus=self.corpus,
                sources=self.sources,
                data_keys=self.data_keys,
                has_tags=self.has_tags,
                counts=counts,
                files=tuple(entries),
            ),
        )

    def _receipts(self) -> list[StoreFile]:
        entries: list[StoreFile] = []
        for index, fingerprint in enumerate(self.splits):
            entry = read_receipt(self.folder, index)
            if entry is None or entry.fingerprint != fingerprint:
                raise SeqmillError(
                    f"{self.folder}: {store_file_name(index)} is missing after ingest; run again"
                )
            if entries and entries[-1].source == entry.source:
                before = entries[-1]
                entry = replace(entry, first_position=before.first_position + before.num_positions)
            entries.append(entry)
        return entries

    def _rejects(self, entries: list[StoreFile]) -> Iterator[bytes]:
        for index, entry in enumerate(entries):
            for line in files.read_bytes(split_part_path(self.folder, index, "rejected.jsonl")).splitlines():
                reject = orjson.loads(line)
                position = entry.first_position + reject.pop("position")
                yield orjson.dumps({"source": entry.source, "position": position, **reject}) + b"\n"

    def _index(self, num_files: int) -> pa.Table:
        schema = index_schema(self.data_keys, self.has_tags)
        parts = [
            read_index(split_part_path(self.folder, index, "lengths.arrow")) for index in range(num_files)
        ]
        return pa.concat_tables([schema.empty_table(), *parts])

    def _remove_others(self, entries: list[StoreFile]) -> None:
        """Removes what runs with other splits have left."""
        parts = output_folder.parts_folder(self.folder)
        for name in files.list_names(parts):
            split = output_folder.split_of_part(name)
            if split is not None and split >= len(entries):
                files.remove(files.join(parts, name))
        mine = {entry.file for entry in entries}
        for name in files.list_names(self.folder):
            if output_folder.is_store_file_name(name) and name not in mine:
                files.remove(files.join(self.folder, name))


def check_rejected(corpus: str, counts: Counts, max_rejected: float, path: str) -> None:
    """Ends a run of which too much was rejected, or nothing is left. Raises SeqmillError."""
    total = sum(counts.rejected.values())
    if counts.read == 0:
        raise SeqmillError(f"corpus {corpus}: no sequences in its files")
    if total <= max_rejected * counts.read and counts.kept + sum(counts.dropped.values()):
        return
    limit = "" if total == counts.read else f", more than max_rejected = {max_rejected:.2%}"
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in Counter(counts.rejected).most_common())
    first = files.read_bytes(path).splitlines()[0].decode() if total else ""
    raise SeqmillError(
        f"corpus {corpus}: {total:,} of {counts.read:,} sequences rejected "
        f"({total / counts.read:.2%}){limit}; {reasons}\n  first: {first}\n  all of them: {path}"
    )


def _sum_counts(entries: list[StoreFile]) -> Counts:
    rejected: Counter[str] = Counter()
    converted: Counter[str] = Counter()
    for entry in entries:
        rejected.update(entry.rejected)
        converted.update(entry.converted)
    kept = sum(entry.num_seqs for entry in entries)
    return Counts(kept + sum(rejected.values()), kept, {}, rejected, converted)
