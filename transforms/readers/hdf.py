"""HDF5 files of RETURNN, as its ``SimpleHDFWriter`` and ``hdf_dump`` write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.transforms.readers.hdf_layout import Layout, open_layout
from seqmill.transforms.readers.split import Reader, ReadOptions, Record, Split, single_file_split
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

TAG = "seq_tag"
_BLOCK_BYTES = 1 << 22
_BLOCK_SEQS = 1 << 12


def split_hdf(path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str] = ()) -> list[Split]:
    """Runs of sequences with about ``target_bytes`` of their wanted arrays each.

    Args:
        path: The file.
        target_bytes: Size of a split.
        options: How the file is read.
        fields: Data keys that it must have: ``data`` are its inputs, others its targets; ``seq_tag``.

    Raises:
        SeqmillError: The file is missing, not laid out as RETURNN's are, or lacks a data key.
    """
    cuts = [0]
    with open_layout(path) as layout:
        keys = _wanted_keys(layout, fields)
        size = 0
        for first, lengths in layout.length_blocks():
            sizes = np.maximum(layout.record_bytes(lengths, keys), 1)
            ends = np.cumsum(sizes) + size
            while (at := int(np.searchsorted(ends, target_bytes))) < len(ends):
                cuts.append(first + at + 1)
                ends -= int(ends[at])
            size = int(ends[-1])
        if cuts[-1] < layout.num_seqs or len(cuts) == 1:
            cuts.append(layout.num_seqs)
    return [single_file_split("hdf", path, options, start, end) for start, end in pairwise(cuts)]


def field_names(path: str) -> list[str]:
    """The data keys of a file. Raises SeqmillError."""
    with open_layout(path) as layout:
        return list(layout.keys)


class HdfReader(Reader):
    """Reads one split of a RETURNN HDF file.

    A record has ``seq_tag`` and the wanted data keys: numbers as arrays [T] or [T, D], text as str where
    every sequence of the file has one, else as a list.

    Args:
        split: What to read.
        fields: Data keys that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._fields = list(fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (sequence, record or reject)."""
        first, last = self.split.starts[0], self.split.ends[0]
        with open_layout(self.split.source) as layout:
            last = layout.num_seqs if last is None else last
            self.num_positions = self.num_records = last - first
            keys = [key for key in layout.keys if key in {field.split(".")[0] for field in self._fields}]
            position = 0
            for block in _blocks(layout, keys, first, last):
                for record in self._records(layout, keys, block):
                    yield position, record
                    position += 1

    def _records(self, layout: Layout, keys: list[str], block: _Block) -> Iterator[Record | RejectedSequence]:
        tags = layout.tags(block.first, block.first + len(block.lengths))
        sizes = layout.record_bytes(block.lengths, keys)
        self.num_bytes += int(sizes.sum())
        arrays = None
        if int(sizes.max(initial=0)) <= self.split.options.max_record_size:
            with suppress(RejectedSequence):
                arrays = self._arrays(layout, keys, block)
        if arrays is not None:
            for index, tag in enumerate(tags):
                yield _record(layout, keys, arrays, block, index, tag)
            return
        for index, tag in enumerate(tags):
            one = block.only(index)
            if int(sizes[index]) > self.split.options.max_record_size:
                yield self.split.options.too_large("a sequence", int(sizes[index]))
                continue
            try:
                yield _record(layout, keys, self._arrays(layout, keys, one), one, 0, tag)
            except RejectedSequence as error:
                yield error

    def _arrays(self, layout: Layout, keys: list[str], block: _Block) -> dict[str, np.ndarray]:
        return {key: layout.read(key, *block.rows(layout.column(key))) for key in keys}


@dataclass(frozen=True)
class _Block:
    """Sequences that are read at once.

    Attributes:
        first: The first of them, in the file.
        starts: Per data key of the file the row at which it begins, [keys].
        lengths: Their lengths, [n, keys].
    """

    first: int
    starts: np.ndarray
    lengths: np.ndarray

    def rows(self, column: int) -> tuple[int, int]:
        """Where the rows of a data key begin and end."""
        start = int(self.starts[column])
        return start, start + int(self.lengths[:, column].sum())

    def only(self, index: int) -> _Block:
        """One of the sequences, alone."""
        before = self.lengths[:index].sum(axis=0)
        return _Block(self.first + index, self.starts + before, self.lengths[index : index + 1])


def _blocks(layout: Layout, keys: list[str], first: int, last: int) -> Iterator[_Block]:
    starts = np.zeros(layout.num_columns, np.int64)
    for begin, lengths in layout.length_blocks():
        before = min(max(first - begin, 0), len(lengths))
        starts += lengths[:before].sum(axis=0)
        lengths = lengths[before : max(last - begin, 0)]
        ends = np.cumsum(layout.record_bytes(lengths, keys))
        at, done = 0, 0
        while at < len(lengths):
            fitting = int(np.searchsorted(ends, done + _BLOCK_BYTES, side="right"))
            end = min(max(fitting, at + 1), at + _BLOCK_SEQS)
            yield _Block(begin + before + at, starts, lengths[at:end])
            starts = starts + lengths[at:end].sum(axis=0)
            at, done = end, int(ends[end - 1])
        if begin + before + len(lengths) >= last:
            return


def _record(
    layout: Layout, keys: list[str], arrays: dict[str, Any], block: _Block, index: int, tag: str | bytes
) -> Record:
    record: dict[str, Any] = {TAG: tag}
    for key in keys:
        lengths = block.lengths[:, layout.column(key)]
        start = int(lengths[:index].sum())
        value = arrays[key][start : start + int(lengths[index])]
        if layout.is_text(key):
            value = value.tolist()
            record[key] = value[0] if layout.has_one(key) else value
        else:
            record[key] = value
    return record


def _wanted_keys(layout: Layout, fields: Sequence[str]) -> list[str]:
    wanted = {field.split(".")[0] for field in fields} - {TAG}
    missing = sorted(wanted - set(layout.keys))
    if missing:
        has = ", ".join([*layout.keys, TAG])
        raise SeqmillError(f"{layout.path}: no data key {', '.join(missing)}; it has {has}")
    return [key for key in layout.keys if key in wanted]
