"""Raw corpus to sequence store: one task reads one split and writes one Arrow file with its receipt."""

from __future__ import annotations

import gc
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from xxhash import xxh3_64_intdigest

from seqmill.transforms.features import Encoder, Ragged, Vocab, make_encoder
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.features.ragged import check_length
from seqmill.transforms.features.segment import Described, described_by
from seqmill.transforms.features.vocab import read_vocab
from seqmill.transforms.readers import Reader, Split, get_field, open_split
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.storage.output_folder import store_file_name
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.length_index import write_index
from seqmill.transforms.store.sequence_store import StoreFile
from seqmill.transforms.store.split_receipt import (
    FORMAT,
    SplitReceipt,
    lengths_part,
    named_files_part,
    read_receipt,
    rejects_part,
    tags_part,
    write_receipt,
)
from seqmill.transforms.store.store_writer import StoreWriter

_BLOCK_BYTES = 128_000  # larger blocks of Python objects fall out of the processor's cache
_BLOCK_SEQS = 1024
_BLOCK_RAW_BYTES = 4_000_000  # of records that are held before they are encoded


@dataclass(frozen=True)
class IngestTask:
    """One split to ingest.

    Attributes:
        index: Its place in corpus order.
        split: What to read.
        fingerprint: Of everything that decides the bytes of its file.
        work: Its share of the work, for progress.
    """

    index: int
    split: Split
    fingerprint: str
    work: int


@dataclass(frozen=True)
class IngestSplits:
    """Does ingest tasks; what all of a corpus' tasks share.

    Attributes:
        folder: The store's folder.
        keys: The data keys.
        data_keys: What their arrays are like.
        seq_tag: Field that holds a sequence's tag; None for default tags.
        vocab_files: Per data key with a vocabulary its file.
        run: The run that the folder must still belong to (``begin_run``).
        audio_root: Folder that relative audio paths start from; None for that of the file that names them.
    """

    folder: str
    keys: tuple[DataKey, ...]
    data_keys: Mapping[str, ArraySpec]
    seq_tag: str | None
    vocab_files: Mapping[str, str]
    run: str
    audio_root: str | None = None

    def __call__(self, task: IngestTask) -> None:
        """Writes the split's Arrow file, its part of the length index, its rejects and, last, its receipt.

        Does nothing where another attempt has done it.
        """
        if is_done(self.folder, task):
            return
        encoders = split_encoders(task.split, self.keys, self._vocabs(), self.data_keys, self.audio_root)
        collector = _Collector(encoders, has_tags=self.seq_tag is not None)
        name = store_file_name(task.index)
        with ExitStack() as published, files.write_atomically(files.join(self.folder, name)) as file:
            writer = StoreWriter(file, self.data_keys, has_tags=self.seq_tag is not None)
            tag_hashes = array("Q")
            reader = self._fill(writer, collector, task, tag_hashes)
            writer.close()
            published.enter_context(publishing(self.folder, self.run))
        _check_accounted(reader, sum(writer.batch_rows), collector.num_rejected.total())
        entry = StoreFile(
            file=name,
            fingerprint=task.fingerprint,
            source=files.name(task.split.source),  # its folders are the last step's to say
            first_position=1,
            num_positions=reader.num_positions,
            batch_rows=tuple(writer.batch_rows),
            bytes=writer.num_bytes,
            xxh128=writer.xxh128,
            rejected=collector.num_rejected,
            unknown={
                key: encoder.converted.pop(UNKNOWN)
                for key, encoder in encoders.items()
                if UNKNOWN in encoder.converted
            },
            converted=sum((encoder.converted for encoder in encoders.values()), Counter()),
            largest_error={
                key: encoders[key].largest_error for key, spec in self.data_keys.items() if spec.is_small
            },
            damaged=reader.damaged,
        )
        with publishing(self.folder, self.run):
            named = self._write_named_files(task, encoders)
            lengths, rejects, tags = self._write_parts(task, writer, collector, tag_hashes)
            receipt = SplitReceipt(FORMAT, entry, lengths, rejects, named, tags)
            write_receipt(self.folder, task.index, receipt)

    def _write_parts(
        self, task: IngestTask, writer: StoreWriter, collector: _Collector, tag_hashes: array[int]
    ) -> tuple[Checksum, Checksum, Checksum | None]:
        """The split's part of the length index, its rejects and, where tags are given, their hashes."""
        lengths = write_index(lengths_part(self.folder, task.index), writer.index)
        rejects = sorted(collector.rejects, key=lambda reject: reject["position"])
        rejected = b"".join(orjson.dumps(reject) + b"\n" for reject in rejects)
        rejects_sum = _write_part(rejects_part(self.folder, task.index), rejected)
        if self.seq_tag is None:
            return lengths, rejects_sum, None
        hashes = np.array(tag_hashes, "<u8").tobytes()
        return lengths, rejects_sum, _write_part(tags_part(self.folder, task.index), hashes)

    def _write_named_files(self, task: IngestTask, encoders: Mapping[str, Encoder]) -> Checksum | None:
        named = {
            name: digest for encoder in encoders.values() for name, digest in encoder.named_files.items()
        }
        if not named:
            return None
        return _write_part(named_files_part(self.folder, task.index), orjson.dumps(named))

    def _fill(
        self, writer: StoreWriter, collector: _Collector, task: IngestTask, tag_hashes: array[int]
    ) -> Reader:
        reporter = Reporter(output_folder.progress_folder(self.folder))
        fields = [key.field for key in self.keys] + ([] if self.seq_tag is None else [self.seq_tag])
        described = [described_by(key) for key in self.keys]
        reader = open_split(task.split, fields, [name for names in described for name in names])
        with _no_cycle_collection():
            for rows, positions in _blocks(reader, fields, described, collector):
                arrays, tags = collector.encode(rows, positions)
                if tags:
                    writer.append(arrays, tags)
                    if self.seq_tag is not None:
                        tag_hashes.extend(xxh3_64_intdigest(tag.encode()) for tag in tags)
                reporter.add(num_seqs=len(tags))
        reporter.add(task.work)
        reporter.flush()
        return reader

    def _vocabs(self) -> dict[str, Vocab]:
        return {key: _vocab(path, self.run) for key, path in self.vocab_files.items()}


@lru_cache(maxsize=4)
def _vocab(path: str, run: str) -> Vocab:
    """A vocabulary, kept for the next split of a run: reading millions of labels takes seconds."""
    return read_vocab(path)


def _write_part(path: str, content: bytes) -> Checksum:
    with files.write_atomically(path) as file:
        sink = HashingFile(file)
        sink.write(content)
    return Checksum(sink.size, sink.xxh128)


def _check_accounted(reader: Reader, num_kept: int, num_rejected: int) -> None:
    if reader.num_records != num_kept + num_rejected:
        raise SeqmillError(
            f"{reader.split.source}: {reader.num_records:,} records, but {num_kept:,} kept and "
            f"{num_rejected:,} rejected; the file has changed meanwhile, or seqmill has lost some"
        )


def is_done(folder: str, task: IngestTask, fresh: bool = False) -> bool:
    """Whether a task has been done as it is now, and its files are intact; ``fresh`` as for ``is_intact``."""
    receipt = read_receipt(folder, task.index, fresh)
    return receipt is not None and receipt.file.fingerprint == task.fingerprint


def split_encoders(
    split: Split,
    keys: Sequence[DataKey],
    vocabs: Mapping[str, Vocab],
    data_keys: Mapping[str, ArraySpec] | None,
    audio_root: str | None = None,
) -> dict[str, Encoder]:
    """What encodes the data keys of a split's records.

    Args:
        split: The split.
        keys: The data keys.
        vocabs: Vocabularies by data key.
        data_keys: What arrays must be like; None to find out.
        audio_root: Folder that relative audio paths start from; None for that of the split's file.
    """
    from_text = split.format in ("text", "csv", "tsv")
    return {
        key.name: make_encoder(
            key,
            files.parent(split.source) if audio_root is None else audio_root,
            vocabs.get(key.name),
            data_keys[key.name].feature_shape if data_keys else None,
            from_text=from_text,
            max_bytes=split.options.max_record_size,
        )
        for key in keys
    }


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
    reader: Reader, fields: list[str], described: list[tuple[str, ...]], collector: _Collector
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
            rows[-1] = _describe(rows[-1], record, described)
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


def _describe(
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


@dataclass
class _Collector:
    """Encodes blocks of rows, puts bad ones aside and sizes the next block.

    A row holds a value per encoder and, where tags are given, the tag behind them.
    """

    encoders: dict[str, Encoder]
    has_tags: bool
    rejects: list[dict[str, Any]] = field(default_factory=list)
    num_rejected: Counter[str] = field(default_factory=Counter)
    block_seqs: int = 1

    def reject(self, position: int, error: RejectedSequence) -> None:
        reject = {"position": position, "count": error.count, "reason": error.reason}
        self.rejects.append({**reject, "detail": error.detail})
        self.num_rejected[error.reason] += error.count

    def encode(self, rows: list[Sequence[Any]], positions: list[int]) -> tuple[dict[str, Ragged], list[Any]]:
        """Of the good rows the arrays by data key, and the tags (or positions)."""
        before = self._converted()
        try:
            arrays, tags = self._encode_block(rows, positions)
        except RejectedSequence:
            self._restore_converted(before)
            arrays, tags = self._encode_one_by_one(rows, positions)
        size = sum(ragged.values.nbytes for ragged in arrays.values())
        if size < _BLOCK_BYTES:
            self.block_seqs = min(2 * self.block_seqs, _BLOCK_SEQS)
        elif size > 2 * _BLOCK_BYTES:
            self.block_seqs = max(self.block_seqs // 2, 1)
        return arrays, tags

    def _encode_block(
        self, rows: list[Sequence[Any]], positions: list[int]
    ) -> tuple[dict[str, Ragged], list[Any]]:
        columns = [list(column) for column in zip(*rows, strict=True)]
        arrays = {}
        for (key, encoder), column in zip(self.encoders.items(), columns, strict=False):
            arrays[key] = encoder.encode_block(column)
            if not arrays[key].lengths.all():
                raise RejectedSequence("empty sequence")
        return arrays, [_tag(value) for value in columns[-1]] if self.has_tags else positions

    def _encode_one_by_one(
        self, rows: list[Sequence[Any]], positions: list[int]
    ) -> tuple[dict[str, Ragged], list[Any]]:
        good: list[dict[str, np.ndarray]] = []
        tags = []
        for row, position in zip(rows, positions, strict=True):
            before = self._converted()
            try:
                tag = _tag(row[-1]) if self.has_tags else position
                good.append(self._encode_one(row))
                tags.append(tag)
            except RejectedSequence as error:
                self._restore_converted(before)
                self.reject(position, error)
        if not good:
            return {}, []
        return {
            key: Ragged.join([arrays[key] for arrays in good], np.empty(0)) for key in self.encoders
        }, tags

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

    def _converted(self) -> list[tuple[Counter[str], float]]:
        return [(Counter(encoder.converted), encoder.largest_error) for encoder in self.encoders.values()]

    def _restore_converted(self, before: list[tuple[Counter[str], float]]) -> None:
        for encoder, (counts, error) in zip(self.encoders.values(), before, strict=True):
            encoder.converted.clear()
            encoder.converted.update(counts)
            encoder.largest_error = error


def _tag(value: Any) -> str:
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
