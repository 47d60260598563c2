"""The sequence store: Arrow files that are memory-mapped, with a length index and a manifest beside them.

    store/<corpus>/sequences-00000.arrow …   one row per sequence, in corpus order over the files
                   lengths.arrow             int32 per data key, and what the tags' sizes follow from
                   vocab/<key>.txt           labels, for keys that have a vocabulary
                   manifest.json             written last

A column of sequences is ``list<value>`` or ``list<fixed_size_list<value>>``. Tags are a column of strings
where the configuration names their field. Otherwise a column ``position`` counts positions in the part of
the source that the file was made from, so that a file's bytes never depend on what stands before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.small_elements import widen
from seqmill.transforms.planning.corpus_order import CorpusOrder, as_listed
from seqmill.transforms.planning.distinct import distinct
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, hash_all, map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import UnusableManifestError, read_sealed, write_sealed
from seqmill.transforms.store.arrow_file import ArrowFile
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.length_index import index_schema, read_index
from seqmill.transforms.store.record_batches import (
    Block,
    RecordBatches,
    TagColumn,
    key_block,
    store_schema,
    stored_tags,
)
from seqmill.transforms.store.sum_counts import sum_counts

FORMAT = "seqmill.store/2"
_FETCHED_AT_ONCE = 8

_MOST_POSITIONS = 1 << 48  # lines or records of a source: far from where int64 ends

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class StoreFile:
    """One Arrow file of the store, made from one split of a source.

    Attributes:
        file: Its name.
        fingerprint: Tells whether a rerun would make the same file.
        source: The file it was made from, relative to the folder that holds all of the corpus' sources.
        first_position: Number of the split's first line or record in the source, from 1.
        num_positions: Lines or records of the split.
        batch_rows: Rows of each record batch.
        bytes: Size of the file.
        xxh128: Hash of its bytes.
        rejected: Records that were not kept, by reason.
        converted: Sequences that were kept but changed on the way.
        largest_error: Per data key of small elements by how much one differs most from what it was made from.
        dropped: Records that were left out on purpose, by reason.
        damaged: What of the split is lost without its being known how many records that were; else None.
    """

    file: str
    fingerprint: str
    source: str
    first_position: int
    num_positions: int
    batch_rows: tuple[int, ...]
    bytes: int
    xxh128: str
    rejected: Mapping[str, int]
    converted: Mapping[str, int]
    unknown: Mapping[str, int]
    largest_error: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    damaged: str | None = None

    @property
    def num_seqs(self) -> int:
        """Rows of the file."""
        return sum(self.batch_rows)

    @property
    def checksum(self) -> Checksum:
        """Size and hash of the file."""
        return Checksum(self.bytes, self.xxh128)

    def __post_init__(self) -> None:
        if min(self.batch_rows, default=1) < 1 or self.first_position < 1 or self.num_positions < 0:
            raise ValueError(f"{self.file}: impossible numbers of rows or positions")
        if self.first_position + self.num_positions >= _MOST_POSITIONS:
            raise ValueError(f"{self.file}: impossible numbers of positions")
        tables = (self.rejected, self.converted, self.unknown, self.dropped)
        if any(number < 0 for table in tables for number in table.values()):
            raise ValueError(f"{self.file}: numbers of sequences below 0")


@dataclass(frozen=True, config=_STRICT)
class DamagedSource:
    """A source of which a part is lost without its being known how many records that were."""

    source: str
    detail: str


@dataclass(frozen=True, config=_STRICT)
class JoinedSource:
    """Where sequences have further data keys from, by their tags.

    Attributes:
        sources: The files, relative to the folder that holds them all.
        data_keys: The data keys.
        counts: What became of its records; the kept are in sequences of the store.
    """

    sources: tuple[str, ...]
    data_keys: tuple[str, ...]
    counts: Counts


@dataclass(frozen=True, config=_STRICT)
class StoreManifest:
    """``manifest.json`` of ``store/<corpus>/``.

    Attributes:
        format: ``FORMAT``.
        fingerprint: Of everything that decides the store's bytes.
        corpus: Its name.
        sources: The files it was made from, relative to the folder that holds them all.
        data_keys: What the arrays are like.
        has_tags: Whether tags are stored; else they follow from sources and positions.
        counts: What became of the records.
        files: The Arrow files in corpus order.
        others: The other files that belong to it by name: length index, vocabularies, rejects.
        damaged: Sources of which an unknown part is lost; ``allow_damaged`` let them pass.
        listed: Numbers of the files in the order in which they make up the corpus, where some are there
            several times; else empty.
        joined: Where sequences have further data keys from, by the table of the configuration.
        mixed: Of every source that is mixed the number of its files, one after the other; else empty.
    """

    format: str
    fingerprint: str
    corpus: str
    sources: tuple[str, ...]
    data_keys: Mapping[str, ArraySpec]
    has_tags: bool
    counts: Counts
    files: tuple[StoreFile, ...]
    others: Mapping[str, Checksum]
    damaged: tuple[DamagedSource, ...] = ()
    listed: tuple[int, ...] = ()
    joined: Mapping[str, JoinedSource] = field(default_factory=dict)
    mixed: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.listed and {*self.listed} != {*range(len(self.files))}:
            raise ValueError("listed: expected the number of every file")
        if self.mixed and (min(self.mixed.values()) < 1 or sum(self.mixed.values()) != len(self.files)):
            raise ValueError("mixed: expected as many files as there are")

    @property
    def checksums(self) -> dict[str, Checksum]:
        """Every file that belongs to the store, by its name in the folder."""
        return {**{file.file: file.checksum for file in self.files}, **self.others}


_ADAPTER = TypeAdapter(StoreManifest)


def write_manifest(folder: str, manifest: StoreManifest) -> None:
    """Writes ``manifest.json`` into ``folder``."""
    write_sealed(output_folder.manifest_path(folder), _ADAPTER, manifest)


def read_manifest(folder: str) -> StoreManifest:
    """The manifest of a store folder. Raises SeqmillError where there is none or it is not valid."""
    hint = "incomplete, or no sequence store (run `seqmill ingest`)"
    path = output_folder.manifest_path(folder)
    manifest: StoreManifest = read_sealed(path, _ADAPTER, FORMAT, hint)
    for name in manifest.checksums:
        files.inside(folder, name)
    if sum(file.num_seqs for file in manifest.files) != manifest.counts.kept:
        raise UnusableManifestError(f"{path}: the files do not hold as many sequences as were kept")
    for spec in manifest.data_keys.values():
        for name in {*spec.files} - manifest.others.keys():
            raise UnusableManifestError(f"{path}: it has no hash of {name}")
    return manifest


class Store(RecordBatches):
    """A store opened for reading. Nothing is read before it is asked for.

    Args:
        folder: ``store/<corpus>``: path or URL.

    Raises:
        SeqmillError: There is no store, or a part of it is missing or damaged; later too, when it is read.

    >>> import seqmill
    >>> store = seqmill.Store("work/store/train")
    >>> store.num_seqs, store.lengths["data"].tolist()
    (8, [1, 2, 3, 4, 5, 6, 7, 8])
    >>> store.sequence("data", row=2), store.tag(2)
    (array([5, 2, 3], dtype=int32), b'words.jsonl:3')
    """

    def __init__(self, folder: str):
        self.folder = folder
        self.manifest = read_manifest(folder)
        super().__init__([file.batch_rows for file in self.manifest.files])

    @property
    def data_keys(self) -> Mapping[str, ArraySpec]:
        """What the arrays are like."""
        return self.manifest.data_keys

    @property
    def num_seqs(self) -> int:
        """Sequences in the store."""
        return int(self.block_starts[-1])

    @cached_property
    def _index(self) -> dict[str, np.ndarray]:
        name = output_folder.LENGTHS_NAME
        expected = self.manifest.others.get(name)
        if expected is None:
            raise UnusableManifestError(f"{self.folder}: the manifest does not name {name}")
        schema = index_schema(self.data_keys, self.manifest.has_tags)
        return read_index(files.join(self.folder, name), expected, schema, self.num_seqs)

    @cached_property
    def lengths(self) -> dict[str, np.ndarray]:
        """Per data key the length of every sequence, int32 [N]."""
        return {key: self._index[f"lengths/{key}"] for key in self.manifest.data_keys}

    @cached_property
    def order(self) -> CorpusOrder:
        """The sequences in the order of the corpus."""
        starts = np.cumsum([0, *(file.num_seqs for file in self.manifest.files)])
        return as_listed(self.lengths, starts, self.manifest.listed, self.manifest.mixed)

    @cached_property
    def counts(self) -> Counts:
        """What became of the records of the corpus; those of a file count as often as it is listed."""
        counts, listed = self.manifest.counts, self.manifest.listed
        if not listed:
            return counts
        summed = sum_counts([self.manifest.files[number] for number in listed], {})
        return replace(summed, duplicate_tags=counts.duplicate_tags)

    def counts_of_sources(self, as_listed: bool = True) -> dict[str, Counts]:
        """Of a mixed corpus what became of the records of each source; else empty.

        Args:
            as_listed: Whether records of a file count as often as it is listed, or once.
        """
        own, mixed = self.manifest.files, self.manifest.mixed
        edges = np.cumsum([0, *mixed.values()]).tolist()
        listed = (self.manifest.listed if as_listed else ()) or range(len(own))
        return {
            name: sum_counts([own[number] for number in listed if first <= number < end], {})
            for name, (first, end) in zip(mixed, pairwise(edges), strict=True)
        }

    @cached_property
    def tag_sizes(self) -> np.ndarray:
        """Bytes of every sequence's tag, int32 [N]."""
        if self.manifest.has_tags:
            return self._index["tag_size"]
        sizes = np.empty(self.num_seqs, np.int32)
        first = 0
        for file in self.manifest.files:
            own = sizes[first : first + file.num_seqs]
            positions = self._index["position"][first : first + file.num_seqs]  # ascending
            own[:] = len(self._tag_prefix(file)) + 1
            last = int(positions[-1]) + file.first_position if len(positions) else 0
            for power in range(1, len(str(last))):
                least = np.int32(max(10**power - file.first_position, 0))
                own[positions.searchsorted(least) :] += 1
            first += file.num_seqs
        return sizes

    def tag(self, row: int) -> bytes:
        """One sequence's tag."""
        number = int(np.searchsorted(self.block_starts, row, "right")) - 1
        return self.block(number).tags.take(np.array([row - self.block_starts[number]]))[0]

    def place(self, row: int) -> tuple[str, int | None]:
        """The source of a sequence and its position there, from 1; None where the store has tags instead."""
        ends = np.cumsum([file.num_seqs for file in self.manifest.files])
        entry = self.manifest.files[int(np.searchsorted(ends, row, "right"))]
        if self.manifest.has_tags:
            return entry.source, None
        return entry.source, entry.first_position + int(self._index["position"][row])

    def sequence(self, key: str, row: int) -> np.ndarray:
        """One sequence's array in a data key as models read it, [T, *feature_shape]."""
        number = int(np.searchsorted(self.block_starts, row, "right")) - 1
        block, spec = self.block(number).keys[key], self.data_keys[key]
        start, end = block.offsets[row - self.block_starts[number] :][:2].astype(np.int64) * spec.frame_size
        return widen(block.elements[start:end].reshape(-1, *spec.feature_shape), spec)

    def compare_files(self) -> list[str]:
        """Compares the files of a local store with their hashes; remote ones are when they are fetched.

        Returns:
            Paths of what was compared.

        Raises:
            SeqmillError: One is missing, or not what was written.
        """
        if not files.is_local(self.folder):
            return []
        checksums = {files.join(self.folder, file.file): file.checksum for file in self.manifest.files}
        hash_all(checksums)
        return [*checksums]

    def bring(self, rows: np.ndarray) -> None:
        """Fetches the files of a remote store that hold some rows, several at once.

        Raises:
            SeqmillError: One is missing, not what was written, or there is no room for all of them here.
        """
        if files.is_local(self.folder):
            return
        blocks = distinct(np.searchsorted(self.block_starts, rows, "right") - 1).tolist()
        missing = sorted({self._places[block][0] for block in blocks} - self._files.keys())
        with ThreadPoolExecutor(_FETCHED_AT_ONCE, thread_name_prefix="seqmill-store") as pool:
            for _ in pool.map(self._file, missing):
                pass

    def _open_block(self, number: int) -> Block:
        """A record batch whose offsets are those that the length index asks for."""
        file_number, batch_number = self._places[number]
        entry, file = self.manifest.files[file_number], self._file(file_number)
        batch = file.batch(batch_number)
        rows = slice(self.block_starts[number], self.block_starts[number + 1])
        keys = {}
        for key, spec in self.manifest.data_keys.items():
            keys[key] = key_block(batch[key], spec)
            offsets = file.offsets(batch[key], len(keys[key].elements) // spec.frame_size)
            self._expect_index(entry, key, np.diff(offsets), self.lengths[key][rows])
        if self.manifest.has_tags:
            tags = stored_tags(batch)
            assert tags.stored is not None
            offsets = file.offsets(batch["seq_tag"], len(tags.stored.text))
            self._expect_index(entry, "seq_tag", np.diff(offsets), self._index["tag_size"][rows])
        else:
            numbers = batch["position"].to_numpy()
            self._expect_index(entry, "position", numbers, self._index["position"][rows])
            tags = TagColumn(self._tag_prefix(entry), numbers.astype(np.int64) + entry.first_position)
        return Block(keys, tags)

    def _expect_index(self, entry: StoreFile, what: str, found: np.ndarray, expected: np.ndarray) -> None:
        if not np.array_equal(found, expected):
            path = files.join(self.folder, entry.file)
            raise SeqmillError(f"{path}: {what} is not what the length index says")

    def _open_file(self, number: int) -> ArrowFile:
        entry = self.manifest.files[number]
        path = files.join(self.folder, entry.file)
        schema = store_schema(self.data_keys, self.manifest.has_tags)
        return ArrowFile(path, map_checked(path, entry.checksum), schema, entry.batch_rows)

    def _tag_prefix(self, entry: StoreFile) -> bytes:
        """Of default tags: the source's name, with its folders where another source is called the same."""
        name = files.name(entry.source)
        if self._source_names[name] > 1:
            name = entry.source
        return f"{name}:".encode()

    @cached_property
    def _source_names(self) -> Counter[str]:
        return Counter(map(files.name, self.manifest.sources))
