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

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import read_checked
from seqmill.transforms.store.counts import Counts

FORMAT = "seqmill.store/1"

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class StoreFile:
    """One Arrow file of the store, made from one split of a source.

    Attributes:
        file: Its name.
        fingerprint: Tells whether a rerun would make the same file.
        source: The file it was made from, as it stands in default tags and rejects.
        first_position: Number of the split's first line or record in the source, from 1.
        num_positions: Lines or records of the split.
        batch_rows: Rows of each record batch.
        bytes: Size of the file.
        xxh128: Hash of its bytes.
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

    @property
    def num_seqs(self) -> int:
        """Rows of the file."""
        return sum(self.batch_rows)


@dataclass(frozen=True, config=_STRICT)
class StoreManifest:
    """``manifest.json`` of ``store/<corpus>/``."""

    format: str
    fingerprint: str
    corpus: str
    sources: tuple[str, ...]
    data_keys: Mapping[str, ArraySpec]
    has_tags: bool
    counts: Counts
    files: tuple[StoreFile, ...]


_ADAPTER = TypeAdapter(StoreManifest)


def write_manifest(folder: str, manifest: StoreManifest) -> None:
    """Writes ``manifest.json`` into ``folder``."""
    files.write_json(output_folder.manifest_path(folder), _ADAPTER.dump_python(manifest, mode="json"))


def read_manifest(folder: str) -> StoreManifest:
    """The manifest of a store folder. Raises SeqmillError where there is none or it is not valid."""
    hint = "incomplete, or no sequence store (run `seqmill ingest`)"
    manifest: StoreManifest = read_checked(output_folder.manifest_path(folder), _ADAPTER, FORMAT, hint)
    for entry in manifest.files:
        files.inside(folder, entry.file)
    return manifest


@plain_dataclass(frozen=True)
class KeyBlock:
    """One data key of one record batch; views of the mapped file.

    Attributes:
        elements: All elements of the record batch's sequences, [sum of T · frame_size].
        offsets: First frame of every row, and the end of the last, int32 [rows + 1].
    """

    elements: np.ndarray
    offsets: np.ndarray


@plain_dataclass(frozen=True)
class TagColumn:
    """The tags of a record batch: ``stored``, or made from a prefix and ``numbers`` when asked for."""

    prefix: bytes = b""
    numbers: np.ndarray | None = None
    stored: Tags | None = None

    def take(self, rows: np.ndarray) -> Tags:
        """The tags of some rows, [n]."""
        if self.numbers is not None:
            return Tags.numbered(self.prefix, self.numbers[rows])
        assert self.stored is not None
        return self.stored.take(rows)


@plain_dataclass(frozen=True)
class Block:
    """One record batch of the store."""

    keys: Mapping[str, KeyBlock]
    tags: TagColumn


class Store:
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
        rows = [
            (i, j, n) for i, file in enumerate(self.manifest.files) for j, n in enumerate(file.batch_rows)
        ]
        self._places = [(i, j) for i, j, _ in rows]
        self.block_starts = np.cumsum([0, *(n for _, _, n in rows)])
        self._files: dict[int, Any] = {}
        self._blocks: dict[int, Block] = {}

    @property
    def data_keys(self) -> Mapping[str, ArraySpec]:
        """What the arrays are like."""
        return self.manifest.data_keys

    @property
    def num_seqs(self) -> int:
        """Sequences in the store."""
        return int(self.block_starts[-1])

    @property
    def num_blocks(self) -> int:
        """Record batches in the store, over all files."""
        return len(self._places)

    @cached_property
    def _index(self) -> pa.Table:
        return read_index(output_folder.lengths_path(self.folder))

    @cached_property
    def lengths(self) -> dict[str, np.ndarray]:
        """Per data key the length of every sequence, int32 [N]."""
        return {key: self._index[f"lengths/{key}"].to_numpy() for key in self.manifest.data_keys}

    @cached_property
    def tag_sizes(self) -> np.ndarray:
        """Bytes of every sequence's tag, int64 [N]."""
        if self.manifest.has_tags:
            return self._index["tag_size"].to_numpy().astype(np.int64)
        positions = self._index["position"].to_numpy().astype(np.int64)
        rows = [file.num_seqs for file in self.manifest.files]
        positions += np.repeat(
            np.array([file.first_position for file in self.manifest.files], np.int64), rows
        )
        prefixes = [len(_tag_prefix(file)) for file in self.manifest.files]
        digits = np.ones(len(positions), np.int64)
        for power in range(1, len(str(positions.max(initial=1)))):
            digits += positions >= 10**power
        return digits + np.repeat(np.array(prefixes, np.int64), rows)

    def block(self, number: int) -> Block:
        """Record batch ``number`` of the store, counted over all files."""
        if number not in self._blocks:
            self._blocks[number] = self._open_block(number)
        return self._blocks[number]

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
        return entry.source, entry.first_position + int(self._index["position"][row].as_py())

    def sequence(self, key: str, row: int) -> np.ndarray:
        """One sequence's array in a data key, [T, *feature_shape]."""
        number = int(np.searchsorted(self.block_starts, row, "right")) - 1
        block = self.block(number).keys[key]
        shape = self.manifest.data_keys[key].feature_shape
        frame_size = int(np.prod(shape))
        start, end = block.offsets[row - self.block_starts[number] :][:2].astype(np.int64) * frame_size
        return block.elements[start:end].reshape(-1, *shape)

    def record_batch(self, number: int) -> pa.RecordBatch:
        """Record batch ``number`` as Arrow has it, mapped."""
        file_number, batch_number = self._places[number]
        if file_number not in self._files:
            self._files[file_number] = self._open_file(self.manifest.files[file_number])
        return self._files[file_number].get_batch(batch_number)

    def _open_block(self, number: int) -> Block:
        entry = self.manifest.files[self._places[number][0]]
        batch = self.record_batch(number)
        keys = {key: key_block(batch[key], spec) for key, spec in self.manifest.data_keys.items()}
        if self.manifest.has_tags:
            tags = stored_tags(batch)
        else:
            numbers = batch["position"].to_numpy() + entry.first_position
            tags = TagColumn(_tag_prefix(entry), numbers)
        return Block(keys, tags)

    def _open_file(self, entry: StoreFile) -> Any:
        path = files.join(self.folder, entry.file)
        try:
            mapped = files.map_bytes(path)
            if len(mapped) != entry.bytes:
                raise SeqmillError(f"{path}: {len(mapped)} bytes, but the manifest says {entry.bytes}")
            return pa.ipc.open_file(pa.py_buffer(mapped))
        except FileNotFoundError:
            raise SeqmillError(f"{path}: the manifest names this file, but it is not there") from None
        except pa.ArrowInvalid as error:
            raise SeqmillError(f"{path}: not an Arrow file ({error})") from None


def index_schema(data_keys: Mapping[str, ArraySpec], has_tags: bool) -> pa.Schema:
    """Columns of the length index."""
    fields = [pa.field(f"lengths/{key}", pa.int32(), nullable=False) for key in data_keys]
    fields.append(pa.field("tag_size" if has_tags else "position", pa.int32(), nullable=False))
    return pa.schema(fields)


def read_index(path: str) -> pa.Table:
    """A length index, or a part of one, mapped; a single chunk per column. Raises SeqmillError."""
    try:
        return pa.ipc.open_file(pa.py_buffer(files.map_bytes(path))).read_all()
    except FileNotFoundError:
        raise SeqmillError(f"{path}: the store's length index is not there") from None
    except pa.ArrowInvalid as error:
        raise SeqmillError(f"{path}: not an Arrow file ({error})") from None


def write_index(path: str, table: pa.Table) -> None:
    """Writes a length index in one record batch, so that its columns are contiguous when mapped."""
    with files.write_atomically(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)


def _tag_prefix(entry: StoreFile) -> bytes:
    return f"{files.name(entry.source)}:".encode()


def stored_tags(batch: pa.RecordBatch) -> TagColumn:
    """The column ``seq_tag`` of a record batch, without copying the text."""
    _, offsets, text = batch["seq_tag"].buffers()
    ends = np.frombuffer(offsets, np.int32)[: batch.num_rows + 1].astype(np.int64)
    return TagColumn(stored=Tags(np.frombuffer(text, np.uint8), ends))


def key_block(column: Any, spec: ArraySpec) -> KeyBlock:
    """A column of sequences of a record batch, without copying."""
    values = column.values
    if spec.feature_shape:
        values = values.values
    return KeyBlock(values.to_numpy(zero_copy_only=True), column.offsets.to_numpy())
