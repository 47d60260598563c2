from __future__ import annotations

import contextlib
import io
import struct
import sys

import fsspec
import numpy as np
import pytest

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.segment import Described
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

soundfile = pytest.importorskip("soundfile")
RATE = 16000


def tone(seconds=0.5, rate=RATE, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def sound(samples, rate=RATE, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **({"format": "WAV", "subtype": "PCM_16"} | options))
    return buffer.getvalue()


def encoder(base=".", rate=RATE, **options):
    key = DataKey("data", "data", "audio", sample_rate=rate, **options)
    return make_encoder(key, str(base), None, None)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({}, 1e-4),
        ({"subtype": "FLOAT"}, 0),
        ({"endian": "BIG"}, 1e-4),
        ({"format": "FLAC"}, 1e-4),
        ({"format": "AIFF"}, 1e-4),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.2),
    ],
)
def test_samples_of_every_format(options, tolerance):
    array = encoder().encode(sound(tone(), **options))
    assert array.dtype == np.float32
    assert array.shape == tone().shape
    np.testing.assert_allclose(array, tone(), atol=tolerance)


def test_paths_bytes_and_objects_are_the_same(tmp_path):
    (tmp_path / "wav").mkdir()
    data = sound(tone())
    (tmp_path / "wav" / "a.wav").write_bytes(data)
    with fsspec.open("memory://sounds/a.wav", "wb") as file:
        file.write(data)
    values = [
        "wav/a.wav",
        str(tmp_path / "wav" / "a.wav"),
        "memory://sounds/a.wav",
        data,
        {"bytes": data, "path": "elsewhere.wav"},
        {"bytes": None, "path": "wav/a.wav"},
    ]
    audio = encoder(tmp_path)
    block = audio.encode_block(values)
    assert block.lengths.tolist() == [8000] * 6
    np.testing.assert_array_equal(block.values.reshape(6, -1), np.tile(audio.encode(data), (6, 1)))
    assert not audio.converted
    remote = encoder("memory://sounds")
    np.testing.assert_array_equal(remote.encode("a.wav"), audio.encode(data))


def test_other_rates_are_resampled_and_counted():
    audio = encoder()
    array = audio.encode(sound(tone(rate=8000), 8000))
    assert array.shape == (8000,)
    np.testing.assert_allclose(array[500:-500], tone()[500:-500], atol=0.01)
    assert audio.converted == {"resampled": 1}


def test_channels_are_averaged_and_counted():
    audio = encoder()
    stereo = np.stack([tone(), np.zeros_like(tone())], axis=1)
    np.testing.assert_allclose(audio.encode(sound(stereo)), tone() / 2, atol=1e-4)
    audio.encode(sound(stereo[::2], 8000))
    assert audio.converted == {"channels averaged": 2, "resampled": 1}


def test_channels_that_cancel_each_other_are_counted():
    audio = encoder()
    audio.encode(sound(np.stack([tone(), -0.95 * tone()], axis=1)))
    assert audio.converted == {"channels averaged": 1, "channels that cancel each other averaged": 1}


def test_one_channel():
    stereo = sound(np.stack([tone(), tone(hertz=880)], axis=1))
    audio = encoder(channel=1)
    np.testing.assert_allclose(audio.encode(stereo), tone(hertz=880), atol=1e-4)
    assert not audio.converted


@pytest.mark.parametrize(
    ("options", "channels", "value", "reason"),
    [
        ({"channel": 2}, 2, None, "channel not in the file"),
        ({"channel": 1}, 1, None, "channel not in the file"),
        ({}, 2, 0, "channel is not clear"),
        ({}, 2, "A", "channel is not clear"),
    ],
)
def test_channels_that_cannot_be_meant(rejects, options, channels, value, reason):
    data = sound(np.stack([tone()] * channels, axis=1))
    fields = {} if value is None else {"channel": value}
    assert rejects(encoder(**options), Described(data, fields)).reason == reason


def test_segments_of_a_file(tmp_path):
    stereo = np.stack([tone(), tone(hertz=880)], axis=1)
    (tmp_path / "a.flac").write_bytes(sound(stereo, format="FLAC"))
    audio = encoder(tmp_path)
    segment = audio.encode(Described("a.flac", {"offset": 0.1, "duration": 0.2}))
    np.testing.assert_array_equal(segment, audio.encode("a.flac")[1600:4800])
    cut = {"start": 0.1, "duration": 0.2, "channel": 1, "recording": {"sampling_rate": RATE}}
    np.testing.assert_allclose(audio.encode(Described("a.flac", cut)), tone(hertz=880)[1600:4800], atol=1e-4)
    twice = encoder(tmp_path, rate=2 * RATE).encode(Described("a.flac", {"offset": 0.1, "duration": 0.2}))
    assert len(twice) == 6400


def test_a_limit_on_resampled_audio(rejects):
    key = DataKey("data", "data", "audio", sample_rate=64_000)
    audio = make_encoder(key, ".", None, None, max_bytes=100_000)
    assert rejects(audio, sound(tone())).reason == "larger than max_record_size"


def test_what_a_rejected_block_converted_is_not_counted(rejects):
    audio = encoder()
    good = sound(tone(rate=8000), 8000)
    with pytest.raises(RejectedSequence):
        audio.encode_block([good, good, b"bad"])
    assert not audio.converted
    audio.encode_block([good, good])
    assert audio.converted == {"resampled": 2}


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (sound(tone()[:0]), "no samples", ""),
        (b"", "not readable audio", ""),
        (b"not a sound at all", "not readable audio", ""),
        (sound(tone())[:-1000], "audio cut short", "1000 bytes fewer than its header says"),
        (sound(tone())[:44], "audio cut short", "16000 bytes fewer"),
        (sound(tone(), endian="BIG")[:-10], "audio cut short", "10 bytes fewer"),
        (sound(tone(), format="AIFF")[:-10], "audio cut short", "10 bytes fewer"),
        (sound(tone(), format="FLAC")[:-1000], "audio cut short", "cannot be decoded to its end"),
        (sound(np.array([0, np.nan], np.float32), subtype="FLOAT"), "not finite", "NaN"),
        (sound(tone(), 3), "not readable audio", "a sample rate of 3 Hz"),
        ("none.wav", "missing audio file", "none.wav (a relative path starts from"),
        ("x" * 5000, "missing audio file", "xxx"),
        ("a\0b", "missing audio file", "null"),
        ("", "missing audio file", "the path is empty"),
        (".", "not readable audio", "is a directory"),
        (7, "expected audio, found int", "7"),
        (None, "expected audio, found null", "None"),
        ({"array": [1]}, "expected audio, found object", "neither bytes nor a path"),
        ({"path": 3}, "expected audio, found int", "3"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,  # libsndfile writes the time into some
)
def test_bad_audio(rejects, tmp_path, value, reason, detail):
    error = rejects(encoder(tmp_path), value)
    assert error.reason == reason
    assert detail in error.detail


def test_a_wav_from_a_pipe_has_no_size_in_its_header():
    data = bytearray(sound(tone()))
    position = data.index(b"data") + 4
    data[position : position + 4] = struct.pack("<I", 0xFFFFFFFF)
    np.testing.assert_allclose(encoder().encode(bytes(data)), tone(), atol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "AU", "W64", "RF64", "CAF"])
def test_broken_files_are_rejected_or_read(container):
    """Headers that announce any number of samples, any rate, any encoding."""
    random = np.random.default_rng(3)
    data = np.frombuffer(sound(tone(0.05), format=container, subtype=None), np.uint8)
    audio = encoder()
    for _ in range(60):
        broken = data[: random.integers(1, len(data) + 1)].copy()
        broken[random.integers(0, min(len(broken), 200), size=3)] = random.integers(0, 256, size=3)
        with contextlib.suppress(RejectedSequence):
            assert len(audio.encode(broken.tobytes())) > 0


@pytest.mark.parametrize("package", ["soundfile", "soxr", "miniaudio"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SeqmillError, match=rf"{package}.*pip install 'seqmill\[audio\]'"):
        encoder()


def test_preemphasis_comes_before_the_peak_as_in_returnn():
    samples = np.array([0.25, 0.5, -0.25, 0, 0.125])
    emphasized = samples - 0.75 * np.array([0, 0.25, 0.5, -0.25, 0])
    data = sound(samples)
    np.testing.assert_array_equal(encoder(preemphasis=0.75).encode(data), emphasized.astype("f4"))
    both = encoder(preemphasis=0.75, peak_normalization=True).encode(data)
    np.testing.assert_array_equal(both, (emphasized / 0.625).astype("f4"))
    assert np.abs(both).max() == 1


def test_a_peak_of_any_height_becomes_1_and_silence_stays():
    for peak in (1e-30, 1e-3, 1, 3e38):
        data = sound(np.array([0, -peak, peak / 2], "f4"), subtype="FLOAT")
        assert encoder(peak_normalization=True).encode(data).tolist() == [0, -1, 0.5]
    assert encoder(peak_normalization=True).encode(sound(np.zeros(3))).tolist() == [0, 0, 0]
    block = encoder(peak_normalization=True).encode_block([sound(tone()), sound(tone() / 2)])
    assert block.values.max() == 1


def test_what_preemphasis_makes_infinite_is_rejected(rejects):
    data = sound(np.array([3e38, -3e38], "f4"), subtype="FLOAT")
    assert rejects(encoder(preemphasis=1.0), data).reason == "not finite"


def test_sound_in_an_ark_stands_where_its_place_says(tmp_path, rejects):
    one, other = sound(tone()), sound(tone(hertz=300))
    content = b"a " + one + b"b " + other
    (tmp_path / "x.ark").write_bytes(content)
    audio = encoder(tmp_path)
    second = f"x.ark:{len(one) + 4}"
    np.testing.assert_array_equal(audio.encode("x.ark:2"), audio.encode(one))
    np.testing.assert_array_equal(audio.encode(second), audio.encode(other))
    part = Described(second, {"offset": 0.25, "duration": 0.1})
    np.testing.assert_array_equal(audio.encode(part), audio.encode(other)[4000:5600])
    assert list(audio.named_files) == ["x.ark"]
    for place in (0, 3, len(content) - 5, len(content), 10**17):
        assert rejects(audio, f"x.ark:{place}").reason == "no sound at this place of the archive"
    assert rejects(audio, "none.ark:2").reason == "missing audio file"
    small = make_encoder(DataKey("data", "data", "audio"), str(tmp_path), None, None, max_bytes=1000)
    assert rejects(small, "x.ark:2").reason == "larger than max_record_size"
    (tmp_path / "x.ark").write_bytes(content[:-1])
    np.testing.assert_array_equal(audio.encode("x.ark:2"), audio.encode(one))
    assert rejects(audio, second).reason == "audio cut short"
    (tmp_path / "x.ark").write_bytes(b"a " + one[:4] + bytes(4) + one[8:])
    assert rejects(audio, "x.ark:2").reason == "not readable audio"
