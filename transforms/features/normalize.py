"""Text made alike before its labels are counted or looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.text import to_text
from seqmill.transforms.features.text_steps import Step, apply_steps


def normalized(key_type: str, steps: Sequence[Step], values: list[Any]) -> list[Any]:
    """Values of a data key with their text made alike: text and UTF-8, and lists of labels one by one.

    Args:
        key_type: The data key's type; a list is a list of labels for ``chars`` and ``words``.
        steps: What is done, in order.
        values: As readers give them; those that hold no text are left to encoders to reject.

    Raises:
        RejectedSequence: A text is not valid UTF-8 or Unicode.

    >>> normalized("words", ["lower"], ["A b", ["New York"]])
    ['a b', ['new york']]
    """
    if not steps:
        return values
    texts: list[str] = []
    ends = [0]
    for value in values:
        texts += _texts(key_type, value)
        ends.append(len(texts))
    texts = apply_steps(steps, texts)
    return [
        value if not _holds_text(key_type, value) else texts[start:end] if _is_list(value) else texts[start]
        for value, (start, end) in zip(values, pairwise(ends), strict=True)
    ]


class NormalizedText(Encoder):
    """What another encoder makes of text that was made alike first.

    Args:
        encoder: The encoder.
        key_type: The data key's type.
        steps: What is done to its text.
    """

    def __init__(self, encoder: Encoder, key_type: str, steps: Sequence[Step]):
        self._encoder, self._key_type, self._steps = encoder, key_type, steps
        self.dtype = encoder.dtype
        self.feature_shape = encoder.feature_shape
        self.num_labels = encoder.num_labels
        self.pad = encoder.pad
        self.converted = encoder.converted
        self.named_files = encoder.named_files

    def encode(self, value: Any) -> np.ndarray:
        """See Encoder."""
        return self._encoder.encode(normalized(self._key_type, self._steps, [value])[0])

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        return self._encoder.encode_block(normalized(self._key_type, self._steps, values))


def _holds_text(key_type: str, value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray | memoryview):
        return True
    if isinstance(value, np.ndarray) and key_type == "bytes":
        return value.dtype == np.uint8 and value.ndim == 1
    return _is_list(value) and key_type in ("chars", "words")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype != np.uint8)


def _texts(key_type: str, value: Any) -> Iterable[str]:
    if not _holds_text(key_type, value):
        return []
    if _is_list(value):
        return map(to_text, value.tolist() if isinstance(value, np.ndarray) else value)
    return [to_text(value if isinstance(value, str) else bytes(value))]
