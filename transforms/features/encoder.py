"""What every feature type offers: a field's value in, the array of one sequence out."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.storage.errors import RejectedSequence

UNKNOWN = "unknown labels"


class Encoder(ABC):
    """Turns the values of one data key into arrays [T, *feature_shape].

    Values are what the readers give: Python objects as JSON has them, NumPy arrays, bytes, or text. A value
    with nothing in it is an array with T = 0.

    Attributes:
        dtype: The arrays' dtype.
        feature_shape: Shape of one frame; ``None`` where it is not known before the first sequence.
        num_labels: Number of labels, for keys that hold label ids of a known vocabulary.
        pad: What batches are padded with.
        named_files: The hash of every file that values named, by the name as they have it; None for those
            that could not be opened.
        converted: What was changed on the way (``"resampled"``, ``"channels averaged"``), in sequences; and
            as ``UNKNOWN``, in labels, what became ``<unk>``.
        largest_error: By how much an element differs most from what it was made from, where elements are
            small.
    """

    num_labels: int | None = None
    pad: int = 0
    largest_error: float = 0.0

    def __init__(self, key: DataKey, feature_shape: tuple[int, ...] | None = ()):
        self.dtype: np.dtype = key.batch_dtype
        self.feature_shape = feature_shape
        self.converted: Counter[str] = Counter()
        self.named_files: dict[str, str | None] = {}

    @abstractmethod
    def encode(self, value: Any) -> np.ndarray:
        """The array of one sequence, [T, *feature_shape]. Raises RejectedSequence."""

    def encode_block(self, values: list[Any]) -> Ragged:
        """The arrays of many sequences; the same as ``encode`` of each, and faster where that is possible.

        Raises:
            RejectedSequence: At least one value is bad. Nothing is counted in ``converted`` then.
        """
        with self._counted_if_good():
            arrays = [self.encode(value) for value in values]
        return Ragged.join(arrays, np.empty((0, *(self.feature_shape or ())), self.dtype))

    @contextmanager
    def _counted_if_good(self) -> Iterator[None]:
        """Takes back what was counted in ``converted`` if the block raises RejectedSequence."""
        before = self.converted.copy()
        try:
            yield
        except RejectedSequence:
            self.converted.clear()
            self.converted.update(before)
            raise


def kind_of(value: Any) -> str:
    """What a value is, in the words users know from JSON."""
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype}"
    if isinstance(value, np.generic):
        return kind_of(value.item())
    names = {"NoneType": "null", "dict": "object", "tuple": "list"}
    return names.get(type(value).__name__, type(value).__name__)


def shown(value: Any) -> str:
    """A value as an error message shows it, shortened."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
