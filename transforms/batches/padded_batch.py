"""One mini-batch as the shards hold it: padded arrays and where they came from, to and from an Example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.records import example
from seqmill.transforms.records.tags import Tags


@dataclass(frozen=True)
class PaddedBatch:
    """One mini-batch of B sequences (or chunks).

    Attributes:
        arrays: Per data key the padded array [B, T, …], little-endian, 0 where there is no frame.
        lengths: Per data key the true lengths, int64 [B].
        seq_tags: The sequences' tags, B of them.
        seq_index: Rows in the store, int64 [B].
        chunk_start: First frame of each chunk in the length key, int64 [B].
        batch_index: Position of the batch in its epoch, over all shards, from 0.
    """

    arrays: Mapping[str, np.ndarray]
    lengths: Mapping[str, np.ndarray]
    seq_tags: Tags | list[bytes]
    seq_index: np.ndarray
    chunk_start: np.ndarray
    batch_index: int


def encode(batch: PaddedBatch) -> list[bytes | np.ndarray]:
    """The batch as a serialized tf.train.Example, in pieces; the arrays are not copied."""
    return encode_all([batch])[0]


def encode_all(batches: Sequence[PaddedBatch]) -> list[list[bytes | np.ndarray]]:
    """What ``encode`` gives for each of some batches, which is faster than one by one."""
    by_batch = np.arange(len(batches) + 1)
    by_entry = np.cumsum([0, *(len(batch.seq_tags) for batch in batches)])
    pieces: list[list[bytes | np.ndarray]] = [[] for _ in batches]
    for key, array in batches[0].arrays.items():
        shapes = np.array([batch.arrays[key].shape for batch in batches]).reshape(-1)
        lengths = np.concatenate([batch.lengths[key] for batch in batches])
        shape_features = example.int64_list_features(f"{key}/shape", shapes, by_batch * array.ndim)
        length_features = example.int64_list_features(f"{key}/lengths", lengths, by_entry)
        for batch, own, shape, length in zip(batches, pieces, shape_features, length_features, strict=True):
            data = np.ascontiguousarray(batch.arrays[key]).reshape(-1).view(np.uint8)
            own += [example.bytes_feature_prefix(key, len(data)), data, shape + length]
    rows = example.int64_list_features(
        "seq_index", np.concatenate([batch.seq_index for batch in batches]), by_entry
    )
    starts = example.int64_list_features(
        "chunk_start", np.concatenate([batch.chunk_start for batch in batches]), by_entry
    )
    indices = example.int64_list_features(
        "batch_index", np.array([batch.batch_index for batch in batches]), by_batch
    )
    tags = example.bytes_list_features(
        "seq_tag", Tags.concatenate(batch.seq_tags for batch in batches), by_entry
    )
    for own, *features in zip(pieces, tags, rows, starts, indices, strict=True):
        own.append(b"".join(features))
        own.insert(0, example.features_prefix(sum(map(len, own))))
    return pieces


def decode(record: bytes | np.ndarray, dtypes: Mapping[str, np.dtype]) -> PaddedBatch:
    """The batch in a serialized Example.

    Args:
        record: The payload of a TFRecord.
        dtypes: Per data key the dtype of its array, as in the manifest.

    Raises:
        example.BrokenExampleError: A feature is missing or does not fit its shape.
    """
    features = example.decode(record)
    try:
        arrays = {
            key: np.frombuffer(features[key][0], dtype).reshape([int(n) for n in features[f"{key}/shape"]])
            for key, dtype in dtypes.items()
        }
        return PaddedBatch(
            arrays=arrays,
            lengths={key: np.asarray(features[f"{key}/lengths"]) for key in dtypes},
            seq_tags=[bytes(tag) for tag in features["seq_tag"]],
            seq_index=np.asarray(features["seq_index"]),
            chunk_start=np.asarray(features["chunk_start"]),
            batch_index=int(features["batch_index"][0]),
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise example.BrokenExampleError(
            f"not a batch of the data keys {', '.join(dtypes)} ({error!r})"
        ) from None
