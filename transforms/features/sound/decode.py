"""Sound files to samples: whole or a part, all that was asked for or a reason why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import xxhash

from seqmill.transforms.features.sound import flac, headers, mp3, ogg
from seqmill.transforms.features.sound.headers import SampleBytes
from seqmill.transforms.features.sound.source import Source, check_size
from seqmill.transforms.storage.errors import RejectedSequence
from seqmill.transforms.storage.extras import require

# Of rate and number of samples of a file: the first sample that is wanted and the one behind the last.
Choose = Callable[[int, int], tuple[int, int]]

_PLAIN = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "NIST")
_WIDTHS = {
    **dict.fromkeys(("PCM_S8", "PCM_U8", "ULAW", "ALAW"), 1),
    **dict.fromkeys(("PCM_32", "FLOAT"), 4),
    "PCM_16": 2,
    "PCM_24": 3,
    "DOUBLE": 8,
}
_HEAD_BYTES = 1 << 16
_MOST_IN_BLOCK = 4096  # samples that a block of ADPCM or GSM holds together
_WARM_UP = 5  # a fifth of a second before a part of an Ogg, as Opus depends on what stands before


class Decoder:
    """Reads WAV (RF64, W64), AIFF, CAF, AU, NIST SPHERE, FLAC, Ogg (Vorbis, Opus, FLAC) and MP3.

    What a file's header says is compared with what the library gives, for libraries guess where a header
    says nothing and stay silent where it is wrong.

    Args:
        max_bytes: Most bytes that a file's samples may have in memory, and a file that is read whole.
        wanted_by: What needs the packages, for the message where one is missing.

    Raises:
        SeqmillError: A package is not installed.
    """

    def __init__(self, max_bytes: int, wanted_by: str):
        self._max_bytes = max_bytes
        self._soundfile = require("soundfile", "audio", wanted_by)
        self._miniaudio = require("miniaudio", "audio", wanted_by)
        self._last_mp3: tuple[bytes, mp3.Frames] | None = None

    def decode(self, source: Source, choose: Choose | None = None) -> tuple[np.ndarray, int]:
        """The samples, float32 [T, channels], and their rate.

        Of a WAV, FLAC or other uncompressed file only a part that is asked for is read; MP3 and Ogg are read
        whole and decoded in part.

        Args:
            source: The file.
            choose: Which samples; None for all.

        Raises:
            RejectedSequence: The file cannot be read, or what was asked for is not in it as a whole.
            OSError: The file system failed.
        """
        head = source.read_head(_HEAD_BYTES)
        info = flac.find_info(head)
        is_packed = mp3.is_mp3(head) or ogg.is_ogg(head) or head[:3] == b"ID3"
        if choose is None or is_packed or (info and not info.num_samples):
            data = source.read_all(self._max_bytes)
            if ogg.is_ogg(data):
                return self._decode_ogg(data, choose)
            if mp3.is_mp3(data):
                return self._decode_mp3(data, choose)
            info = flac.find_info(data)
            if info:
                data = flac.with_length(data, info)
            source = Source(io.BytesIO(data), len(data))
        said = headers.find_samples(source.file, source.size)  # before libsndfile relies on the position
        with self._open(source.file) as sound:
            if sound.format == "MP3":
                return self._decode_mp3(source.read_all(self._max_bytes), choose)
            if sound.format == "FLAC":
                return self._read(sound, sound.frames, choose)
            if sound.format not in _PLAIN:
                raise RejectedSequence("not readable audio", f"{sound.format} is none of {', '.join(_PLAIN)}")
            if sound.subtype.startswith("ALAC"):
                raise RejectedSequence("not readable audio", "of ALAC, damage could not be noticed")
            if said is None:
                raise RejectedSequence("not readable audio", f"a {sound.format} file without samples")
            return self._decode_plain(sound, source, said, choose)

    def _decode_plain(
        self, sound: Any, source: Source, said: SampleBytes, choose: Choose | None
    ) -> tuple[np.ndarray, int]:
        if said.unexplained:
            detail = f"{said.unexplained} bytes stand behind the samples that it announces"
            raise RejectedSequence("audio longer than its header says", detail)
        if said.size is None and sound.frames == 0 and source.size > said.start:
            data = headers.with_size(source.read_all(self._max_bytes), said)
            with self._open(io.BytesIO(data)) as patched:
                return self._read(patched, patched.frames, choose)
        missing = 0 if said.size is None else max(0, said.start + said.size - source.size)
        if missing and choose is None:
            raise RejectedSequence("audio cut short", f"{missing} bytes fewer than its header says")
        num_samples = _announced(sound, said, missing)
        if num_samples is None or (missing and num_samples > sound.frames):
            num_samples = sound.frames
        if sound.frames < num_samples:
            raise RejectedSequence("audio cut short", f"{sound.frames} of {num_samples} samples")
        return self._read(sound, num_samples, choose)

    def _decode_ogg(self, data: bytes, choose: Choose | None) -> tuple[np.ndarray, int]:
        streams = ogg.find_streams(data)
        sounds = [self._open(io.BytesIO(data[stream.start : stream.end])) for stream in streams]
        kinds = {(sound.samplerate, sound.channels) for sound in sounds}
        if len(kinds) != 1:
            shown = ", ".join(f"{rate} Hz with {channels} channels" for rate, channels in sorted(kinds))
            raise RejectedSequence("audio changes its format", shown)
        ((rate, channels),) = kinds
        lengths = []
        for stream, sound in zip(streams, sounds, strict=True):
            announced = stream.num_samples(rate)
            if abs(sound.frames - announced) > (stream.opus_skip is not None):
                raise RejectedSequence("audio cut short", f"{sound.frames} of {announced} samples")
            lengths.append(sound.frames)
        start, stop = self._chosen(sum(lengths), rate, channels, choose)
        parts, begin = [], 0
        for sound, length in zip(sounds, lengths, strict=True):
            first, last = max(start - begin, 0), min(stop - begin, length)
            if first < last:
                early = max(0, first - rate // _WARM_UP)
                parts.append(self._samples(sound, early, last)[first - early :])
            begin += length
        return np.concatenate([np.empty((0, channels), np.float32), *parts]), rate

    def _decode_mp3(self, data: bytes, choose: Choose | None) -> tuple[np.ndarray, int]:
        frames = self._mp3_frames(data)
        start, stop = self._chosen(frames.num_samples, frames.rate, frames.num_channels, choose)
        return mp3.read_samples(self._miniaudio, data, frames, start, stop), frames.rate

    def _mp3_frames(self, data: bytes) -> mp3.Frames:
        """The frames of a file, remembered for its next segment: there are 140,000 in an hour."""
        content = xxhash.xxh3_128_digest(data)
        if self._last_mp3 is None or self._last_mp3[0] != content:
            self._last_mp3 = (content, mp3.find_frames(data))
        return self._last_mp3[1]

    def _open(self, file: IO[bytes]) -> Any:
        file.seek(0)
        try:
            return self._soundfile.SoundFile(file)
        except (self._soundfile.SoundFileError, TypeError, ValueError) as error:
            raise RejectedSequence("not readable audio", _message(error)) from None

    def _read(self, sound: Any, num_samples: int, choose: Choose | None) -> tuple[np.ndarray, int]:
        start, stop = self._chosen(num_samples, sound.samplerate, sound.channels, choose)
        return self._samples(sound, start, stop), sound.samplerate

    def _chosen(self, num_samples: int, rate: int, channels: int, choose: Choose | None) -> tuple[int, int]:
        start, stop = (0, num_samples) if choose is None else choose(rate, num_samples)
        check_size(4 * channels * (stop - start), self._max_bytes, "its samples")
        return start, stop

    def _samples(self, sound: Any, start: int, stop: int) -> np.ndarray:
        first = start if sound.seekable() else 0
        try:
            if first:
                sound.seek(first)
            samples = sound.read(stop - first, dtype="float32", always_2d=True)[start - first :]
        except self._soundfile.SoundFileError as error:
            detail = f"cannot be decoded to its end ({_message(error)})"
            raise RejectedSequence("audio cut short", detail) from None
        except (MemoryError, ValueError):
            raise RejectedSequence("not readable audio", f"it announces {sound.frames} samples") from None
        if len(samples) < stop - start:
            raise RejectedSequence("audio cut short", f"{len(samples)} of {stop - start} samples")
        return samples


def _announced(sound: Any, said: SampleBytes, missing: int) -> int | None:
    """How many samples a header says that a file has; None where it does not say."""
    width = _WIDTHS.get(sound.subtype)
    if width is not None:
        return None if said.size is None else (said.size - missing) // (width * sound.channels)
    if said.count is not None and sound.frames - said.count > _MOST_IN_BLOCK:
        detail = f"{sound.frames} samples, its header says {said.count}"
        raise RejectedSequence("audio longer than its header says", detail)
    return said.count


def _message(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip() or type(error).__name__
