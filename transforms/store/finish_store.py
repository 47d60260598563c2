"""The last step of ingest: puts the parts of all splits together and writes the store's manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

import numpy as np
import orjson
import pyarrow as pa

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.norm import Norm, write_norm
from seqmill.transforms.features.vocab import read_vocab, write_vocab
from seqmill.transforms.planning.distinct import num_distinct
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum, map_checked
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import NothingLeftError, SeqmillError
from seqmill.transforms.storage.hashing_file import write_hashed
from seqmill.transforms.storage.output_folder import store_file_name
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.join import JoinedStore
from seqmill.transforms.store.length_index import index_schema, read_index, write_index
from seqmill.transforms.store.sequence_store import (
    FORMAT,
    DamagedSource,
    JoinedSource,
    StoreFile,
    StoreManifest,
    read_manifest,
    write_manifest,
)
from seqmill.transforms.store.split_receipt import (
    SplitReceipt,
    lengths_part,
    read_receipt,
    rejects_part,
    tags_part,
)
from seqmill.transforms.store.sum_counts import sum_counts
from seqmill.transforms.store.unique_tags import check_unique

_MOST_SHOWN = 10


@dataclass(frozen=True)
class FinishStore:
    """Writes the length index, the rejects and, last, the manifest of a store.

    Attributes:
        folder: The store's folder.
        corpus: Name of the corpus.
        sources: The file that each split was read from, relative to the folder that holds them all.
        data_keys: What its arrays are like.
        has_tags: Whether tags were given.
        fingerprint: Of all splits.
        splits: Fingerprint of every split in corpus order.
        max_rejected: Largest share of rejected sequences.
        allow_damaged: Whether sources may pass of which an unknown part is lost.
        vocab_files: Per data key with a vocabulary the file that lists it.
        run: The run that the folder must still belong to.
        dropped: Sequences that were dropped before they came here, by reason.
        listed: See ``StoreManifest``.
        norms: Per data key the statistics that its frames were normalized by, where there are any.
        mixed: See ``StoreManifest``.
        unique_tags: Whether no two sequences may have the same tag; in a source that is joined they may not.
        joined: Stores that sequences were joined with.
    """

    folder: str
    corpus: str
    sources: tuple[str, ...]
    data_keys: Mapping[str, ArraySpec]
    has_tags: bool
    fingerprint: str
    splits: tuple[str, ...]
    max_rejected: float
    allow_damaged: bool
    vocab_files: Mapping[str, str]
    run: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    listed: tuple[int, ...] = ()
    norms: Mapping[str, Norm] = field(default_factory=dict)
    mixed: Mapping[str, int] = field(default_factory=dict)
    unique_tags: bool = False
    joined: tuple[JoinedStore, ...] = ()

    def __call__(self, num_tasks: int) -> None:
        """Called when all tasks have succeeded.

        Raises:
            SeqmillError: Too many sequences were rejected, none is left, a source is damaged, or a part of
                the store is missing.
        """
        with publishing(self.folder, self.run), files.remembering(self.folder):
            self._finish()

    def _finish(self) -> None:
        receipts = self._receipts()
        entries = [receipt.file for receipt in receipts]
        counts = sum_counts(entries, self.dropped)
        rejected_path = output_folder.rejected_path(self.folder, output_folder.INGEST)
        files.remove(rejected_path)
        others: dict[str, Checksum] = {}
        if counts.rejected:
            name = output_folder.rejected_name(output_folder.INGEST)
            others[name] = write_hashed(rejected_path, self._rejects(receipts))
        damaged = tuple(DamagedSource(entry.source, entry.damaged) for entry in entries if entry.damaged)
        if damaged and not self.allow_damaged:
            raise _damaged_error(self.corpus, damaged)
        counts = replace(counts, duplicate_tags=self._num_duplicate_tags(receipts))
        check_rejected(self.corpus, counts, self.max_rejected, rejected_path)
        for name, own in self._of_sources(entries).items():
            check_rejected(f"{self.corpus}, source {name}", sum_counts(own, {}), self.max_rejected, None)
        index = self._index(receipts)
        others[output_folder.LENGTHS_NAME] = write_index(output_folder.lengths_path(self.folder), index)
        self._remove_others(entries)
        for key, path in self.vocab_files.items():
            name = str(self.data_keys[key].vocab)
            write_vocab(files.join(self.folder, name), read_vocab(path))
            others[name] = checksum(files.join(self.folder, name))
        for key, norm in self.norms.items():
            name = str(self.data_keys[key].norm)
            write_norm(files.join(self.folder, name), norm)
            others[name] = checksum(files.join(self.folder, name))
        write_manifest(
            self.folder,
            StoreManifest(
                format=FORMAT,
                fingerprint=self.fingerprint,
                corpus=self.corpus,
                sources=tuple(dict.fromkeys(self.sources)),
                data_keys=self.data_keys,
                has_tags=self.has_tags,
                counts=counts,
                files=tuple(entries),
                others=others,
                damaged=damaged,
                listed=self.listed,
                mixed=self.mixed,
                joined={joined.where: self._joined(joined, entries) for joined in self.joined},
            ),
        )

    def _of_sources(self, entries: Sequence[StoreFile]) -> dict[str, Sequence[StoreFile]]:
        """The files of each source of a mix; none where nothing is mixed."""
        edges = [*accumulate(self.mixed.values(), initial=0)]
        return {name: entries[a:b] for name, (a, b) in zip(self.mixed, pairwise(edges), strict=True)}

    def _joined(self, joined: JoinedStore, entries: Sequence[StoreFile]) -> JoinedSource:
        """What became of the records of a store that sequences were joined with: each at most once."""
        there, name = read_manifest(joined.folder), joined.source or self.corpus
        own = entries if joined.source is None else self._of_sources(entries)[joined.source]
        num_joined = sum(entry.num_seqs for entry in own)
        dropped = Counter(there.counts.dropped)
        dropped[f"tag not kept of {name}"] += there.counts.kept - num_joined
        counts = replace(there.counts, kept=num_joined, dropped=dict(+dropped))
        return JoinedSource(there.sources, tuple(there.data_keys), counts)

    def _receipts(self) -> list[SplitReceipt]:
        """Of all splits, with their sources; ``first_position`` counted over the whole source."""
        receipts: list[SplitReceipt] = []
        for index, (fingerprint, source) in enumerate(zip(self.splits, self.sources, strict=True)):
            receipt = read_receipt(self.folder, index, by_size=True)
            if receipt is None or receipt.file.fingerprint != fingerprint:
                name = store_file_name(index)
                raise SeqmillError(f"{self.folder}: {name} is missing after ingest; run again")
            first = 1
            if receipts and receipts[-1].file.source == source:
                first = receipts[-1].file.first_position + receipts[-1].file.num_positions
            file = replace(receipt.file, source=source, first_position=first)
            receipts.append(replace(receipt, file=file))
        return receipts

    def _rejects(self, receipts: list[SplitReceipt]) -> Iterator[bytes]:
        for index, receipt in enumerate(receipts):
            if receipt.rejects is None:
                continue
            content = map_checked(rejects_part(self.folder, index), receipt.rejects).tobytes()
            for line in content.splitlines():
                reject = orjson.loads(line)
                place = {"source": receipt.file.source}
                if "position" in reject:
                    place["position"] = receipt.file.first_position + reject.pop("position")
                yield orjson.dumps({**place, **reject}) + b"\n"

    def _num_duplicate_tags(self, receipts: list[SplitReceipt]) -> int:
        """Sequences whose tag another one before has, told by hashes of 64 bits.

        Raises:
            SeqmillError: There are any, and tags must be unique.
        """
        hashes = self._tag_hashes(receipts)
        entries = [receipt.file for receipt in receipts]
        if self.unique_tags or any(joined.source is None for joined in self.joined):
            check_unique(self.folder, self.corpus, self.data_keys, entries, hashes)
        end = 0
        for name, own in self._of_sources(entries).items():
            first, end = end, end + sum(entry.num_seqs for entry in own)
            if any(joined.source == name for joined in self.joined):
                check_unique(self.folder, self.corpus, self.data_keys, own, hashes[first:end])
        return len(hashes) - num_distinct(hashes)

    def _tag_hashes(self, receipts: list[SplitReceipt]) -> np.ndarray:
        """Hashes of the tags of all sequences, uint64 [n]; none where tags are not given."""
        tags = [(index, receipt.tags) for index, receipt in enumerate(receipts) if receipt.tags is not None]
        hashes = np.empty(sum(part.bytes for _, part in tags) // 8, "<u8")
        end = 0
        for index, expected in tags:  # one after another: a system maps so many files at once, and no more
            part = map_checked(tags_part(self.folder, index), expected).view("<u8")
            hashes[end : end + len(part)] = part
            end += len(part)
        return hashes

    def _index(self, receipts: list[SplitReceipt]) -> pa.Table:
        schema = index_schema(self.data_keys, self.has_tags)
        num_seqs = sum(receipt.file.num_seqs for receipt in receipts)
        columns = {name: np.empty(num_seqs, np.int32) for name in schema.names}
        end = 0
        for index, receipt in enumerate(receipts):
            path, rows = lengths_part(self.folder, index), receipt.file.num_seqs
            part = read_index(path, receipt.lengths, schema, rows)
            for name, column in columns.items():
                column[end : end + rows] = part[name]
            end += rows
        return pa.Table.from_arrays([pa.array(column) for column in columns.values()], schema=schema)

    def _remove_others(self, entries: list[StoreFile]) -> None:
        """Removes what runs with other splits have left."""
        receipts = output_folder.receipts_folder(self.folder)
        for name in files.list_names(receipts):
            split = output_folder.split_of_receipt(name)
            if split is not None and split >= len(entries):
                files.remove(files.join(receipts, name))
        mine = {entry.file for entry in entries}
        for name in files.list_names(self.folder):
            if output_folder.is_store_file_name(name) and name not in mine:
                files.remove(files.join(self.folder, name))


def check_rejected(corpus: str, counts: Counts, max_rejected: float, path: str | None) -> None:
    """Ends a run of which too much was rejected, or nothing is left. Raises SeqmillError.

    ``path`` is the file that lists the rejects, if there is one yet.
    """
    total = sum(counts.rejected.values())
    if counts.read == 0:
        raise NothingLeftError(f"corpus {corpus}: no sequences in its files")
    if total <= max_rejected * counts.read and counts.kept + sum(counts.dropped.values()):
        return
    limit = "" if total == counts.read else f", more than max_rejected = {max_rejected:.2%}"
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in Counter(counts.rejected).most_common())
    message = f"corpus {corpus}: {total:,} of {counts.read:,} sequences rejected "
    message += f"({total / counts.read:.2%}){limit}; {reasons}"
    if path is not None:
        message += f"\n  first: {_first_line(path) if total else ''}\n  all of them: {path}"
    raise NothingLeftError(message) if total <= max_rejected * counts.read else SeqmillError(message)


def _first_line(path: str) -> str:
    with files.open_read(path) as file:
        return file.readline().decode().rstrip("\n")


def _damaged_error(corpus: str, damaged: tuple[DamagedSource, ...]) -> SeqmillError:
    shown = [f"\n  {entry.source}: {entry.detail}" for entry in damaged[:_MOST_SHOWN]]
    more = f"\n  and {len(damaged) - _MOST_SHOWN:,} more" if len(damaged) > _MOST_SHOWN else ""
    return SeqmillError(
        f"corpus {corpus}: damaged sources, of which an unknown part is lost (allow_damaged = true takes "
        f"what is left):{''.join(shown)}{more}"
    )
