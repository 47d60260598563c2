"""Stored features of Lhotse: the frames of a cut as ``load_features`` of Lhotse 1.33.0 gave them."""

import numpy as np
import pytest

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey

FRAMES = np.arange(78, dtype="f4").reshape(26, 3)


@pytest.fixture
def encoder(tmp_path):
    (tmp_path / "feats").mkdir()
    np.save(tmp_path / "feats/a.npy", FRAMES)
    return make_encoder(DataKey("x", "x", "floats"), str(tmp_path), None, (3,))


def features(**fields):
    return {
        "frame_shift": 0.01,
        "sampling_rate": 16000,
        "start": 0,
        "num_frames": 26,
        "num_features": 3,
        "storage_type": "numpy_files",
        "storage_path": "feats",
        "storage_key": "a.npy",
        "cut": (0, 0.26),
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({}, range(26)),
        ({"cut": (0.013, 0.046)}, range(1, 6)),
        ({"cut": (0.24, 0.03)}, [24, 25, 25]),  # Lhotse forgives one missing frame
        ({"cut": (0.2501, 0.01)}, [25]),
        ({"start": 1.0, "cut": (1.1, 0.02)}, [10, 11]),
        ({"storage_key": "/a.npy", "cut": [0.0, 0.01]}, [0]),
    ],
)
def test_frames_of_a_cut(encoder, fields, frames):
    block = encoder.encode_block([features(**fields), features()])
    assert block.values[: len(frames)].tolist() == FRAMES[list(frames)].tolist()
    assert list(encoder.named_files) == ["feats/a.npy"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"storage_type": "lilcom_chunky"}, "features in another storage"),
        ({"storage_key": "a"}, "missing array file"),
        ({"frame_shift": 1e200, "sampling_rate": 1e200}, "no such features"),
        ({"sampling_rate": 1e308}, "no such features"),
        ({"sampling_rate": 10**400}, "no such features"),
        ({"storage_key": "b.npy"}, "missing array file"),
        ({"storage_path": None}, "missing array file"),
        ({"num_frames": 25}, "broken array"),
        ({"frame_shift": "0.01"}, "no such features"),
        ({"frame_shift": float("nan")}, "no such features"),
        ({"frame_shift": 0}, "no such features"),
        ({"cut": (0.24, 0.04)}, "no such segment"),
        ({"cut": (0.26, 0.01)}, "no such segment"),
        ({"cut": (0.1, 0.0)}, "no such segment"),
        ({"cut": (-0.1, 0.1)}, "no such segment"),
        ({"cut": (0.1, None)}, "no such segment"),
        ({"cut": None}, "no such segment"),
        ({"cut": (0, 1e300)}, "no such features"),
    ],
)
def test_what_is_rejected(encoder, rejects, fields, reason):
    assert rejects(encoder, features(**fields)).reason == reason
