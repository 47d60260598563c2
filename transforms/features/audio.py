"""``audio``: samples of a sound file."""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder, kind_of, shown
from seqmill.transforms.features.extras import require
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence

_UNKNOWN_SIZE = 0x7FFFF000
_LITTLE_ENDIAN, _BIG_ENDIAN = (b"RIFF",), (b"RIFX", b"FORM")
_SAMPLE_CHUNKS = (b"data", b"SSND")
_MAX_RATE_RATIO = 100  # beyond it a header is broken, and would ask for any amount of memory
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class Audio(Encoder):
    """``audio``: samples in [-1, 1], mono, float32 [T], at the key's sample rate.

    A value is a path, the bytes of a sound file, or an object with ``bytes`` or ``path`` as Hugging Face
    data sets have it. Everything that libsndfile reads is taken (WAV, FLAC, Ogg, MP3, …). Channels are
    averaged and other rates resampled (soxr, high quality); ``converted`` counts both.

    Args:
        key: The data key.
        base: Folder or URL that relative paths start from.

    Raises:
        SeqmillError: A package is not installed.
    """

    def __init__(self, key: DataKey, base: str):
        super().__init__(key)
        self._sample_rate = key.sample_rate
        self._base = base
        self._soundfile = require("soundfile", "audio", f'type = "{key.type}"')
        self._soxr = require("soxr", "audio", f'type = "{key.type}"')

    def encode(self, value: Any) -> np.ndarray:
        """Samples [T], at least one. Raises RejectedSequence."""
        samples, rate = self._decode(_sound_bytes(value, self._base))
        if samples.size == 0:
            raise RejectedSequence("no samples")
        if not np.isfinite(samples).all():
            raise RejectedSequence("not finite", "a sample is NaN or infinite")
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        if rate != self._sample_rate:
            mono = self._resample(mono, rate)
        if mono.size == 0:
            raise RejectedSequence("no samples", f"after resampling from {rate} Hz")
        if rate != self._sample_rate:
            self.converted["resampled"] += 1
        if samples.shape[1] > 1:
            self.converted["channels averaged"] += 1
        return mono.astype(self.dtype, copy=False)

    def _resample(self, mono: np.ndarray, rate: int) -> np.ndarray:
        if not 1 / _MAX_RATE_RATIO <= rate / self._sample_rate <= _MAX_RATE_RATIO:
            raise RejectedSequence("not readable audio", f"its header gives a sample rate of {rate} Hz")
        return self._soxr.resample(mono, rate, self._sample_rate)

    def _decode(self, data: bytes) -> tuple[np.ndarray, int]:
        """Samples [T, channels] and their rate."""
        try:
            sound = self._soundfile.SoundFile(_SoundBytes(data))
        except (self._soundfile.SoundFileError, TypeError, ValueError) as error:
            raise RejectedSequence("not readable audio", _message(error)) from None
        with sound:
            try:
                samples = sound.read(dtype="float32", always_2d=True)
            except self._soundfile.SoundFileError as error:
                detail = f"cannot be decoded to its end ({_message(error)})"
                raise RejectedSequence("audio cut short", detail) from None
            except (MemoryError, ValueError):
                detail = f"its header announces {sound.frames} samples"
                raise RejectedSequence("not readable audio", detail) from None
            if len(samples) < sound.frames:
                raise RejectedSequence("audio cut short", f"{len(samples)} of {sound.frames} samples")
        missing = missing_bytes(data)
        if missing:
            raise RejectedSequence("audio cut short", f"{missing} bytes fewer than its header says")
        return samples, sound.samplerate


class _SoundBytes(io.BytesIO):
    """Stays in place when a broken header leads before the start, where soundfile would print a traceback."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


def missing_bytes(data: bytes) -> int:
    """How many bytes of samples a WAV or AIFF file promises and does not have; libsndfile does not say.

    0 for other formats, and for the placeholder sizes that programs write into a pipe.
    """
    if data[:4] not in _LITTLE_ENDIAN + _BIG_ENDIAN:
        return 0
    order = "little" if data[:4] in _LITTLE_ENDIAN else "big"
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], order)  # type: ignore[arg-type]
        if data[position : position + 4] in _SAMPLE_CHUNKS:
            return 0 if size >= _UNKNOWN_SIZE else max(0, position + 8 + size - len(data))
        position += 8 + size + size % 2
    return 0


def _sound_bytes(value: Any, base: str) -> bytes:
    if isinstance(value, Mapping):
        content, path = value.get("bytes"), value.get("path")
        if content is None and path is None:
            raise RejectedSequence("expected audio, found object", "it has neither bytes nor a path")
        value = path if content is None else content
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        raise RejectedSequence(f"expected audio, found {kind_of(value)}", shown(value))
    path = files.join(base, value)
    try:
        return files.read_bytes(path)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in _NO_SUCH_FILE:
            raise RejectedSequence("missing audio file", path) from None
        if isinstance(error, PermissionError | IsADirectoryError):
            raise RejectedSequence("not readable audio", f"{path}: {error.strerror}") from None
        raise
    except ValueError as error:
        raise RejectedSequence("missing audio file", f"{shown(path)}: {error}") from None


def _message(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip() or type(error).__name__
