"""The exact size of every record before it is written, so that a plan names the bytes that a run writes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.plan import EpochPlan
from seqmill.transforms.records.example import varint_sizes
from seqmill.transforms.records.tfrecord import FRAME_BYTES


def record_sizes(plan: EpochPlan, data_keys: Mapping[str, ArraySpec], tag_sizes: np.ndarray) -> np.ndarray:
    """Bytes of every batch's TFRecord, framing included, int64 [batches].

    Args:
        plan: The epoch.
        data_keys: What the arrays are like.
        tag_sizes: Bytes of the tag of every sequence in the store.
    """
    if not plan.num_batches:
        return np.empty(0, np.int64)
    features = np.zeros(plan.num_batches, np.int64)
    for key, spec in data_keys.items():
        longest = plan.longest[key]
        frame_bytes = int(np.prod(spec.feature_shape)) * np.dtype(spec.dtype).itemsize
        features += _entry(key, _field(_field(plan.batch_seqs * longest * frame_bytes)))
        shape = varint_sizes(plan.batch_seqs) + varint_sizes(longest)
        features += _entry(f"{key}/shape", _int64_list(shape + sum(_varint(n) for n in spec.feature_shape)))
        features += _entry(f"{key}/lengths", _int64_list(_per_batch(plan, varint_sizes(plan.lengths[key]))))
    features += _entry("seq_tag", _field(_per_batch(plan, _field(tag_sizes)[plan.seq_index])))
    features += _entry("seq_index", _int64_list(_per_batch(plan, varint_sizes(plan.seq_index))))
    features += _entry("chunk_start", _int64_list(_per_batch(plan, varint_sizes(plan.chunk_start))))
    features += _entry("batch_index", _int64_list(varint_sizes(np.arange(plan.num_batches))))
    return _field(features) + FRAME_BYTES


def _per_batch(plan: EpochPlan, sizes: np.ndarray) -> np.ndarray:
    return np.add.reduceat(sizes, plan.batch_starts[:-1])


def _field(size: np.ndarray) -> np.ndarray:
    """Size of a protobuf field that holds ``size`` bytes: tag, length and content."""
    return 1 + varint_sizes(size) + size


def _int64_list(packed: np.ndarray) -> np.ndarray:
    """Size of a Feature that holds an Int64List of ``packed`` bytes of varints."""
    return _field(_field(packed))


def _entry(key: str, feature: np.ndarray) -> np.ndarray:
    """Size of one entry of an Example's feature map."""
    name = len(key.encode())
    return _field(1 + _varint(name) + name + _field(feature))


def _varint(value: int) -> int:
    return int(varint_sizes(np.array([value]))[0])
