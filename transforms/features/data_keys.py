"""Data keys: the named arrays of a sequence, where they come from and what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABEL_TYPES = ("chars", "words", "subwords")
AUDIO_TYPES = ("audio", "log_mel")
TYPES = ("ints", "floats", "bytes", *LABEL_TYPES, *AUDIO_TYPES)

_DTYPES = {"ints": "int32", "floats": "float32", "bytes": "uint8", "audio": "float32", "log_mel": "float32"}


@dataclass(frozen=True)
class DataKey:
    """One data key as the configuration describes it.

    Attributes:
        name: The key (``data``, ``classes``, …).
        field: Field of a record that holds it; dots reach into nested fields.
        type: One of ``TYPES``.
        vocab: File with one label a line (``chars``, ``words``); counted over ``train`` where ``None``.
        tokenizer: File of a Hugging Face tokenizer (``subwords``).
        bos: Put ``<s>`` before the labels.
        eos: Put ``</s>`` after the labels.
        sample_rate: Hz (``audio``, ``log_mel``); other rates are resampled.
        channel: Number of the channel to take, from 0, or ``"mean"`` of all (``audio``, ``log_mel``).
            ``None`` averages those that a Lhotse-like cut names, or all.
        offset: Field of a record with the seconds before its part of a file; ``"none"`` for no such field.
            ``None`` heeds ``offset`` and ``start`` where they are numbers beside a path.
        duration: Field with the seconds of that part, likewise; ``None`` heeds ``duration``.
        num_mel_bins: Size of a ``log_mel`` frame.
        window: Length of the ``log_mel`` analysis window in seconds.
        hop: Distance between ``log_mel`` frames in seconds.
    """

    name: str
    field: str
    type: str
    vocab: str | None = None
    tokenizer: str | None = None
    bos: bool = False
    eos: bool = False
    sample_rate: int = 16000
    channel: int | str | None = None
    offset: str | None = None
    duration: str | None = None
    num_mel_bins: int = 80
    window: float = 0.025
    hop: float = 0.01

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the key's arrays in the store and in the batches (little-endian)."""
        return np.dtype(_DTYPES.get(self.type, "int32")).newbyteorder("<")

    @property
    def has_counted_vocab(self) -> bool:
        """Whether the labels must be counted over ``train`` before anything is encoded."""
        return self.type in ("chars", "words") and self.vocab is None
