"""``audio``: samples of a sound file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder, kind_of, shown
from seqmill.transforms.features.segment import Described, Segment, find_segment
from seqmill.transforms.features.shared_files import shared_hash
from seqmill.transforms.features.sound.ark import ark_place, read_wav
from seqmill.transforms.features.sound.decode import Decoder
from seqmill.transforms.features.sound.source import Source, check_size, full_path, open_bytes, open_path
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.storage.extras import require

_MAX_RATE_RATIO = 100  # beyond it a header is broken, and would ask for any amount of memory
_CANCELLED = 0.01  # of the energy of the channels: 20 dB


class Audio(Encoder):
    """``audio``: samples in [-1, 1], mono, float32 [T], at the key's sample rate.

    A value is a path (or a place in an archive of Kaldi's, ``wavs.ark:17``), the bytes of a sound file, or an
    object with ``bytes`` or ``path`` as Hugging Face data sets have it; ``Described`` with other fields of
    its record, it may be a part of a file. What ``Decoder`` reads is taken. Other rates are resampled (soxr,
    high quality), channels averaged or one of them chosen; ``converted`` counts these, and averages in which
    the channels cancel each other. Then ``preemphasis`` and ``peak_normalization`` are applied, in this
    order, as in RETURNN.

    Args:
        key: The data key.
        folder: Folder or URL that relative paths start from.
        max_bytes: Most bytes of a file and of its samples.

    Raises:
        SeqmillError: A package is not installed.
    """

    def __init__(self, key: DataKey, folder: str, max_bytes: int):
        super().__init__(key)
        self._key = key
        self._folder = folder
        self._max_bytes = max_bytes
        self._decoder = Decoder(max_bytes, f'type = "{key.type}"')
        self._soxr = require("soxr", "audio", f'type = "{key.type}"')

    def encode(self, value: Any) -> np.ndarray:
        """Samples [T], at least one. Raises RejectedSequence; OSError where the file system fails."""
        fields: Mapping[str, Any] = {}
        if isinstance(value, Described):
            value, fields = value.value, value.fields
        segment = find_segment(self._key, value, fields)
        with self._open(value) as source:
            samples, rate = self._decoder.decode(source, None if segment is None else segment.samples)
        if samples.size == 0:
            raise RejectedSequence("no samples")
        if not np.isfinite(samples).all():
            raise RejectedSequence("not finite", "a sample is NaN or infinite")
        with self._counted_if_good():
            mono = self._mono(samples, segment, fields.get("channel"))
            return self._shaped(self._resampled(mono, rate)).astype(self.dtype, copy=False)

    def _open(self, value: Any) -> AbstractContextManager[Source]:
        if isinstance(value, Mapping):
            content, path = value.get("bytes"), value.get("path")
            if content is None and path is None:
                raise RejectedSequence("expected audio, found object", "it has neither bytes nor a path")
            value = path if content is None else content
        if isinstance(value, bytes | bytearray | memoryview):
            return open_bytes(bytes(value))
        if not isinstance(value, str):
            raise RejectedSequence(f"expected audio, found {kind_of(value)}", shown(value))
        return self._open_named(value)

    @contextmanager
    def _open_named(self, path: str) -> Iterator[Source]:
        place = ark_place(path)
        name = path if place is None else place[0]
        self.named_files.setdefault(name, None)
        with open_path(name, self._folder) as source:
            if self.named_files[name] is None:
                own = place is None
                self.named_files[name] = self._hash(name, source) if own else shared_hash(name, self._folder)
            if place is None:
                yield source
                return
            data = read_wav(source, place[1], self._max_bytes)
        with open_bytes(data) as part:
            yield part

    def _hash(self, name: str, source: Source) -> str:
        path = full_path(name, self._folder)
        tag = None if files.is_local(path) else files.content_tag(path)
        return tag or source.xxh128()

    def _mono(self, samples: np.ndarray, segment: Segment | None, named: Any) -> np.ndarray:
        num_channels = samples.shape[1]
        channels = None if segment is None else segment.channels
        if isinstance(self._key.channel, int):
            channels = (self._key.channel,)
        elif channels is None and self._key.channel is None and num_channels > 1 and _is_channel(named):
            detail = f"it has {num_channels}, the record says {shown(named)}; the option channel chooses"
            raise RejectedSequence("channel is not clear", detail)
        if channels is not None:
            if not all(0 <= channel < num_channels for channel in channels):
                detail = f"{list(channels)} of a file with {num_channels} channels, which count from 0"
                raise RejectedSequence("channel not in the file", detail)
            samples = samples[:, channels]
        if samples.shape[1] == 1:
            return samples[:, 0]
        mono = samples.mean(axis=1, dtype=np.float32)
        self.converted["channels averaged"] += 1
        energy = np.square(samples, dtype=np.float64).mean()
        if np.square(mono, dtype=np.float64).mean() < _CANCELLED * energy:
            self.converted["channels that cancel each other averaged"] += 1
        return mono

    def _resampled(self, mono: np.ndarray, rate: int) -> np.ndarray:
        wanted = self._key.sample_rate
        if rate == wanted:
            return mono
        if not 1 / _MAX_RATE_RATIO <= rate / wanted <= _MAX_RATE_RATIO:
            raise RejectedSequence(
                "not readable audio", f"its header gives a sample rate of {rate} Hz, too far from {wanted} Hz"
            )
        check_size(4 * len(mono) * wanted // rate, self._max_bytes, "its samples")
        mono = self._soxr.resample(mono, rate, wanted)
        if mono.size == 0:
            raise RejectedSequence("no samples", f"after resampling from {rate} Hz")
        self.converted["resampled"] += 1
        return mono

    def _shaped(self, mono: np.ndarray) -> np.ndarray:
        """Samples after pre-emphasis and peak normalization, which are rounded to float32 once."""
        key = self._key
        if not key.preemphasis and not key.peak_normalization:
            return mono
        shaped = mono.astype(np.float64)
        if key.preemphasis:
            shaped[1:] -= key.preemphasis * shaped[:-1]
        if key.peak_normalization and (peak := np.abs(shaped).max()) > 0:
            shaped /= peak
        with np.errstate(over="ignore"):
            rounded = shaped.astype(np.float32)
        if not np.isfinite(rounded).all():
            raise RejectedSequence("not finite", "a sample is infinite after pre-emphasis")
        return rounded


def _is_channel(value: Any) -> bool:
    return type(value) in (int, str) or isinstance(value, np.integer)
