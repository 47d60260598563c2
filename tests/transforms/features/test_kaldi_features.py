from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.storage.errors import SeqmillError, UsageError

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("kaldi_native_fbank")


def key(type="log_mel", **options):
    return DataKey("data", "data", type, **options)


def encoder(**options):
    return make_encoder(key(**options), ".", None, None)


def wav(samples, rate):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def noise(num_samples):
    return np.clip(np.random.default_rng(1).normal(size=num_samples) * 0.1, -1, 1)


def kaldi_fbank(samples, rate, num_bins, window, hop, preemphasis=0.97):
    """Kaldi's feature-fbank.cc, feature-window.cc and mel-computations.cc in float64."""
    size, shift = int(rate * window), int(rate * hop)
    padded = 1 << (size - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::shift]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    power = np.abs(np.fft.rfft((frames - preemphasis * previous) * povey, padded)) ** 2
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(rate / 2), num_bins + 2)
    bins = mel(np.arange(padded // 2) * rate / padded)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    return np.log(np.maximum(power[:, :-1] @ filters, np.finfo(np.float32).eps))


@pytest.mark.parametrize(
    ("rate", "num_bins", "window", "hop"),
    [(16000, 80, 0.025, 0.01), (8000, 40, 0.025, 0.01), (16000, 23, 0.032, 0.0125)],
)
def test_the_definition(rate, num_bins, window, hop):
    data = wav(noise(rate), rate)
    log_mel = encoder(sample_rate=rate, num_mel_bins=num_bins, window=window, hop=hop)
    array = log_mel.encode(data)
    samples = np.frombuffer(data[-2 * rate :], np.int16).astype(np.float64)
    expected = kaldi_fbank(samples, rate, num_bins, window, hop)
    assert array.dtype == np.float32
    assert log_mel.feature_shape == (num_bins,)
    assert array.shape == expected.shape
    np.testing.assert_allclose(array, expected, atol=2e-3)


def kaldi_mfcc(log_mel, num_ceps):
    """Kaldi's feature-mfcc.cc in float64, with --use-energy=false."""
    num_bins = log_mel.shape[1]
    number, bins = np.arange(num_ceps)[:, None], np.arange(num_bins)
    dct = np.sqrt(2 / num_bins) * np.cos(np.pi / num_bins * (bins + 0.5) * number)
    dct[0] = np.sqrt(1 / num_bins)
    lifter = 1 + 11 * np.sin(np.pi * np.arange(num_ceps) / 22)
    return log_mel @ dct.T * lifter


@pytest.mark.parametrize(("num_bins", "num_ceps"), [(23, 13), (40, 40)])
def test_the_definition_of_mfcc(num_bins, num_ceps):
    data = wav(noise(8000), 16000)
    defaults = (num_bins, num_ceps) == (23, 13)
    mfcc = encoder(type="mfcc", **({} if defaults else {"num_mel_bins": num_bins, "num_ceps": num_ceps}))
    array = mfcc.encode(data)
    samples = np.frombuffer(data[-2 * 8000 :], np.int16).astype(np.float64)
    expected = kaldi_mfcc(kaldi_fbank(samples, 16000, num_bins, 0.025, 0.01), num_ceps)
    assert (array.dtype, mfcc.feature_shape) == (np.float32, (num_ceps,))
    np.testing.assert_allclose(array, expected, atol=0.02)
    assert (
        array.tobytes()
        == encoder(type="mfcc", num_mel_bins=num_bins, num_ceps=num_ceps).encode(data).tobytes()
    )


def test_preemphasis_of_all_samples_takes_the_place_of_that_of_each_window():
    data = wav(noise(8000), 16000)
    samples = np.frombuffer(data[-2 * 8000 :], np.int16).astype(np.float64)
    filtered = samples - 0.9 * np.concatenate([[0], samples[:-1]])
    expected = kaldi_fbank(filtered, 16000, 80, 0.025, 0.01, preemphasis=0)
    np.testing.assert_allclose(encoder(preemphasis=0.9).encode(data), expected, atol=2e-3)
    plain = kaldi_fbank(samples, 16000, 80, 0.025, 0.01, preemphasis=0)
    np.testing.assert_allclose(encoder(preemphasis=0.0).encode(data), plain, atol=2e-3)


def test_peak_normalization_is_of_the_samples():
    quiet, loud = (wav(samples, 16000) for samples in (noise(8000) / 4, np.sign(noise(8000)) * 0.5))
    for data in (quiet, loud):
        samples = np.frombuffer(data[-2 * 8000 :], np.int16).astype(np.float64)
        samples *= 32768 / np.abs(samples).max()
        expected = kaldi_fbank(samples, 16000, 80, 0.025, 0.01)
        np.testing.assert_allclose(encoder(peak_normalization=True).encode(data), expected, atol=2e-3)


def test_silence_is_the_floor():
    array = encoder().encode(wav(np.zeros(16000), 16000))
    np.testing.assert_allclose(array, np.log(np.finfo(np.float32).eps), rtol=1e-5)


def test_a_block_is_the_same_as_one_by_one_and_the_same_every_time():
    data = [wav(noise(num_samples), 8000) for num_samples in (300, 8000, 4001)]
    log_mel = encoder()
    block = log_mel.encode_block(data)
    arrays = [encoder().encode(item) for item in data]
    assert block.values.tobytes() == b"".join(array.tobytes() for array in arrays)
    assert block.lengths.tolist() == [len(array) for array in arrays]
    assert log_mel.converted == {"resampled": 3}


def test_shorter_than_a_window(rejects):
    assert encoder().encode(wav(noise(400), 16000)).shape == (1, 80)
    error = rejects(encoder(), wav(noise(399), 16000))
    assert error.reason == "shorter than a window"
    assert "399 samples at 16000 Hz" in error.detail
    log_mel = encoder()
    assert rejects(log_mel, wav(noise(100), 8000)).reason == "shorter than a window"
    assert not log_mel.converted
    assert rejects(log_mel, b"").reason == "not readable audio"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"num_mel_bins": 400}, "num_mel_bins = 400 does not fit"),
        ({"num_mel_bins": 2**31 - 1}, "num_mel_bins = 2147483647 does not fit"),
        ({"num_mel_bins": 2}, "num_mel_bins = 2 does not fit"),
        ({"hop": 1e-5}, r"window = 0.025 and hop = 1e-05 are seconds; each must be at least 2 samples"),
        ({"window": 0.0001}, "at least 2 samples"),
    ],
)
def test_options_that_do_not_fit(options, problem):
    with pytest.raises(UsageError, match=problem):
        encoder(**options)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(SeqmillError, match=r"kaldi_native_fbank.*pip install 'seqmill\[audio\]'"):
        encoder()
