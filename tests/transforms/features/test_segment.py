from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.segment import TOLERANCE, Segment, described_by, find_segment
from seqmill.transforms.storage.errors import RejectedSequence

KEY = DataKey("data", "audio", "audio")
NAMED = dataclasses.replace(KEY, offset="begin", duration="len")
RATE = 16000


def find(fields, key=KEY, value="a.wav"):
    return find_segment(key, value, fields)


@pytest.mark.parametrize(
    ("fields", "samples"),
    [
        ({"offset": 1.0, "duration": 0.5}, (16000, 24000)),
        ({"offset": 0, "duration": 1}, (0, 16000)),
        ({"start": 0.1, "duration": 0.2}, (1600, 4800)),
        ({"start": 0.1, "offset": 0.1, "duration": 0.2}, (1600, 4800)),
        ({"offset": 3.0}, (48000, 64000)),
        ({"duration": 1.0}, (0, 16000)),
        ({"duration": 4.02}, (0, 64000)),
        ({"duration": 3.98}, (0, 64000)),  # a rounded length of the whole file
        ({"offset": 0.0, "duration": 3.98}, (0, 63680)),
        ({"offset": 2.0, "duration": 2.04}, (32000, 64000)),
        ({"offset": 0.00003125, "duration": 0.00009375}, (1, 3)),  # halves are rounded up
        ({"offset": np.float32(1), "duration": np.float64(0.5)}, (16000, 24000)),
        ({"offset": "1.0", "duration": " 0.5"}, (16000, 24000)),
    ],
)
def test_seconds_to_samples(fields, samples):
    assert find(fields).samples(RATE, 4 * RATE) == samples


@pytest.mark.parametrize(
    "fields", [{}, {"offset": None, "duration": None}, {"offset": "one", "duration": True}]
)
def test_without_numbers_the_whole_file(fields):
    assert find(fields) is None


@pytest.mark.parametrize("value", [b"RIFF", {"bytes": b"RIFF", "path": "a.wav"}])
def test_bytes_are_whole(value):
    assert find({"offset": 1.0, "duration": 0.5}, value=value) is None
    assert find({"begin": 1.0, "len": 0.5}, NAMED, value) == Segment(1.0, 0.5)
    assert find({"offset": 1.0, "duration": 0.5}, value={"bytes": None, "path": "a.wav"}) == Segment(1.0, 0.5)


def test_named_fields():
    fields = {"begin": 1.0, "len": 0.5, "offset": 7.0, "duration": 8.0}
    assert find(fields, NAMED) == Segment(1.0, 0.5)
    assert find({"offset": 7.0, "duration": 8.0}, NAMED) is None
    off = dataclasses.replace(KEY, offset="none", duration="none")
    assert find(fields, off) is None
    assert set(described_by(NAMED)) == {"begin", "len", "channel", "recording"}
    assert set(described_by(off)) == {"channel", "recording"}
    assert described_by(DataKey("text", "text", "words")) == ()


def test_numbers_in_text():
    assert find({"offset": "1.0", "duration": "0.5"}) == Segment(1.0, 0.5)
    assert find({"offset": "", "duration": "0:30"}) is None


@pytest.mark.parametrize(
    ("key", "fields", "detail"),
    [
        (KEY, {"offset": -0.1, "duration": 1.0}, "offset is -0.1"),
        (KEY, {"offset": 0.0, "duration": 0.0}, "duration is 0"),
        (KEY, {"offset": 0.0, "duration": -1}, "duration is -1"),
        (KEY, {"offset": math.nan, "duration": 1.0}, "offset is nan"),
        (KEY, {"offset": 0.0, "duration": math.inf}, "duration is inf"),
        (KEY, {"offset": 10**400, "duration": 1.0}, "offset is 1000"),
        (KEY, {"offset": 0.0, "start": 1.0, "duration": 1.0}, "offset and start differ"),
        (KEY, {"start": 1.0}, "a start without a duration"),
        (NAMED, {"begin": "x", "len": 1.0}, "expected seconds in begin, found 'x'"),
        (NAMED, {"begin": 1.0, "len": True}, "expected seconds in len, found True"),
    ],
)
def test_fields_that_mean_nothing(key, fields, detail):
    with pytest.raises(RejectedSequence, match="no such segment") as error:
        find(fields, key)
    assert detail in error.value.detail


@pytest.mark.parametrize(
    ("segment", "detail"),
    [
        (Segment(4.1, 1.0), "from 4.1 to 5.1 s of a file of 4 s"),
        (Segment(4.0, 0.01), "no sample from 4 s"),
        (Segment(3.0, 1.0 + 2 * TOLERANCE), "from 3 to 4.1 s"),
        (Segment(1.0, 1e-9), "no sample"),
        (Segment(4.0), "no sample"),
        (Segment(0.0, 5.0, is_whole_file=True), "from 0 to 5 s of a file of 4 s"),
    ],
)
def test_segments_that_are_not_in_the_file(segment, detail):
    with pytest.raises(RejectedSequence, match="no such segment") as error:
        segment.samples(RATE, 4 * RATE)
    assert detail in error.value.detail


def cut(**recording):
    sources = [{"type": "file", "channels": [0], "source": "a.wav"}, {"channels": [2, 1], "source": "b.wav"}]
    return {"start": 0.5, "duration": 0.25, "channel": 0, "recording": {"sources": sources, **recording}}


def test_lhotse_cuts_name_channels():
    assert find(cut()) == Segment(0.5, 0.25, channels=(0,))
    assert find(cut() | {"channel": 1}, value="b.wav").channels == (1,)
    assert find(cut() | {"channel": [1, 2]}, value="b.wav").channels == (1, 0)
    assert find({**cut(), "recording": {}, "channel": 3}).channels == (3,)
    for channel in (1, "left", [0, 1]):
        with pytest.raises(RejectedSequence, match="channel not in the file"):
            find(cut() | {"channel": channel})


def test_lhotse_cuts_describe_their_file():
    segment = find(cut(sampling_rate=RATE, num_samples=4 * RATE))
    assert segment.samples(RATE, 4 * RATE) == (8000, 12000)
    for rate, num_samples in ((8000, 2 * RATE), (RATE, 3 * RATE)):
        with pytest.raises(RejectedSequence, match="not the file described"):
            segment.samples(rate, num_samples)
    with pytest.raises(RejectedSequence, match="recording with transforms"):
        find(cut(transforms=[{"name": "Speed", "kwargs": {"factor": 1.1}}]))
