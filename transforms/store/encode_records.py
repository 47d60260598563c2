"""Encoding records of any source, each with an order key by which it finds its place in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.transforms.features import MAX_RECORD_SIZE, Encoder, Vocab, make_encoder
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import kind_of, shown
from seqmill.transforms.features.fairseq_dict import check_formats
from seqmill.transforms.features.given_norm import read_norms
from seqmill.transforms.features.norm import check_norms
from seqmill.transforms.features.segment import described_by
from seqmill.transforms.features.shared_vocabs import given_vocab
from seqmill.transforms.features.text import to_text
from seqmill.transforms.features.vocab import check_labels_occur, read_vocab
from seqmill.transforms.readers import get_field
from seqmill.transforms.storage.checked_files import checksum
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.storage.output_folder import norm_name, vocab_name
from seqmill.transforms.store.encode_blocks import Collector, describe_row
from seqmill.transforms.store.sequence_block import Origin, SequenceBlock, VocabFile

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class RecordEncoding:
    """How records become sequences.

    Attributes:
        keys: The data keys.
        order_by: Field with the order key.
        seq_tag: Field with the tag; None for the order key as text.
        feature_shapes: Per data key of type ``floats`` the shape of a frame.
        audio_root: Folder that relative audio paths start from.
    """

    keys: tuple[DataKey, ...]
    order_by: str
    seq_tag: str | None
    feature_shapes: Mapping[str, tuple[int, ...]]
    audio_root: str


class RecordEncoder:
    """Encodes records; what is costly to load is loaded once.

    Args:
        encoding: How.

    Raises:
        SeqmillError: A vocabulary or package is missing.
    """

    def __init__(self, encoding: RecordEncoding):
        self.encoding = encoding
        vocabs = read_vocabs(encoding.keys)
        self._norms = read_norms(encoding.keys)
        self._encoders = {key.name: self._encoder(key, vocabs.get(key.name)) for key in encoding.keys}
        self._fields = [key.field for key in encoding.keys]
        self._described = [described_by(key) for key in encoding.keys]
        self._is_described = any(self._described)
        self.origin = Origin(
            data_keys={key.name: self._spec(key, vocabs.get(key.name)) for key in encoding.keys},
            vocab_files=vocab_files(encoding.keys),
            has_tags=True,
            order_by=encoding.order_by,
            norms=self._norms,
        )
        check_norms(self._norms, self.origin.data_keys)

    def block(self, records: Sequence[Any]) -> SequenceBlock:
        """The sequences of some records, and why others are rejected."""
        collector = Collector(self._encoders, has_tags=True)
        rows: list[Sequence[Any]] = []
        order = []
        for record in records:
            key: int | str | None = None
            try:
                if type(record) is not dict and not isinstance(record, Mapping):
                    raise RejectedSequence("record is no mapping", shown(record))
                key = _order_key(_field(record, self.encoding.order_by))
                rows.append(self._row(record, key))
                order.append(key)
            except RejectedSequence as error:
                collector.reject(key, error)
        encoded = collector.encode(rows, order) if rows else ({}, [], [])
        return collector.take_block(self.origin, encoded, read=len(records))

    def _row(self, record: Any, order_key: int | str) -> list[Any]:
        row = [_field(record, name) for name in self._fields]
        if self._is_described:
            row = [*describe_row(row, record, self._described)]
        tag = str(order_key) if self.encoding.seq_tag is None else _field(record, self.encoding.seq_tag)
        return [*row, tag]

    def _encoder(self, key: DataKey, vocab: Vocab | None) -> Encoder:
        shape = self.encoding.feature_shapes.get(key.name)
        root, norm = self.encoding.audio_root, self._norms.get(key.name)
        return make_encoder(key, root, vocab, shape, max_bytes=MAX_RECORD_SIZE, norm=norm)

    def _spec(self, key: DataKey, vocab: Vocab | None) -> ArraySpec:
        encoder = self._encoders[key.name]
        if encoder.feature_shape is None:
            raise SeqmillError(f"data key {key.name!r}: the shape of a frame of {key.type} is not known")
        num_labels = encoder.num_labels if vocab is None else len(vocab)
        name = None if vocab is None else vocab_name(key.labels_of)
        shape = encoder.feature_shape
        norm = norm_name(key.name) if key.has_statistics else None
        return ArraySpec(key.type, key.elements, shape, num_labels, name, key.processing, norm, encoder.pad)


def read_vocabs(keys: Sequence[DataKey]) -> dict[str, Vocab]:
    """The vocabularies that data keys name. Raises SeqmillError where one is missing or of another kind."""
    check_formats(keys)
    vocabs = {}
    for key in keys:
        if path := given_vocab(key, keys):
            vocabs[key.name] = read_vocab(path)
            if key.type in ("chars", "words"):
                check_labels_occur(path, vocabs[key.name], key.type)
    return vocabs


def vocab_files(keys: Sequence[DataKey]) -> dict[str, VocabFile]:
    """The files of those vocabularies, as they are now."""
    paths = {key.name: given_vocab(key, keys) for key in keys}
    return {name: VocabFile(path, checksum(path)) for name, path in paths.items() if path}


def raw_size(record: Any) -> int:
    """About how many bytes the values of a record hold."""
    size = 0
    for value in record.values() if isinstance(record, dict) else [record]:
        kind = type(value)
        if kind is str or kind is bytes:
            size += len(value)
        elif kind is list or kind is tuple:
            size += 8 * len(value)
        elif kind is np.ndarray:
            size += value.nbytes
    return size


def _field(record: Mapping[str, Any], name: str) -> Any:
    """A value as the readers give it, where a library has types of its own for the same."""
    value = record[name] if name in record else get_field(record, name)
    kind = type(value)
    if kind is memoryview or kind is bytearray:
        return bytes(value)
    return list(value) if kind is tuple else value


def _order_key(value: Any) -> int | str:
    """A value as an order key. Raises RejectedSequence where it is none."""
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return value
    if isinstance(value, str | bytes):
        return to_text(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if INT64_MIN <= value <= INT64_MAX:
            return int(value)
        raise RejectedSequence("order key beyond 64 bits", shown(value))
    raise RejectedSequence("order key is neither whole number nor text", f"{kind_of(value)}: {shown(value)}")
