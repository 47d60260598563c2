"""Record batches of sequences in Arrow files that are mapped: their columns, and many files as one.

A column of sequences is ``list<value>`` or ``list<fixed_size_list<value>>``, and the last column ``seq_tag``
or ``position`` (``sequence_store``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.store.arrow_file import ArrowFile


class RecordBatches(ABC):
    """The record batches of several files, behind one another. Nothing is mapped before it is asked for.

    Attributes:
        most_mapped: Files that it keeps mapped: systems allow a process so many (65,530 on Linux).
        block_starts: First row of every record batch, counted over all files, and the number of rows.

    Args:
        batch_rows: Of every file the rows of each of its record batches.
    """

    most_mapped = 20_000

    def __init__(self, batch_rows: Sequence[Sequence[int]]):
        rows = [(i, j, n) for i, file in enumerate(batch_rows) for j, n in enumerate(file)]
        self._places = [(i, j) for i, j, _ in rows]
        self.block_starts = np.cumsum([0, *(n for _, _, n in rows)])
        self._files: dict[int, ArrowFile] = {}
        self._blocks: dict[int, Block] = {}

    @property
    def num_blocks(self) -> int:
        """Record batches, over all files."""
        return len(self._places)

    def blocks_of(self, file: int) -> range:
        """Numbers of the record batches of a file."""
        return range(bisect_left(self._places, (file, 0)), bisect_left(self._places, (file + 1, 0)))

    def block(self, number: int) -> Block:
        """Record batch ``number``, counted over all files."""
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = self._open_block(number)
        return block

    def record_batch(self, number: int) -> pa.RecordBatch:
        """Record batch ``number`` as Arrow has it, mapped."""
        file_number, batch_number = self._places[number]
        return self._file(file_number).batch(batch_number)

    def _file(self, number: int) -> ArrowFile:
        file = self._files.get(number)
        if file is None:
            if len(self._files) >= self.most_mapped:
                self._blocks, self._files = {}, {}  # what others still use stays until they are done with it
            file = self._files[number] = self._open_file(number)
        return file

    @abstractmethod
    def _open_file(self, number: int) -> ArrowFile:
        """Maps a file."""

    @abstractmethod
    def _open_block(self, number: int) -> Block:
        """A record batch, what it says of itself compared with what is known of it."""


@dataclass(frozen=True)
class Block:
    """One record batch of the store."""

    keys: Mapping[str, KeyBlock]
    tags: TagColumn


@dataclass(frozen=True)
class KeyBlock:
    """One data key of one record batch; views of the mapped file.

    Attributes:
        elements: All elements of the record batch's sequences, [sum of T · frame_size].
        offsets: First frame of every row, and the end of the last, int32 [rows + 1].
    """

    elements: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class TagColumn:
    """The tags of a record batch: ``stored``, or made from a prefix and ``numbers`` when asked for."""

    prefix: bytes = b""
    numbers: np.ndarray | None = None
    stored: Tags | None = None

    def take(self, rows: np.ndarray) -> Tags:
        """The tags of some rows, [n]."""
        if self.numbers is not None:
            return Tags.numbered([self.prefix], np.zeros(len(rows), np.int64), self.numbers[rows])
        assert self.stored is not None
        return self.stored.take(rows)


def store_schema(data_keys: Mapping[str, ArraySpec], has_tags: bool) -> pa.Schema:
    """Columns of a store file."""
    fields = [pa.field(key, list_type(spec), nullable=False) for key, spec in data_keys.items()]
    tag = pa.field("seq_tag", pa.string(), False) if has_tags else pa.field("position", pa.int32(), False)
    return pa.schema([*fields, tag])


def list_type(spec: ArraySpec) -> pa.DataType:
    """Type of a column of sequences."""
    value: pa.DataType = pa.field("item", pa.from_numpy_dtype(spec.elements), nullable=False)
    if spec.feature_shape:
        value = pa.field("item", pa.list_(value, spec.frame_size), nullable=False)
    return pa.list_(value)


def stored_tags(batch: pa.RecordBatch) -> TagColumn:
    """The column ``seq_tag`` of a record batch, without copying the text."""
    _, offsets, text = batch["seq_tag"].buffers()
    ends = np.frombuffer(offsets, np.int32)[: batch.num_rows + 1].astype(np.int64)
    return TagColumn(stored=Tags(np.frombuffer(text, np.uint8), ends))


def key_block(column: pa.Array, spec: ArraySpec) -> KeyBlock:
    """A column of sequences of a record batch, without copying."""
    values = column.values
    if spec.feature_shape:
        values = values.values
    return KeyBlock(values.to_numpy(zero_copy_only=True), column.offsets.to_numpy())
