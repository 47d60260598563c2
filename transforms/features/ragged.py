"""Arrays of different lengths behind one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """n arrays [T_i, *feature_shape] behind one another.

    Attributes:
        values: The frames of all arrays, [sum T_i, *feature_shape], in the dtype of the data key.
        lengths: The T_i, int32 [n].
    """

    values: np.ndarray
    lengths: np.ndarray

    @classmethod
    def join(cls, arrays: Sequence[np.ndarray], empty: np.ndarray) -> Ragged:
        """Puts arrays behind one another; ``empty`` stands for them where there are none."""
        lengths = np.fromiter(map(len, arrays), np.int32, len(arrays))
        return cls(np.concatenate(arrays) if arrays else empty, lengths)
