"""Which part of a sound file a record means: segments of NeMo-like manifests and Lhotse-like cuts.

A manifest of one recording and many segments names the same file in every record; what a record means is
decided by its ``offset`` or ``start`` and its ``duration``, in seconds, also where they are text as in a
table. Samples are counted at the file's rate, before resampling: the first is offset * rate, their number
duration * rate, both rounded to the nearest whole number (halves up).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import AUDIO_TYPES, DataKey
from seqmill.transforms.features.encoder import shown
from seqmill.transforms.storage.errors import RejectedSequence

TOLERANCE = 0.05
"""Seconds by which times in a manifest, which are rounded, may lie beyond the end of a file."""

OFF = "none"
_STARTS, _DURATION = ("offset", "start"), "duration"
_MOST_SECONDS = 1e9
_NOT_MEANT = "no such segment"


@dataclass(frozen=True)
class Described:
    """The value of a field with other fields of its record that say what it means.

    Attributes:
        value: The value.
        fields: Those of the other fields that the record has.
    """

    value: Any
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Segment:
    """A part of a sound file, and what a record says about the file.

    Attributes:
        start: Seconds before it.
        duration: Its seconds; None for all up to the end.
        is_whole_file: Whether ``duration`` may be that of the whole file, rounded.
        channels: The channels that are meant; None for all.
        rate: The file's rate, if the record tells.
        num_samples: The file's number of samples, if the record tells.
    """

    start: float = 0.0
    duration: float | None = None
    is_whole_file: bool = False
    channels: tuple[int, ...] | None = None
    rate: int | None = None
    num_samples: int | None = None

    def samples(self, rate: int, num_samples: int) -> tuple[int, int]:
        """The first sample and the one behind the last, of a file of ``num_samples`` at ``rate``.

        Raises:
            RejectedSequence: The segment is not in the file, or the file is not the one described.
        """
        length, spare = num_samples / rate, math.ceil(TOLERANCE * rate)
        if self.rate not in (None, rate):
            raise RejectedSequence("not the file described", f"{rate} Hz, the record says {self.rate} Hz")
        if self.num_samples is not None and abs(self.num_samples - num_samples) > spare:
            detail = f"{num_samples} samples, the record says {self.num_samples}"
            raise RejectedSequence("not the file described", detail)
        if self.start > length or (self.duration or 0) > length - self.start + TOLERANCE:
            end = "" if self.duration is None else f" to {self.start + self.duration:g}"
            detail = f"from {self.start:g}{end} s of a file of {length:g} s"
            raise RejectedSequence(_NOT_MEANT, detail)
        start = _nearest(self.start * rate)
        stop = num_samples if self.duration is None else start + _nearest(self.duration * rate)
        if stop > num_samples or (self.is_whole_file and num_samples - stop <= spare):
            stop = num_samples
        if stop <= start:
            raise RejectedSequence(_NOT_MEANT, f"no sample from {self.start:g} s of a file of {length:g} s")
        return start, stop


def described_by(key: DataKey) -> tuple[str, ...]:
    """Names of the fields, beside the key's own, that may say which part of a file a record means."""
    if key.type not in AUDIO_TYPES:
        return ()
    starts = _STARTS if key.offset is None else (key.offset,)
    durations = (key.duration or _DURATION,)
    return (*(name for name in (*starts, *durations) if name != OFF), "channel", "recording")


def find_segment(key: DataKey, value: Any, fields: Mapping[str, Any]) -> Segment | None:
    """The part of a file that a record means; None for the whole file.

    Where the key does not name the fields, numbers (or their text) in ``offset`` or ``start`` and
    ``duration`` are heeded, if the value is a path.

    Args:
        key: The data key.
        value: Its value: a path, bytes, or an object with one of both.
        fields: Those of ``described_by`` that the record has.

    Raises:
        RejectedSequence: The fields say nothing that can be meant.
    """
    if isinstance(value, Mapping) and value.get("bytes") is None:
        value = value.get("path")
    is_path = isinstance(value, str)
    start, start_name = _start(key, fields, is_path)
    duration = _seconds(key.duration or _DURATION, fields, key.duration is not None, is_path)
    if duration is not None and duration <= 0:
        raise RejectedSequence(_NOT_MEANT, f"{key.duration or _DURATION} is {duration:g}")
    if start_name == "start" and key.offset is None and duration is None:
        detail = "a start without a duration; the options offset and duration say which fields hold them"
        raise RejectedSequence(_NOT_MEANT, detail)
    recording = fields.get("recording") if is_path else None
    described = _of_recording(recording, value, fields) if isinstance(recording, Mapping) else {}
    if start is None and duration is None and not described:
        return None
    return Segment(start or 0.0, duration, is_whole_file=start is None, **described)


def _start(key: DataKey, fields: Mapping[str, Any], is_path: bool) -> tuple[float | None, str]:
    if key.offset is not None:
        found = {key.offset: _seconds(key.offset, fields, True, is_path)}
    else:
        found = {name: _seconds(name, fields, False, is_path) for name in _STARTS}
    given = {name: seconds for name, seconds in found.items() if seconds is not None}
    if not given:
        return None, ""
    if len(set(given.values())) > 1:
        raise RejectedSequence(_NOT_MEANT, f"offset and start differ: {given}; the option offset chooses one")
    name, start = next(iter(given.items()))
    if start < 0:
        raise RejectedSequence(_NOT_MEANT, f"{name} is {start:g}")
    return start, name


def _seconds(name: str, fields: Mapping[str, Any], is_named: bool, is_path: bool) -> float | None:
    """The seconds in a field, a number or its text; None where the record has none there."""
    value: Any = fields.get(name) if name != OFF and (is_path or is_named) else None
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value) if value.strip() else None
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in (int, float):
        if not abs(value) < _MOST_SECONDS:
            raise RejectedSequence(_NOT_MEANT, f"{name} is {shown(value)}")
        return float(value)
    if value is not None and is_named:
        raise RejectedSequence(_NOT_MEANT, f"expected seconds in {name}, found {shown(value)}")
    return None


def _of_recording(recording: Mapping[str, Any], path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a Lhotse-like cut says about its file."""
    if recording.get("transforms"):
        raise RejectedSequence("recording with transforms", shown(recording["transforms"]))
    rate, num_samples = recording.get("sampling_rate"), recording.get("num_samples")
    return {
        "channels": _channels(fields.get("channel"), recording, path),
        "rate": rate if type(rate) is int else None,
        "num_samples": num_samples if type(num_samples) is int else None,
    }


def _channels(wanted: Any, recording: Mapping[str, Any], path: str) -> tuple[int, ...] | None:
    """Positions in the file of the channels that a cut names; a source lists those that its file holds."""
    if wanted is None:
        return None
    wanted = list(wanted) if isinstance(wanted, list | tuple | np.ndarray) else [wanted]
    sources = recording.get("sources")
    held = None
    for source in sources if isinstance(sources, list | tuple) else ():
        if isinstance(source, Mapping) and source.get("source") == path:
            held = source.get("channels")
    try:
        return tuple(operator.index(c) if held is None else list(held).index(c) for c in wanted)
    except (TypeError, ValueError):
        detail = f"{shown(wanted)}, it holds {shown(held)}"
        raise RejectedSequence("channel not in the file", detail) from None


def _nearest(samples: float) -> int:
    # Seconds in decimals are not exact in binary; eight places are, for every length that fits a file.
    return math.floor(round(samples, 8) + 0.5)
