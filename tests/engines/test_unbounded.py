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

SECONDS = 5
INTERVAL = 0.1


def record(second):
    return {"id": round(second / INTERVAL), "data": "a" * (1 + round(second / INTERVAL) % 5)}


@pytest.mark.slow
def test_windows_appear_while_prism_reads_on(prism_server, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["test"])
    folder, appeared = str(tmp_path / "train"), {}
    ended = threading.Event()

    def look():
        while not ended.wait(0.1):
            for name in windows(folder):
                appeared.setdefault(name, time.monotonic())

    looking = threading.Thread(target=look)
    looking.start()
    start = time.time()
    options = PipelineOptions([*prism_server.flags, "--streaming", "--environment_type=LOOPBACK"])
    try:
        with beam.Pipeline(options=options) as pipeline:
            (
                pipeline
                | PeriodicImpulse(start, start + SECONDS, INTERVAL)
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
    print(f"{len(appeared)} windows, the first {over - min(appeared.values()):.1f} s before the end")
    first = min(numbers)
    assert sorted(numbers) == [*range(first, first + len(numbers))] and len(numbers) >= SECONDS / INTERVAL
    assert len(appeared) >= 4 and over - min(appeared.values()) > 2
