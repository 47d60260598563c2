"""An unbounded read on a real runner: its windows appear while it runs, and a training follows them."""

import threading
import time

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.read_batches import read_epoch
from seqmill.transforms.batches.stream import windows
from seqmill.transforms.beam import EncodeSequences, PreBatchWindows

INTERVAL = 0.1


def record(second):
    return {"id": round(second / INTERVAL), "data": "a" * (1 + round(second / INTERVAL) % 5)}


@pytest.mark.slow
def test_windows_appear_while_prism_reads_on(prism_server, tmp_path, monkeypatch):
    """However long it takes a shared machine to begin to read."""
    monkeypatch.setattr("sys.argv", ["test"])
    assert any(first_windows_are_early(prism_server, str(tmp_path / f"{s}"), s) for s in (5, 20, 80))


def first_windows_are_early(engine, folder, seconds):
    """Whether windows of one second each came long before the end of a source that lasts some seconds."""
    appeared = {}
    ended = threading.Event()

    def look():
        while not ended.wait(0.1):
            for name in windows(folder):
                appeared.setdefault(name, time.monotonic())

    looking = threading.Thread(target=look)
    looking.start()
    start = time.time()
    options = PipelineOptions([*engine.flags, "--streaming", "--environment_type=LOOPBACK"])
    try:
        with beam.Pipeline(options=options) as pipeline:
            (
                pipeline
                | PeriodicImpulse(start, start + seconds, INTERVAL)
                | beam.Map(record)
                | beam.WindowInto(beam.window.FixedWindows(1))
                | EncodeSequences({"data": {"type": "bytes"}}, order_by="id")
                | PreBatchWindows(folder, {"max_seqs": 4})
            )
        over = time.monotonic()
        time.sleep(0.3)
    finally:
        ended.set()
        looking.join()
    numbers = []
    for name in windows(folder):
        content = manifest.read(f"{folder}/{name}")
        numbers += [
            int(t) for b in read_epoch(f"{folder}/{name}", content, content.epochs[0]) for t in b.seq_tags
        ]
    before_end = over - min(appeared.values(), default=over)
    print(f"{len(appeared)} windows, the first {before_end:.1f} s before the end")
    first = min(numbers)
    assert sorted(numbers) == [*range(first, first + len(numbers))] and len(numbers) >= seconds / INTERVAL
    return len(appeared) >= 4 and before_end > 2
