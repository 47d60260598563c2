"""Arrays of different lengths behind one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.storage.errors import RejectedSequence

LONGEST = (1 << 31) - 1  # lengths are stored in 32 bits


@dataclass(frozen=True)
class Ragged:
    """n arrays [T_i, *feature_shape] behind one another.

    Attributes:
        values: The frames of all arrays, [sum T_i, *feature_shape], in the dtype of the data key.
        lengths: The T_i, int32 [n].

    >>> ragged = Ragged(np.array([5, 2, 3], np.int32), np.array([1, 2], np.int32))
    >>> np.split(ragged.values, np.cumsum(ragged.lengths)[:-1])
    [array([5], dtype=int32), array([2, 3], dtype=int32)]
    """

    values: np.ndarray
    lengths: np.ndarray

    @classmethod
    def join(cls, arrays: Sequence[np.ndarray], empty: np.ndarray) -> Ragged:
        """Puts arrays behind one another; ``empty`` stands for them where there are none.

        Raises:
            RejectedSequence: One is longer than ``LONGEST``.
        """
        lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
        check_length(int(lengths.max(initial=0)))
        return cls(np.concatenate(arrays) if arrays else empty, lengths.astype(np.int32))


def check_length(length: int) -> None:
    """Raises RejectedSequence where an array is too long to be stored."""
    if length > LONGEST:
        raise RejectedSequence("too long", f"{length:,} frames; at most {LONGEST:,} can be stored")
