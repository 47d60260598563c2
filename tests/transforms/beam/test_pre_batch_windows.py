"""Windows and panes of an unbounded collection, each once, whatever comes late or twice."""

import time

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing import test_stream
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.batches.stream import consume, windows
from seqmill.transforms.beam import EncodeSequences, PreBatchWindows
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.store.staging import remove_staged_before

KEYS = {"data": {"type": "bytes"}}
ENCODE = EncodeSequences(KEYS, order_by="id")
ON_TIME = AfterWatermark(late=AfterCount(1))
FIRST, SECOND = "19700101T000010.000Z", "19700101T000020.000Z"


def at(second, *numbers):
    return [TimestampedValue({"id": number, "data": "a" * (1 + number % 5)}, second) for number in numbers]


def tags(folder):
    """Per window the tags of its sequences."""
    found = {}
    for name in windows(str(folder)):
        content = manifest.read(f"{folder}/{name}")
        batches = list(read_epoch(f"{folder}/{name}", content, content.epochs[0]))
        found[name] = sorted(int(tag) for batch in batches for tag in batch.seq_tags)
    return found


def stream_of_panes():
    stream = test_stream.TestStream().advance_watermark_to(0)
    stream = stream.add_elements(at(1, 1, 2)).add_elements(at(2, 3)).add_elements(at(12, 4))
    stream = stream.advance_watermark_to(11)  # the first window ends
    stream = stream.add_elements(at(3, 5, 6))  # late, but allowed
    stream = stream.advance_watermark_to(15).add_elements(at(13, 7))
    stream = stream.advance_watermark_to(60)
    return stream.add_elements(at(4, 99)).advance_watermark_to_infinity()  # far too late


def run(folder, windowing, options=None):
    with beam.Pipeline(BundleBasedDirectRunner(), PipelineOptions(streaming=True)) as pipeline:
        (
            pipeline
            | stream_of_panes()
            | windowing
            | ENCODE
            | PreBatchWindows(str(folder), {"max_seqs": 2, **(options or {})})
        )


def panes_of(trigger):
    return beam.WindowInto(
        FixedWindows(10), trigger=trigger, accumulation_mode=AccumulationMode.DISCARDING, allowed_lateness=30
    )


def test_late_data_are_the_next_panes(tmp_path):
    run(tmp_path / "train", panes_of(AfterWatermark(late=AfterCount(1))))
    found = tags(tmp_path / "train")
    assert found[f"{FIRST}-00000"] == [1, 2, 3] and found[f"{SECOND}-00000"] == [4, 7]
    late = [
        number
        for name, numbers in found.items()
        if name > f"{FIRST}-00000" and name < SECOND
        for number in numbers
    ]
    assert sorted(late) == [5, 6]
    assert not list((tmp_path / "train").glob(".tmp-*"))


def test_early_panes_are_windows_too_and_nothing_comes_twice(tmp_path):
    run(tmp_path / "train", panes_of(AfterWatermark(early=AfterCount(1), late=AfterCount(1))))
    found = tags(tmp_path / "train")
    assert len(found) > 3
    assert sorted(number for numbers in found.values() for number in numbers) == [1, 2, 3, 4, 5, 6, 7]


def test_a_bundle_that_is_tried_again_publishes_nothing_twice(tmp_path):
    """The DoFn itself, as a runner calls it a second time with the same staged files."""
    from apache_beam.transforms.window import IntervalWindow
    from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN

    from seqmill.transforms.beam.pre_batch_windows import _Write
    from seqmill.transforms.store.staging import Stager

    folder = str(tmp_path / "train")
    window = IntervalWindow(0, 10)

    def staged(*numbers):
        stager = Stager(folder)
        stager.add(ENCODE.block([{"id": number, "data": "a"} for number in numbers]))
        stager.close()
        return stager.name

    write = _Write(folder, {"max_seqs": 2, "max_rejected": 1.0})
    first, second = [staged(1)], [staged(2)]
    kept = [staged(3), staged(4)]
    (one,) = write.process((0, first), window, PANE_INFO_UNKNOWN)
    assert [again.folder for again in write.process((0, first), window, PANE_INFO_UNKNOWN)] == [one.folder]
    (other,) = write.process((0, second), window, PANE_INFO_UNKNOWN)  # a runner that numbers no panes
    assert tags(folder) == {f"{FIRST}-00000": [1], f"{FIRST}-00001": [2]}
    consume(folder, f"{FIRST}-00000")
    assert list(write.process((0, first), window, PANE_INFO_UNKNOWN)) == []
    assert other.manifest.counts.kept == 1
    list(write.process((0, kept), window, PANE_INFO_UNKNOWN))
    assert tags(folder) == {f"{FIRST}-00001": [2], f"{FIRST}-00002": [3, 4]}
    assert list((tmp_path / "train/staged").iterdir()) == []


def test_a_pane_of_which_nothing_is_left_does_not_appear(tmp_path):
    run(tmp_path / "train", panes_of(ON_TIME), {"min_seq_length": 9})
    assert windows(str(tmp_path / "train")) == []
    (staged,) = (tmp_path / "train/staged").glob("*.json")  # of what came too late
    remove_staged_before(str(tmp_path / "train"), staged.stat().st_mtime - 1)
    assert staged.exists()
    remove_staged_before(str(tmp_path / "train"), time.time() + 1)
    assert list((tmp_path / "train/staged").iterdir()) == []


def test_what_cannot_be_windows_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"options\['num_epochs'\]: found 2; expected 1"):
        PreBatchWindows(str(tmp_path), {"max_seqs": 2, "num_epochs": 2})
    records = [{"id": 1, "data": "a"}]
    with pytest.raises(UsageError, match="found a collection without windows"):
        records | ENCODE | PreBatchWindows(str(tmp_path), {"max_seqs": 2})
    accumulating = beam.WindowInto(
        FixedWindows(10), trigger=ON_TIME, accumulation_mode=AccumulationMode.ACCUMULATING
    )
    with pytest.raises(UsageError, match="found accumulation_mode ACCUMULATING"):
        run(tmp_path / "train", accumulating)
    with pytest.raises((SeqmillError, RuntimeError), match="holds the epochs of a corpus"):
        (tmp_path / "train").mkdir()
        (tmp_path / "train/manifest.json").touch()
        run(tmp_path / "train", panes_of(ON_TIME))
