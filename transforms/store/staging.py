"""Staged files: sequences as they come, in files of their own until it is known where each belongs.

staged/<name>.arrow          rows in the order they came, as in a store
       <name>-index.arrow    a row per sequence: its order key, a hash of its content, its lengths
       <name>.rejects.jsonl  the records that could not be used
       <name>.json           what the others are, and what became of the records; written last
"""

from __future__ import annotations

import secrets
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pydantic import TypeAdapter
from xxhash import xxh3_64_intdigest

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, map_checked
from seqmill.transforms.storage.hashing_file import write_hashed
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.store.arrow_file import ArrowFile
from seqmill.transforms.store.length_index import index_schema, write_index
from seqmill.transforms.store.sequence_block import Origin, Reject, SequenceBlock, SplitPart, largest
from seqmill.transforms.store.store_writer import StoreWriter

_FORMAT = "seqmill.staged/1"
_KINDS = (".arrow", "-index.arrow", ".rejects.jsonl", ".json")  # the last is written last
_FILE_BYTES = 64_000_000
_FILE_SEQS = 500_000  # also of rejects
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_NUMBER_OF_SPLIT = 1 << 32  # positions in a split are smaller: they are stored in 32 bits


@dataclass(frozen=True)
class BlockNote:
    """What became of the records of a block; of many, where it makes no difference which.

    Attributes:
        read: How many there were.
        num_seqs: How many sequences were staged.
        dropped: How many were dropped, by reason.
        rejected: How many were rejected, by reason.
        converted: Sequences that were changed on the way, by what was done.
        unknown: Per data key labels that its vocabulary lacks.
        largest_error: Per data key of small elements by how much one differs most from what it was made from.
        part: Where the block was read, if it was read from files.
    """

    read: int
    num_seqs: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]
    converted: Mapping[str, int]
    unknown: Mapping[str, int]
    largest_error: Mapping[str, float]
    part: SplitPart | None = None


@dataclass(frozen=True)
class StagedFile:
    """What is in a staged file.

    Attributes:
        format: Its version.
        origin: What its blocks have in common.
        batch_rows: Rows of each record batch.
        rows: Size and hash of the file of rows.
        index: Of the index.
        rejects: Of the rejects.
        notes: What became of the records.
    """

    format: str
    origin: Origin
    batch_rows: tuple[int, ...]
    rows: Checksum
    index: Checksum
    rejects: Checksum
    notes: tuple[BlockNote, ...]


@dataclass(frozen=True)
class StagedIndex:
    """The index of staged files.

    Attributes:
        numbers: Order keys that are numbers, int64 [N]; of files split and position as one number.
        is_text: Whether the order key is text instead, bool [N].
        texts: Order keys that are text, "" elsewhere; None where none is.
        hashes: Of the sequences' content, uint64 [N].
        lengths: The columns of the length index, int32 [N] each.
    """

    numbers: np.ndarray
    is_text: np.ndarray
    texts: pa.Array | None
    hashes: np.ndarray
    lengths: Mapping[str, np.ndarray]


_STAGED = TypeAdapter(StagedFile)


class Stager:
    """Writes blocks of one collection into one staged file.

    Args:
        folder: The store's folder.

    Attributes:
        name: Of the staged file. It may be passed on before the file is there, if nobody reads it before.
    """

    def __init__(self, folder: str):
        self.name = secrets.token_hex(12)
        self._folder = output_folder.staged_folder(folder)
        self._stack = ExitStack()
        self._origin: Origin | None = None
        self._writer: StoreWriter | None = None
        self._order: list[int | str] = []
        self._hashes = array("Q")
        self._rejects: list[bytes] = []
        self._notes: list[BlockNote] = []
        self._sum = _Sum()
        self._num_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether another file should be begun."""
        rows = len(self._order) + len(self._rejects)
        return self._num_bytes > _FILE_BYTES or rows > _FILE_SEQS

    def fits(self, block: SequenceBlock) -> bool:
        """Whether a block is of the collection that the file was begun with."""
        return self._origin in (None, block.origin)

    def add(self, block: SequenceBlock) -> None:
        """Writes a block."""
        writer = self._begin(block.origin)
        first = 0 if block.part is None else block.part.split * _NUMBER_OF_SPLIT
        if block.num_seqs:
            writer.append(block.arrays, block.tags or block.order)
            self._hashes.frombytes(content_hashes(block).tobytes())
            self._order += block.order if block.part is None else [first + int(at) for at in block.order]
        self._rejects += (_reject_line(first, reject) for reject in block.rejects)
        self._num_bytes += block.num_bytes
        if block.part is None:
            self._sum.add(block)
        else:
            single = _Sum()
            single.add(block)
            self._notes.append(single.note(block.part))

    def close(self) -> None:
        """Writes what is left; the staged file is there now."""
        assert self._writer is not None and self._origin is not None
        self._writer.close()
        rows = Checksum(self._writer.num_bytes, self._writer.xxh128)
        self._stack.close()
        index = write_index(_path(self._folder, self.name, "-index.arrow"), self._index(self._writer))
        rejects = b"".join(line + b"\n" for line in self._rejects)
        notes = tuple(self._notes) or (self._sum.note(None),)
        staged = StagedFile(
            format=_FORMAT,
            origin=self._origin,
            batch_rows=tuple(self._writer.batch_rows),
            rows=rows,
            index=index,
            rejects=write_hashed(_path(self._folder, self.name, ".rejects.jsonl"), [rejects]),
            notes=notes,
        )
        write_sealed(_path(self._folder, self.name, ".json"), _STAGED, staged)

    def _begin(self, origin: Origin) -> StoreWriter:
        if self._writer is None:
            path = _path(self._folder, self.name, ".arrow")
            file = self._stack.enter_context(files.write_atomically(path))
            self._origin = origin
            self._writer = StoreWriter(file, origin.data_keys, origin.has_tags)
        return self._writer

    def _index(self, writer: StoreWriter) -> pa.Table:
        is_text = [isinstance(key, str) for key in self._order]
        numbers = [0 if isinstance(key, str) else key for key in self._order]
        texts = [key if isinstance(key, str) else "" for key in self._order] if any(is_text) else []
        table = writer.index.append_column("number", pa.array(numbers, pa.int64()))
        table = table.append_column("hash", pa.array(np.array(self._hashes, np.uint64)))
        if texts:
            table = table.append_column("is_text", pa.array(np.array(is_text, np.uint8)))
            table = table.append_column("text", pa.array(texts, pa.large_string()))
        return table


def read_staged(folder: str, name: str) -> StagedFile:
    """What is in a staged file of a store's folder. Raises SeqmillError where it is not there."""
    path = _path(output_folder.staged_folder(folder), name, ".json")
    staged: StagedFile = read_sealed(path, _STAGED, _FORMAT, "another run has begun here, or ended")
    return staged


def read_staged_index(folder: str, name: str, staged: StagedFile) -> StagedIndex:
    """The index of a staged file. Raises SeqmillError where it is not what was written."""
    origin = staged.origin
    schema = index_schema(origin.data_keys, origin.has_tags)
    path = _path(output_folder.staged_folder(folder), name, "-index.arrow")
    num_rows = sum(staged.batch_rows)
    file = ArrowFile(path, map_checked(path, staged.index))
    if not num_rows:
        empty = {column: np.empty(0, np.int32) for column in schema.names}
        no_keys = np.empty(0, np.int64), np.empty(0, bool), None
        return StagedIndex(*no_keys, np.empty(0, np.uint64), empty)
    batch = file.batch(0)
    has_texts = "text" in batch.schema.names
    return StagedIndex(
        numbers=batch["number"].to_numpy(),
        is_text=batch["is_text"].to_numpy() > 0 if has_texts else np.zeros(num_rows, bool),
        texts=batch["text"] if has_texts else None,
        hashes=batch["hash"].to_numpy(),
        lengths={column: batch[column].to_numpy() for column in schema.names},
    )


def read_staged_rejects(folder: str, name: str, staged: StagedFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rejects of a staged file: (split, reject with ``place``, ``reason``, ``detail`` and ``count``)."""
    path = _path(output_folder.staged_folder(folder), name, ".rejects.jsonl")
    for line in map_checked(path, staged.rejects).tobytes().splitlines():
        first, reject = orjson.loads(line)
        yield first // _NUMBER_OF_SPLIT, reject


def bring_staged(folder: str, names: Sequence[str], to: str) -> None:
    """Brings staged files of a folder into that of a store of their own; they stay where they are, too."""
    source, target = output_folder.staged_folder(folder), output_folder.staged_folder(to)
    files.make_folder(target)
    for name in names:
        for kind in _KINDS:
            files.link(_path(source, name, kind), _path(target, name, kind))


def remove_staged_files(folder: str, names: Sequence[str]) -> None:
    """Removes some staged files; that which makes them whole first."""
    for name in names:
        for kind in reversed(_KINDS):
            files.remove(_path(output_folder.staged_folder(folder), name, kind))


def remove_staged_before(folder: str, moment: float) -> None:
    """Removes staged files that were written before a moment, in seconds since 1970."""
    for path, changed in files.last_changes(output_folder.staged_folder(folder)).items():
        if changed < moment:
            files.remove_file(path)


def rows_path(folder: str, name: str) -> str:
    """Path of the rows of a staged file."""
    return _path(output_folder.staged_folder(folder), name, ".arrow")


def split_of(numbers: np.ndarray) -> np.ndarray:
    """The split of every sequence that was read from files, int64 [N]."""
    return numbers // _NUMBER_OF_SPLIT


def content_hashes(block: SequenceBlock) -> np.ndarray:
    """A hash of every sequence's tag and arrays, uint64 [num_seqs]."""
    hashes = np.zeros(block.num_seqs, np.uint64)
    if block.tags:
        hashes = np.array([xxh3_64_intdigest(tag.encode()) for tag in block.tags], np.uint64)
    for key, spec in block.origin.data_keys.items():
        ragged = block.arrays[key]
        ends = np.cumsum(ragged.lengths, dtype=np.int64) * spec.frame_bytes
        content = np.ascontiguousarray(ragged.values).reshape(-1).view(np.uint8).data
        bounds = [0, *ends.tolist()]
        own = [xxh3_64_intdigest(content[a:b]) for a, b in pairwise(bounds)]
        hashes = hashes * _MULTIPLIER + np.array(own, np.uint64)
    return hashes


@dataclass
class _Sum:
    read: int = 0
    num_seqs: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    converted: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    largest_error: dict[str, float] = field(default_factory=dict)

    def add(self, block: SequenceBlock) -> None:
        self.read += block.read
        self.num_seqs += block.num_seqs
        self.dropped.update(block.dropped)
        self.rejected.update(block.rejected)
        self.converted.update(block.converted)
        self.unknown.update(block.unknown)
        self.largest_error = largest([self.largest_error, block.largest_error])

    def note(self, part: SplitPart | None) -> BlockNote:
        return BlockNote(part=part, **vars(self))


def _reject_line(first: int, reject: Reject) -> bytes:
    return orjson.dumps(
        [
            first,
            {
                "place": reject.place,
                "count": reject.count,
                "reason": reject.reason,
                "detail": reject.detail,
            },
        ]
    )


def _path(staged_folder: str, name: str, kind: str) -> str:
    return files.join(staged_folder, name + kind)
