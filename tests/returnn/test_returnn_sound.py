"""Pre-emphasis, peaks and normalization mean what they mean in RETURNN's ExtractAudioFeatures."""

import io

import numpy as np
import pytest
import soundfile
from returnn.datasets.util.feature_extraction import ExtractAudioFeatures

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.given_norm import read_norms
from seqmill.transforms.features.norm import GivenNorm


@pytest.mark.parametrize("preemphasis", [None, 0.97, 0.5])
@pytest.mark.parametrize("peak_normalization", [False, True])
def test_samples(preemphasis, peak_normalization):
    samples = np.random.default_rng(1).integers(-9000, 9000, 1000, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format="WAV", subtype="PCM_16")
    options = {"preemphasis": preemphasis, "peak_normalization": peak_normalization}
    theirs = ExtractAudioFeatures(features="raw", **options)
    expected = theirs.get_audio_features_from_raw_bytes(io.BytesIO(file.getvalue()))[:, 0]
    ours = make_encoder(DataKey("x", "x", "audio", **options), "", None, None).encode(file.getvalue())
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("norm", ["files", "numbers", "sequence"])
def test_normalized_features(tmp_path, norm):
    frames = np.random.default_rng(1).normal(3, 2, size=(50, 40)).astype("f4")
    given = {"mean": frames.mean(axis=0), "stddev": frames.std(axis=0) + 1}
    if norm == "files":
        for name, values in given.items():
            np.savetxt(tmp_path / f"{name}.txt", values)
        given = {name: str(tmp_path / f"{name}.txt") for name in given}
    elif norm == "numbers":
        given = {"mean": 2.5, "stddev": 0.5}
    else:
        given = {"mean": "per_seq", "stddev": "per_seq"}
    theirs = ExtractAudioFeatures(
        features=lambda **_: frames.copy(), norm_mean=given["mean"], norm_std_dev=given["stddev"]
    )
    expected = theirs.get_audio_features(np.zeros(9), 16000)
    normalization = "sequence" if norm == "sequence" else GivenNorm(**given)
    key = DataKey("x", "x", "floats", normalization=normalization)
    ours = make_encoder(key, "", None, (40,), norm=read_norms([key]).get("x")).encode(frames)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
