"""Encoding records in blocks: the arrays and tags of good ones, and why the others are rejected."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np

from seqmill.transforms.features import Encoder, Norm, Ragged, Vocab, make_encoder
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.features.ragged import check_length
from seqmill.transforms.features.segment import Described, described_by
from seqmill.transforms.features.small_elements import SmallElements
from seqmill.transforms.features.vocab import read_vocab
from seqmill.transforms.readers import FORMATS, Reader, Split, get_field, open_split
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.store.sequence_block import Origin, Reject, SequenceBlock, SplitPart

_BLOCK_BYTES = 128_000  # larger blocks of Python objects fall out of the processor's cache
_BLOCK_SEQS = 1024
_BLOCK_RAW_BYTES = 4_000_000  # of records that are held before they are encoded


def split_encoders(
    split: Split,
    keys: Sequence[DataKey],
    vocabs: Mapping[str, Vocab],
    data_keys: Mapping[str, ArraySpec] | None,
    norms: Mapping[str, Norm] = MappingProxyType({}),
) -> dict[str, Encoder]:
    """What encodes the data keys of a split's records.

    Args:
        split: The split.
        keys: The data keys.
        vocabs: Vocabularies by data key.
        data_keys: What arrays must be like; None to find out.
        norms: Statistics by data key.
    """
    from_text = FORMATS[split.format].is_text
    return {
        key.name: make_encoder(
            key,
            split.root,
            vocabs.get(key.name),
            data_keys[key.name].feature_shape if data_keys else None,
            from_text=from_text,
            max_bytes=split.options.max_record_size,
            norm=norms.get(key.name),
        )
        for key in keys
    }


def open_keys(split: Split, keys: Sequence[DataKey], seq_tag: str | None) -> Reader:
    """A reader of the fields of a split that data keys and tags are made of."""
    described = [name for key in keys for name in described_by(key)]
    return open_split(split, _fields(keys, seq_tag), described)


def encoded_blocks(
    reader: Reader,
    keys: Sequence[DataKey],
    seq_tag: str | None,
    collector: Collector,
    wanted: Callable[[list[Any], list[int]], Sequence[bool]] | None = None,
) -> Iterator[tuple[dict[str, Ragged], list[int], list[Any]]]:
    """Encodes what a reader yields, block after block.

    Args:
        reader: The records.
        keys: The data keys.
        seq_tag: Field that holds a sequence's tag; None for no tags.
        collector: Encodes, and holds what is rejected.
        wanted: Which records of a block to encode, by their tags (as the field has them) and positions; the
            others are counted by whoever says so.

    Yields:
        (arrays by data key, positions, tags or no tags) of the good records of a block.
    """
    fields = _fields(keys, seq_tag)
    described = [described_by(key) for key in keys]
    with _no_cycle_collection():
        for rows, positions in _blocks(reader, fields, described, collector):
            if wanted is not None:
                are_wanted = wanted([row[-1] for row in rows], positions)
                rows, positions = [*compress(rows, are_wanted)], [*compress(positions, are_wanted)]
            if rows:
                yield collector.encode(rows, positions)


@lru_cache(maxsize=4)
def vocab_of_run(path: str, run: str) -> Vocab:
    """A vocabulary, kept for the next split of a run: reading millions of labels takes seconds."""
    return read_vocab(path)


def _fields(keys: Sequence[DataKey], seq_tag: str | None) -> list[str]:
    return [key.field for key in keys] + ([] if seq_tag is None else [seq_tag])


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Records make no reference cycles, and looking for them takes a fifth of the time of parsed JSON."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _blocks(
    reader: Reader, fields: list[str], described: list[tuple[str, ...]], collector: Collector
) -> Iterator[tuple[list[Sequence[Any]], list[int]]]:
    """Yields (field values of records, their positions) in blocks of the size that the collector asks for.

    Args:
        reader: The records.
        fields: Names of the fields, those of the data keys first.
        described: Per data key the names of other fields that say what its value means.
        collector: What the blocks are for.
    """
    rows: list[Sequence[Any]] = []
    positions: list[int] = []
    get: Callable[[Any], Sequence[Any]] = (
        itemgetter(*fields) if len(fields) > 1 else lambda record: (record[fields[0]],)
    )
    is_described, start = any(described), 0
    for position, record in reader:
        try:
            rows.append(get(record))
        except (KeyError, TypeError):
            try:
                rows.append(_values(record, fields))
            except RejectedSequence as error:
                collector.reject(position, error)
                continue
        if is_described and not isinstance(record, RejectedSequence):
            rows[-1] = describe_row(rows[-1], record, described)
        positions.append(position)
        if len(rows) >= collector.block_seqs or reader.num_bytes - start > _BLOCK_RAW_BYTES:
            yield rows, positions
            rows, positions, start = [], [], reader.num_bytes
    if rows:
        yield rows, positions


def _values(record: Mapping[str, Any] | RejectedSequence, fields: list[str]) -> list[Any]:
    if isinstance(record, RejectedSequence):
        raise record
    return [get_field(record, name) for name in fields]


def describe_row(
    row: Sequence[Any], record: Mapping[str, Any], described: list[tuple[str, ...]]
) -> Sequence[Any]:
    """The row with values put together with the other fields of the record that say what they mean."""
    row = list(row)
    for index, names in enumerate(described):
        others = {}
        for name in names:
            with suppress(RejectedSequence):
                others[name] = get_field(record, name)
        if names:
            row[index] = Described(row[index], others)
    return row


@dataclass(frozen=True)
class Report:
    """What encoding has changed.

    Attributes:
        converted: Sequences that were changed on the way, by what was done.
        unknown: Per data key the labels that its vocabulary lacks, where there are any.
        largest_error: Per data key of small elements by how much one differs most from what it was made from.
        named_files: Hashes of the files that records name.
    """

    converted: Mapping[str, int]
    unknown: Mapping[str, int]
    largest_error: Mapping[str, float]
    named_files: Mapping[str, str | None]


@dataclass
class Collector:
    """Encodes blocks of rows, puts bad ones aside and sizes the next block.

    A row holds a value per encoder and, where tags are given, the tag behind them. Its place is the
    position of the record in its split, or whatever else tells it from others.
    """

    encoders: dict[str, Encoder]
    has_tags: bool
    rejects: list[dict[str, Any]] = field(default_factory=list)
    block_seqs: int = 1

    def reject(self, place: Any, error: RejectedSequence) -> None:
        """Puts a record aside."""
        reject = {"position": place, "count": error.count, "reason": error.reason}
        self.rejects.append({**reject, "detail": error.detail})

    def encode(
        self, rows: list[Sequence[Any]], places: list[Any]
    ) -> tuple[dict[str, Ragged], list[Any], list[str]]:
        """Of the good rows the arrays by data key, the places, and the tags where they are given."""
        before = self._converted()
        try:
            arrays, tags = self._encode_block(rows)
        except RejectedSequence:
            self._restore_converted(before)
            arrays, places, tags = self._encode_one_by_one(rows, places)
        size = sum(ragged.values.nbytes for ragged in arrays.values())
        if size < _BLOCK_BYTES:
            self.block_seqs = min(2 * self.block_seqs, _BLOCK_SEQS)
        elif size > 2 * _BLOCK_BYTES:
            self.block_seqs = max(self.block_seqs // 2, 1)
        return arrays, places, tags

    def _encode_block(self, rows: list[Sequence[Any]]) -> tuple[dict[str, Ragged], list[str]]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        arrays = {}
        for (key, encoder), column in zip(self.encoders.items(), columns, strict=False):
            arrays[key] = encoder.encode_block(column)
            if not arrays[key].lengths.all():
                raise RejectedSequence("empty sequence")
        return arrays, [tag_text(value) for value in columns[-1]] if self.has_tags else []

    def _encode_one_by_one(
        self, rows: list[Sequence[Any]], places: list[Any]
    ) -> tuple[dict[str, Ragged], list[Any], list[str]]:
        good: list[dict[str, np.ndarray]] = []
        kept, tags = [], []
        for row, place in zip(rows, places, strict=True):
            before = self._converted()
            try:
                tag = tag_text(row[-1]) if self.has_tags else None
                good.append(self._encode_one(row))
                kept.append(place)
                if tag is not None:
                    tags.append(tag)
            except RejectedSequence as error:
                self._restore_converted(before)
                self.reject(place, error)
        if not good:
            return {}, [], []
        joined = {key: Ragged.join([arrays[key] for arrays in good], np.empty(0)) for key in self.encoders}
        return joined, kept, tags

    def _encode_one(self, row: Sequence[Any]) -> dict[str, np.ndarray]:
        arrays = {}
        for (key, encoder), value in zip(self.encoders.items(), row, strict=False):
            try:
                arrays[key] = encoder.encode(value)
                check_length(len(arrays[key]))
            except RejectedSequence as error:
                raise RejectedSequence(f"{key}: {error.reason}", error.detail) from None
            if len(arrays[key]) == 0:
                raise RejectedSequence(f"{key}: empty sequence")
        return arrays

    def take_block(
        self,
        origin: Origin,
        encoded: tuple[Mapping[str, Ragged], Sequence[Any], Sequence[str]] = ({}, (), ()),
        read: int | None = None,
        part: SplitPart | None = None,
    ) -> SequenceBlock:
        """A block of what was encoded, and of what has been put aside and changed since this was asked last.

        Args:
            origin: What all blocks have in common.
            encoded: What ``encode`` gave; by default no sequences.
            read: How many records there were; by default those that the block accounts for.
            part: Where they were read, if they were read from files.
        """
        arrays, places, tags = encoded
        rejects = tuple(
            Reject(one["position"], one["reason"], one["detail"], one["count"]) for one in self.rejects
        )
        self.rejects = []
        report = self.take_report()
        return SequenceBlock(
            origin=origin,
            arrays=arrays if places else origin.no_arrays(),
            order=tuple(places),
            tags=tuple(tags),
            read=len(places) + sum(reject.count for reject in rejects) if read is None else read,
            rejects=rejects,
            converted=report.converted,
            unknown=report.unknown,
            largest_error=report.largest_error,
            part=part,
        )

    def take_report(self) -> Report:
        """What has been changed since this was asked last."""
        encoders = self.encoders
        converted: Counter[str] = sum((one.converted for one in encoders.values()), Counter())
        del converted[UNKNOWN]
        small = {key: one for key, one in encoders.items() if isinstance(one, SmallElements)}
        report = Report(
            converted=converted,
            unknown={key: one.converted[UNKNOWN] for key, one in encoders.items() if one.converted[UNKNOWN]},
            largest_error={key: one.largest_error for key, one in small.items()},
            named_files={name: hash for one in encoders.values() for name, hash in one.named_files.items()},
        )
        for encoder in encoders.values():
            encoder.converted.clear()
            encoder.named_files.clear()
            encoder.largest_error = 0.0
        return report

    def _converted(self) -> list[tuple[Counter[str], float]]:
        return [(Counter(encoder.converted), encoder.largest_error) for encoder in self.encoders.values()]

    def _restore_converted(self, before: list[tuple[Counter[str], float]]) -> None:
        for encoder, (counts, error) in zip(self.encoders.values(), before, strict=True):
            encoder.converted.clear()
            encoder.converted.update(counts)
            encoder.largest_error = error


def tag_text(value: Any) -> str:
    """A value as a tag. Raises RejectedSequence."""
    if isinstance(value, bytes | str) and not value:
        raise RejectedSequence("empty tag")
    try:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeError as error:
        raise RejectedSequence("tag is not UTF-8", f"{error} in {value!r}"[:200]) from None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    raise RejectedSequence("tag is no string", repr(value)[:80])
