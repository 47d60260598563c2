"""What a data key's arrays are like: the part of a manifest that readers need to make sense of bytes."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ArraySpec:
    """What a data key's arrays are like.

    Attributes:
        type: The data key's type as configured (``chars``, ``log_mel``, …).
        dtype: NumPy dtype string of the padded arrays (``<i4``).
        feature_shape: Shape of one frame; ``()`` for labels and samples.
        num_labels: Number of labels, for keys that have a vocabulary.
        vocab: File with one label a line, relative to the manifest; ``None`` where labels have no file.
    """

    type: str
    dtype: str
    feature_shape: tuple[int, ...]
    num_labels: int | None = None
    vocab: str | None = None
