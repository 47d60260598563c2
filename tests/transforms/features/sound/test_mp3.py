from __future__ import annotations

import io
import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from sounds import RATE, decoded, noise, part, written

from seqmill.transforms.features.sound import mp3
from seqmill.transforms.storage.errors import RejectedSequence


def frames(data):
    """The frames of an MP3 that begins with one, the Info frame first."""
    starts = mp3.find_frames(data).starts
    first = data[: starts[0]]
    return first, [data[start:end] for start, end in pairwise(starts)]


def rejection(data):
    with pytest.raises(RejectedSequence) as error:
        decoded(data)
    return error.value


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_samples_beside_another_decoder(rate, channels, mode):
    data = written(noise(30_001, channels), "MP3", rate=rate, bitrate_mode=mode, compression_level=0.6)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    samples = decoded(data)
    assert samples.shape == expected.shape == (30_001, channels)
    np.testing.assert_allclose(samples, expected, atol=1e-4)
    random = np.random.default_rng(0)
    for start, stop in np.sort(random.integers(0, 30_002, (10, 2))).tolist():
        np.testing.assert_array_equal(decoded(data, part(start, stop)), samples[start:stop])


def test_without_an_info_frame_all_that_the_frames_hold():
    first, rest = frames(written(noise(), "MP3", bitrate_mode="VARIABLE", compression_level=0.6))
    assert b"Xing" in first
    samples = decoded(b"".join(rest))
    assert len(samples) == len(rest) * 576
    np.testing.assert_array_equal(samples[576 + 529 : 576 + 529 + 20_000], decoded(first + b"".join(rest)))


def test_tags_are_no_samples():
    data = written(noise(), "MP3")
    id3 = b"ID3\x03\0\0\0\0\x0f\x76" + b"\xff\xfb" * 1019
    tagged = (
        id3 + data + b"APETAGEX" + struct.pack("<IIII8x", 2000, 64, 1, 0) + bytes(64) + b"TAG" + bytes(125)
    )
    np.testing.assert_array_equal(decoded(tagged), decoded(data))


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        (lambda first, rest: first + b"".join(rest[:-1]), "audio cut short", "frames, 36 are there"),
        (lambda first, rest: first + b"".join(rest + rest), "audio longer than", "74 are there"),
        (
            lambda first, rest: b"".join(rest[:5]) + b"junk" + b"".join(rest[5:]),
            "damaged audio",
            "4 bytes at",
        ),
        (lambda first, rest: b"junk" + b"".join(rest), "not readable audio", "not recognised"),
        (lambda first, rest: first[:50] + b"".join(rest[5:]), "damaged audio", "bytes at byte"),
        (lambda first, rest: b"".join(rest)[:-10], "audio cut short", "lacks 10 bytes"),
        (lambda first, rest: b"".join(rest) + b"\xff\xf3", "audio cut short", "2 bytes"),
        (lambda first, rest: b"".join(rest[3:]), "damaged audio", "samples can be decoded"),
    ],
)
def test_damaged_files(change, reason, detail):
    first, rest = frames(written(noise(), "MP3", bitrate_mode="CONSTANT"))
    error = rejection(change(first, rest))
    assert error.reason.startswith(reason)
    assert detail in error.detail


def test_another_rate_in_the_middle():
    first, rest = frames(written(noise(), "MP3"))
    _, other = frames(written(noise(), "MP3", rate=24000))
    assert rejection(first + b"".join(rest + other)).reason == "audio changes its format"


def test_no_samples_are_asked_for():
    assert decoded(written(noise(), "MP3", rate=RATE), part(5, 5)).shape == (0, 1)
