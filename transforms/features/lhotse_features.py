"""Features that Lhotse has computed and stored, of which a cut means a part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqmill.transforms.features.array_files import read_named
from seqmill.transforms.features.encoder import shown
from seqmill.transforms.storage.errors import RejectedSequence

_STORAGE = "numpy_files"
_EARLY = 1e-3  # seconds that a cut may begin before its features, as in Lhotse
_MOST = 1e9  # of seconds, of a rate and of a shift: sums and products of these are no trouble
_NUMBERS = ("frame_shift", "sampling_rate", "start", "num_frames", "num_features")


def is_stored(value: Any) -> bool:
    """Whether a value says where Lhotse has stored features."""
    return isinstance(value, Mapping) and "storage_type" in value


def read_stored(
    value: Mapping[str, Any], folder: str, max_bytes: int, named_files: dict[str, str | None]
) -> np.ndarray:
    """The features of a cut, [T, num_features], as Lhotse's ``load_features`` gives them.

    Args:
        value: The ``features`` of a cut, with the cut's own start and duration as ``cut``.
        folder: Folder or URL that a relative path starts from.
        max_bytes: Most bytes of the stored array.
        named_files: See ``read_named``.

    Raises:
        RejectedSequence: They are stored in another way, are not as large as the cut says, or not there.
        OSError: The file system failed.
    """
    path, key = (value.get(name) for name in ("storage_path", "storage_key"))
    if value["storage_type"] != _STORAGE:
        detail = f"{shown(value['storage_type'])}; only {_STORAGE} are read, as cuts.copy_feats writes them"
        raise RejectedSequence("features in another storage", detail)
    if not isinstance(path, str) or not isinstance(key, str) or not key.endswith(".npy"):
        raise RejectedSequence("missing array file", f"{shown(path)}, {shown(key)}; expected a .npy file")
    if not all(_is_number(value.get(name)) for name in _NUMBERS):
        raise RejectedSequence("no such features", f"expected numbers in {', '.join(_NUMBERS)}")
    cut = value.get("cut")
    if not isinstance(cut, list | tuple) or len(cut) != 2 or not all(map(_is_number, cut)):
        detail = f'found {shown(cut)}; expected the start and duration of a cut (format = "lhotse")'
        raise RejectedSequence("no such segment", detail)
    array = read_named(f"{path}/{key.removeprefix('/')}", folder, max_bytes, named_files)
    said = (value["num_frames"], value["num_features"])
    if array.shape != said:
        detail = f"{key}: found shape {list(array.shape)}, the cut says {list(said)}"
        raise RejectedSequence("broken array", detail)
    return _part(array, value, *cut)


def _part(array: np.ndarray, features: Mapping[str, Any], start: float, duration: float) -> np.ndarray:
    """The frames that a cut means. Lhotse forgives one that is missing at the end, and so is it here."""
    before = start - features["start"]
    if before < -_EARLY:
        detail = f"from {start:g} s of features from {features['start']:g} s on"
        raise RejectedSequence("no such segment", detail)
    first = 0 if math.isclose(start, features["start"]) else _num_frames(before, features)
    wanted = _num_frames(duration, features)
    part = array[first : first + wanted]
    if wanted < 1 or len(part) < max(wanted - 1, 1):
        detail = f"frames {first} to {first + wanted} of {len(array)}"
        raise RejectedSequence("no such segment", detail)
    return part if len(part) == wanted else np.concatenate([part, part[-1:]])


def _num_frames(seconds: float, features: Mapping[str, Any]) -> int:
    """Lhotse's ``compute_num_frames``."""
    rate, shift = features["sampling_rate"], features["frame_shift"]
    hop = round(shift * rate) if 0 < rate < _MOST and 0 < shift < _MOST else 0
    if hop < 1 or not 0 <= seconds < _MOST:
        detail = f"{seconds:g} s in frames of {shift:g} s at {rate:g} Hz"
        raise RejectedSequence("no such features", detail)
    return int((round(seconds * rate) + hop // 2) // hop)


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 1 << 63)
