"""MP3: what its frames hold, counted here, and their samples.

MP3 has no length: headers that give one (Xing, Info) are optional and may be wrong, and decoders guess
without them and pass over what they cannot read. Frames, though, name their own length, so they are walked
one by one and what the decoder delivers is compared with their number.

Encoders put silence around the samples. Where the Info frame tells how much (as LAME and FFmpeg write it),
that and the decoder's own delay of 529 samples are cut off; without one nothing is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.transforms.storage.errors import RejectedSequence

_DECODER_DELAY = 529
_MPEG1, _MPEG2, _MPEG25 = 3, 2, 0
_RATES = {_MPEG1: (44100, 48000, 32000), _MPEG2: (22050, 24000, 16000), _MPEG25: (11025, 12000, 8000)}
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_WARM_UP_BYTES = 1024  # a frame may use up to 511 bytes of data from those before it
_WARM_UP_FRAMES = 4  # and overlaps with the one before


@dataclass(frozen=True)
class Frames:
    """The frames of a file.

    Attributes:
        starts: Byte of each frame that holds samples, and last the byte behind them.
        rate: Samples per second.
        num_channels: 1 or 2.
        frame_size: Samples of a frame.
        before: Samples to cut off at the beginning.
        num_samples: Samples that remain.
    """

    starts: list[int]
    rate: int
    num_channels: int
    frame_size: int
    before: int
    num_samples: int


def is_mp3(data: bytes) -> bool:
    """Whether a file begins as MP3 does, behind ID3 tags."""
    return _header(data, _first_frame(data)) is not None


def find_frames(data: bytes) -> Frames:
    """Walks over the frames of a file.

    Raises:
        RejectedSequence: A frame is cut off or is none, frames differ in what they are, or their number is
            not the one in the file's Info frame.
    """
    position = _first_frame(data)
    first = _header(data, position)
    if first is None:
        raise RejectedSequence("not readable audio", f"no MP3 frame at byte {position}")
    starts = []
    while (header := _header(data, position)) is not None:
        if header.kind != first.kind:
            detail = f"at byte {position} it changes from {first.shown} to {header.shown}"
            raise RejectedSequence("audio changes its format", detail)
        if position + header.size > len(data):
            missing = position + header.size - len(data)
            raise RejectedSequence("audio cut short", f"its last frame lacks {missing} bytes")
        starts.append(position)
        position = _skip_tags(data, position + header.size)
    _check_rest(data, position)
    end = starts[-1] + _size_at(data, starts[-1])
    info = _info(data, starts[0], first)
    if info is None:
        num_samples = len(starts) * first.frame_size
        return Frames([*starts, end], first.rate, first.num_channels, first.frame_size, 0, num_samples)
    num_frames, before, after = info
    starts = starts[1:]
    if num_frames is not None and num_frames != len(starts):
        detail = f"its header says {num_frames} frames, {len(starts)} are there"
        reason = "audio cut short" if num_frames > len(starts) else "audio longer than its header says"
        raise RejectedSequence(reason, detail)
    num_samples = max(0, len(starts) * first.frame_size - before - after)
    return Frames([*starts, end], first.rate, first.num_channels, first.frame_size, before, num_samples)


def read_samples(miniaudio: Any, data: bytes, frames: Frames, start: int, stop: int) -> np.ndarray:
    """Samples ``start`` to ``stop``, float32 [stop - start, num_channels].

    Only the frames that are needed are decoded, and a few before them.

    Raises:
        RejectedSequence: The decoder gives fewer.
    """
    if stop <= start:
        return np.empty((0, frames.num_channels), np.float32)
    size = frames.frame_size
    first, last = (start + frames.before) // size, (stop + frames.before - 1) // size
    warm = _warm_up(frames.starts, first)
    try:
        sound = miniaudio.mp3_read_f32(data[frames.starts[warm] : frames.starts[last + 1]])
    except miniaudio.MiniaudioError as error:
        raise RejectedSequence("not readable audio", str(error)) from None
    samples = np.frombuffer(sound.samples, np.float32).reshape(-1, sound.nchannels)
    expected = (last + 1 - first) * size
    if (sound.nchannels, sound.sample_rate) != (frames.num_channels, frames.rate) or len(samples) < expected:
        detail = f"{len(samples)} samples can be decoded from {last + 1 - warm} frames of {size}"
        raise RejectedSequence("damaged audio", detail)
    # What is missing for want of earlier data is missing at the beginning.
    samples = samples[len(samples) - expected :]
    begin = start + frames.before - first * size
    return samples[begin : begin + stop - start]


@dataclass(frozen=True)
class _Header:
    version: int
    rate: int
    num_channels: int
    size: int
    frame_size: int

    @property
    def kind(self) -> tuple[int, int, int]:
        return self.version, self.rate, self.num_channels

    @property
    def shown(self) -> str:
        return f"{self.rate} Hz with {self.num_channels} channels"


def _header(data: bytes, position: int) -> _Header | None:
    head = data[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # layer III only
        return None
    version = head[1] >> 3 & 3
    kbits_index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or kbits_index in (0, 15) or rate_index == 3:
        return None
    rate = _RATES[version][rate_index]
    kbits = (_KBITS_1 if version == _MPEG1 else _KBITS_2)[kbits_index]
    size = (144 if version == _MPEG1 else 72) * kbits * 1000 // rate + (head[2] >> 1 & 1)
    num_channels = 1 if head[3] >> 6 == 3 else 2
    return _Header(version, rate, num_channels, size, 1152 if version == _MPEG1 else 576)


def _size_at(data: bytes, position: int) -> int:
    header = _header(data, position)
    assert header is not None
    return header.size


def _first_frame(data: bytes) -> int:
    """Where frames should begin: behind tags, which zeros may follow."""
    position = _skip_tags(data, 0)
    return len(data) - len(data[position:].lstrip(b"\0"))


def _skip_tags(data: bytes, position: int) -> int:
    """Behind the tags (ID3, APE) that begin at ``position``."""
    while True:
        if data[position : position + 3] == b"ID3" and position + 10 <= len(data):
            bits = data[position + 6 : position + 10]
            size = bits[0] << 21 | bits[1] << 14 | bits[2] << 7 | bits[3]
            position += 10 + size + (10 if data[position + 5] & 0x10 else 0)
        elif data[position : position + 3] == b"TAG":
            position += 128
        elif data[position : position + 8] == b"APETAGEX" and position + 32 <= len(data):
            (size,) = struct.unpack_from("<I", data, position + 12)
            position += size + (32 if data[position + 23] & 0x20 else 0)
        else:
            return position


def _check_rest(data: bytes, position: int) -> None:
    """Refuses a file whose frames go on behind something else."""
    found = position
    while (found := data.find(b"\xff", found + 1)) >= 0:
        header = _header(data, found)
        if header is not None and _header(data, found + header.size) is not None:
            raise RejectedSequence(
                "damaged audio", f"{found - position} bytes at byte {position} are no MP3 frame"
            )
    if data[position : position + 1] == b"\xff" and len(data) - position < 4:
        raise RejectedSequence("audio cut short", f"its last frame has {len(data) - position} bytes")


def _info(data: bytes, position: int, header: _Header) -> tuple[int | None, int, int] | None:
    """Of an Info frame: number of frames, samples to cut off before and after. None for other frames."""
    side = (17 if header.num_channels == 1 else 32) if header.version == _MPEG1 else 0
    side = side or (9 if header.num_channels == 1 else 17)
    frame = data[position : position + header.size]
    at = 4 + side
    if frame[at : at + 4] not in (b"Xing", b"Info") or len(frame) < at + 8:
        return None
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    at += 8
    num_frames = None
    if flags & 1 and len(frame) >= at + 4:
        (num_frames,) = struct.unpack_from(">I", frame, at)
    at += 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    gap = frame[at + 21 : at + 24]
    if len(gap) < 3 or not frame[at : at + 4].isalnum():
        return num_frames, 0, 0
    delay, padding = gap[0] << 4 | gap[1] >> 4, (gap[1] & 15) << 8 | gap[2]
    return num_frames, delay + _DECODER_DELAY, max(0, padding - _DECODER_DELAY)


def _warm_up(starts: list[int], first: int) -> int:
    """The frame to begin decoding with, so that frame ``first`` is decoded whole."""
    warm = max(0, first - _WARM_UP_FRAMES)
    while warm > 0 and starts[first] - starts[warm] < _WARM_UP_BYTES:
        warm -= 1
    return warm
