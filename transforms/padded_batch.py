"""One mini-batch as the shards hold it: padded arrays and where they came from, to and from an Example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transforms import example


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
    seq_tags: list[bytes]
    seq_index: np.ndarray
    chunk_start: np.ndarray
    batch_index: int


def encode(batch: PaddedBatch) -> list[bytes | np.ndarray]:
    """The batch as a serialized tf.train.Example, in pieces; the arrays are not copied."""
    pieces: list[bytes | np.ndarray] = []
    for key, array in batch.arrays.items():
        pieces.append(example.bytes_feature_prefix(key, array.nbytes))
        pieces.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        pieces.append(
            example.int64_list_feature(f"{key}/shape", np.array(array.shape))
            + example.int64_list_feature(f"{key}/lengths", batch.lengths[key])
        )
    pieces.append(
        example.bytes_list_feature("seq_tag", batch.seq_tags)
        + example.int64_list_feature("seq_index", batch.seq_index)
        + example.int64_list_feature("chunk_start", batch.chunk_start)
        + example.int64_list_feature("batch_index", np.array([batch.batch_index]))
    )
    return [example.features_prefix(sum(len(piece) for piece in pieces)), *pieces]


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
