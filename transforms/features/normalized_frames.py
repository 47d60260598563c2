"""Frames with mean 0 and variance 1: of each sequence, or by statistics that were counted or given."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.norm import Norm
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.storage.errors import RejectedSequence

CODE_VERSION = 1  # raised when the same numbers would become others


class NormalizedFrames(Encoder):
    """What another encoder gives, less the mean and divided by the standard deviation, number by number.

    It is calculated in float64. Where a deviation is 0, nothing is divided, so that what never changes
    becomes 0.

    Args:
        encoder: The encoder, of float32 arrays [T] or [T, D].
        norm: The statistics; ``None`` for those of each sequence itself.
    """

    def __init__(self, encoder: Encoder, norm: Norm | None):
        self._encoder = encoder
        self._statistics = None
        if norm is not None:
            self._statistics = np.asarray(norm.mean), _divisor(np.asarray(norm.stddev))
        self.dtype = encoder.dtype
        self.feature_shape = encoder.feature_shape
        self.converted = encoder.converted
        self.named_files = encoder.named_files

    def encode(self, value: Any) -> np.ndarray:
        """See Encoder. Numbers that become infinite are rejected."""
        with self._counted_if_good():
            return self._normalized(self._encoder.encode(value))

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        with self._counted_if_good():
            ragged = self._encoder.encode_block(values)
            if self._statistics is not None:
                return Ragged(self._normalized(ragged.values), ragged.lengths)
            ends = np.cumsum(ragged.lengths)[:-1]
            parts = [self._normalized(part) for part in np.split(ragged.values, ends)]
            return Ragged.join(parts, ragged.values)

    def _normalized(self, frames: np.ndarray) -> np.ndarray:
        if not len(frames):
            return frames
        if self._statistics is not None:
            mean, divisor = self._statistics
            centred = frames - mean
        else:
            centred = frames - frames.mean(axis=0, dtype=np.float64)
            divisor = _divisor(np.sqrt(np.square(centred).mean(axis=0)))
        with np.errstate(over="ignore"):
            normalized = (centred / divisor).astype(self.dtype)
        if not np.isfinite(normalized).all():
            raise RejectedSequence("not finite", "a number is infinite after normalization")
        return normalized


def _divisor(stddev: np.ndarray) -> np.ndarray:
    return np.where(stddev == 0, 1.0, stddev)
