"""The layout of a record: one mini-batch as a tf.train.Example. Nothing else knows it.

``features`` lists what a record holds, in order. Writing, the exact size and reading all follow it:

- ``encode_all`` writes batches, ``record_sizes`` tells the bytes of every batch of a plan before that;
- ``decode`` reads a whole batch, ``decode_arrays`` only what training needs; both check all that a record
  says of itself, and copy no array.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from seqmill.transforms.batches.gather import GatheredArrays
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.plan import EpochPlan
from seqmill.transforms.records import example, wire
from seqmill.transforms.records.example import BrokenExampleError
from seqmill.transforms.records.tags import Tags
from seqmill.transforms.records.tfrecord import FRAME_BYTES
from seqmill.transforms.records.wire import BrokenMessageError, varint_sizes

CODE_VERSION = 1  # raised when the same batch would give other bytes
LARGEST_RECORD = (1 << 31) - 1  # nobody's protobuf parses more


class Kind(Enum):
    """What a feature of a record is."""

    ARRAY = "one bytes value: an array"
    INTEGERS = "a list of integers, none negative"
    TEXTS = "a list of bytes values"


@dataclass(frozen=True)
class Feature:
    """A feature of a record: its name and kind."""

    name: str
    kind: Kind


SEQ_TAG = Feature("seq_tag", Kind.TEXTS)
SEQ_INDEX = Feature("seq_index", Kind.INTEGERS)
CHUNK_START = Feature("chunk_start", Kind.INTEGERS)
BATCH_INDEX = Feature("batch_index", Kind.INTEGERS)


_OF_ROWS = (SEQ_TAG, SEQ_INDEX, CHUNK_START, BATCH_INDEX)


def array(key: str) -> Feature:
    """The array of a data key, little-endian: padded, [B, T, …], or packed, [sum of T, …]."""
    return Feature(key, Kind.ARRAY)


def shape(key: str) -> Feature:
    """The array's shape."""
    return Feature(f"{key}/shape", Kind.INTEGERS)


def lengths(key: str) -> Feature:
    """The true lengths, [B]."""
    return Feature(f"{key}/lengths", Kind.INTEGERS)


def features(keys: Iterable[str]) -> list[Feature]:
    """All features of a record, in the order in which they stand in it."""
    of_keys = [feature for key in keys for feature in (array(key), shape(key), lengths(key))]
    return [*of_keys, *_OF_ROWS]


class BrokenBatchError(ValueError):
    """A record is not a batch of the expected data keys; the message says why."""


# Of several batches the values of a feature behind one another, and where each batch's begin and the last
# one's end: integers [n], the texts or, where only sizes are wanted, their sizes [n].
_Column = tuple[np.ndarray | Tags, np.ndarray]


def encode(batch: PaddedBatch) -> list[bytes | np.ndarray]:
    """The batch as a serialized tf.train.Example, in pieces; the arrays are not copied."""
    return encode_all([batch])[0]


def encode_all(batches: Sequence[PaddedBatch]) -> list[list[bytes | np.ndarray]]:
    """What ``encode`` gives for each of some batches, which is faster than one by one."""
    columns = _columns(batches)
    pieces: list[list[bytes | np.ndarray]] = [[] for _ in batches]
    small: list[list[bytes]] = [[] for _ in batches]  # written as one piece with what is next to them
    for feature in features(batches[0].arrays):
        if feature.kind is Kind.ARRAY:
            for batch, own, before in zip(batches, pieces, small, strict=True):
                data = _shape_and_pieces(batch, feature.name)[1]
                before.append(example.bytes_feature_prefix(feature.name, sum(map(len, data))))
                own += [b"".join(before), *data]
                before.clear()
            continue
        values, edges = columns[feature]
        if isinstance(values, Tags):
            encoded = example.bytes_list_features(feature.name, values, edges)
        else:
            encoded = example.int64_list_features(feature.name, values, edges)
        for before, content in zip(small, encoded, strict=True):
            before.append(content)
    for own, before in zip(pieces, small, strict=True):
        own.append(b"".join(before))
        own.insert(0, example.features_prefix(sum(map(len, own))))
    return pieces


def record_sizes(plan: EpochPlan, data_keys: Mapping[str, ArraySpec], tag_sizes: np.ndarray) -> np.ndarray:
    """Bytes of every planned batch's TFRecord, framing included, int64 [batches].

    Args:
        plan: The epoch.
        data_keys: What the arrays are like.
        tag_sizes: Bytes of the tag of every sequence in the store.
    """
    if not plan.num_batches:
        return np.empty(0, np.int64)
    total = np.zeros(plan.num_batches, np.int64)
    for batches in plan.batch_blocks():
        part = plan.part(batches.start, batches.stop)
        columns = _planned_columns(part, batches.start, data_keys, tag_sizes)
        for feature in features(data_keys):
            total[batches] += _feature_sizes(feature, columns, part, data_keys)
    return example.bytes_field_sizes(total) + FRAME_BYTES


def decode(
    record: bytes | np.ndarray, data_keys: Mapping[str, ArraySpec], packed: bool = False
) -> PaddedBatch:
    """The batch in a record; its arrays are views of it.

    Args:
        record: The payload of a TFRecord.
        data_keys: What the arrays are like.
        packed: Whether it must be a packed batch.

    Raises:
        BrokenBatchError: A feature is missing, or does not fit the data keys or the others.
    """
    try:
        found = _scan(np.frombuffer(record, np.uint8).data, features(data_keys), whole=True)
        arrays, true_lengths = _arrays(found, data_keys, packed)
        tags = example.decode_bytes_list(found[SEQ_TAG.name])
        seq_index, chunk_start, batch_index = (
            wire.read_varints(found[feature.name]) for feature in (SEQ_INDEX, CHUNK_START, BATCH_INDEX)
        )
        num_seqs = len(seq_index)
        for name, number, expected in (
            *((lengths(key).name, len(values), num_seqs) for key, values in true_lengths.items()),
            (SEQ_TAG.name, len(tags), num_seqs),
            (CHUNK_START.name, len(chunk_start), num_seqs),
            (BATCH_INDEX.name, len(batch_index), 1),
        ):
            if number != expected:
                raise BrokenMessageError(f"{name}: {number} of {expected} values")
    except (BrokenMessageError, BrokenExampleError) as error:
        raise _broken(data_keys, error) from None
    return PaddedBatch(arrays, true_lengths, tags, seq_index, chunk_start, int(batch_index[0]), packed)


def decode_arrays(
    record: np.ndarray, data_keys: Mapping[str, ArraySpec], packed: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per data key the array, a view of ``record``, and the lengths, int32 [B].

    Args:
        record: The payload of a TFRecord, uint8 [n].
        data_keys: What the arrays are like.
        packed: Whether it must be a packed batch.

    Raises:
        BrokenBatchError: As ``decode``; what stands behind the arrays is not looked at.
    """
    try:
        found = _scan(record.data, features(data_keys)[: -len(_OF_ROWS)], whole=False)
        arrays, true_lengths = _arrays(found, data_keys, packed)
    except BrokenMessageError as error:
        raise _broken(data_keys, error) from None
    return {key: (arrays[key], true_lengths[key].astype(np.int32)) for key in data_keys}


def _columns(batches: Sequence[PaddedBatch]) -> dict[Feature, _Column]:
    """Everything but the arrays."""
    by_batch = np.arange(len(batches) + 1)
    by_entry = np.cumsum([0, *(len(batch.seq_tags) for batch in batches)])
    columns: dict[Feature, _Column] = {
        SEQ_TAG: (Tags.concatenate(batch.seq_tags for batch in batches), by_entry),
        SEQ_INDEX: (np.concatenate([batch.seq_index for batch in batches]), by_entry),
        CHUNK_START: (np.concatenate([batch.chunk_start for batch in batches]), by_entry),
        BATCH_INDEX: (np.array([batch.batch_index for batch in batches]), by_batch),
    }
    for key in batches[0].arrays:
        shapes = np.array([_shape_and_pieces(batch, key)[0] for batch in batches])
        columns[shape(key)] = shapes.reshape(-1), by_batch * shapes.shape[1]
        columns[lengths(key)] = np.concatenate([batch.lengths[key] for batch in batches]), by_entry
    return columns


def _shape_and_pieces(batch: PaddedBatch, key: str) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """The shape of an array and its bytes, which need not lie behind one another yet."""
    if isinstance(batch.arrays, GatheredArrays):
        return batch.arrays.shapes[key], batch.arrays.pieces[key]
    array = np.ascontiguousarray(batch.arrays[key])
    return array.shape, [array.reshape(-1).view(np.uint8)]


def _feature_sizes(
    feature: Feature,
    columns: Mapping[Feature, _Column],
    plan: EpochPlan,
    data_keys: Mapping[str, ArraySpec],
) -> np.ndarray:
    """Bytes of a feature in the record of every batch of a plan, int64 [batches]."""
    if feature.kind is Kind.ARRAY:
        frame_bytes = data_keys[feature.name].frame_bytes
        content = example.bytes_field_sizes(plan.batch_frames[feature.name] * frame_bytes)
    else:
        sizes, edges = columns[feature]
        assert isinstance(sizes, np.ndarray)
        content = np.add.reduceat(sizes, edges[:-1])
        if feature.kind is Kind.INTEGERS:
            content = example.bytes_field_sizes(content)  # packed
    return example.feature_sizes(feature.name, content)


def _planned_columns(
    plan: EpochPlan, first_batch: int, data_keys: Mapping[str, ArraySpec], tag_sizes: np.ndarray
) -> dict[Feature, _Column]:
    """The sizes of what ``_columns`` will give for the batches of a plan, each value's own.

    ``first_batch``: number in the epoch of the plan's first.
    """
    by_batch, by_entry = np.arange(plan.num_batches + 1), plan.batch_starts
    columns: dict[Feature, _Column] = {
        SEQ_TAG: (example.bytes_field_sizes(tag_sizes[plan.seq_index]), by_entry),
        SEQ_INDEX: (varint_sizes(plan.seq_index), by_entry),
        CHUNK_START: (varint_sizes(plan.chunk_start), by_entry),
        BATCH_INDEX: (varint_sizes(by_batch[:-1] + first_batch), by_batch),
    }
    for key, spec in data_keys.items():
        frame = int(varint_sizes(np.array(spec.feature_shape, np.int64)).sum())
        time_axes = [plan.batch_frames[key]] if plan.packed else [plan.batch_seqs, plan.time_axes[key]]
        columns[shape(key)] = np.sum([varint_sizes(axis) for axis in time_axes], axis=0) + frame, by_batch
        columns[lengths(key)] = varint_sizes(plan.lengths[key]), by_entry
    return columns


def _scan(record: memoryview, expected: Sequence[Feature], whole: bool) -> dict[str, memoryview]:
    """The contents of the first features of an Example, which must be the expected ones.

    ``whole``: nothing may stand behind them.
    """
    found = {}
    position, end = wire.read_last_field(record, 0, len(record), 1)
    for feature in expected:
        start, position = wire.read_field(record, position, end, 1)
        name_start, name_end = wire.read_field(record, start, position, 1)
        if record[name_start:name_end] != feature.name.encode():
            raise BrokenMessageError(f"another feature where {feature.name} should stand")
        field = example.INT64_LIST if feature.kind is Kind.INTEGERS else example.BYTES_LIST
        start, stop = wire.read_last_field(record, name_end, position, 2)
        start, stop = wire.read_last_field(record, start, stop, field)
        if feature.kind is not Kind.TEXTS:
            start, stop = wire.read_last_field(record, start, stop, 1)
        found[feature.name] = record[start:stop]
    if whole and position != end:
        raise BrokenMessageError(f"{end - position} bytes follow {expected[-1].name}")
    return found


def _arrays(
    found: Mapping[str, memoryview], data_keys: Mapping[str, ArraySpec], packed: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Per data key the array and the lengths, int64 [B]; sizes are compared before memory is touched."""
    arrays, true_lengths = {}, {}
    rank, axes = (1, "the sum of T") if packed else (2, "B, T")
    for key, spec in data_keys.items():
        dimensions = wire.read_varints(found[shape(key).name]).tolist()
        content = found[key]
        if tuple(dimensions[rank:]) != tuple(spec.feature_shape) or len(dimensions) < rank:
            raise BrokenMessageError(
                f"{shape(key).name}: {dimensions}, expected {axes} and {list(spec.feature_shape)}"
            )
        if math.prod(dimensions[:rank]) * spec.frame_bytes != len(content):
            raise BrokenMessageError(f"{key}: {len(content)} bytes for shape {dimensions}")
        arrays[key] = np.frombuffer(content, spec.elements).reshape(dimensions)
        true_lengths[key] = wire.read_varints(found[lengths(key).name])
        if not _fits(true_lengths[key], dimensions, packed):
            raise BrokenMessageError(f"{lengths(key).name} does not fit shape {dimensions}")
    return arrays, true_lengths


def _fits(true_lengths: np.ndarray, dimensions: list[int], packed: bool) -> bool:
    """Whether lengths are those of an array of such dimensions."""
    num_frames = dimensions[0] if packed else dimensions[1]
    if true_lengths.max(initial=0) > num_frames:
        return False
    return int(true_lengths.sum()) == num_frames if packed else len(true_lengths) == dimensions[0]


def _broken(data_keys: Iterable[str], error: ValueError) -> BrokenBatchError:
    return BrokenBatchError(f"not a batch of the data keys {', '.join(data_keys)} ({error})")
