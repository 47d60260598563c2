"""A pipeline that is killed at any moment, and run again, leaves what one that was not killed leaves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from seqmill.transforms.beam import EncodeSequences, PreBatch

OPTIONS = {"max_seqs": 2, "num_epochs": 3, "seq_ordering": "random", "num_shards": 8}


def write(folder: Path | str) -> None:
    rng = np.random.default_rng(1)
    records = [{"id": number, "data": rng.integers(0, 9, 200)} for number in range(200)]
    encode = EncodeSequences({"data": {"type": "ints"}}, order_by="id")
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        pipeline | beam.Create(records) | encode | PreBatch(f"{folder}/epochs/train", OPTIONS)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def killed_when(parent: Path, pattern: str) -> Path:
    """Runs the pipeline in a process that is killed as soon as a file is there; gives the folder.

    Where that came too late, as on a machine that is shared, another one in another folder.
    """
    for attempt in range(20):
        folder = parent / f"killed-{attempt}"
        process = (
            subprocess.Popen(  # not a fork: gRPC, which other tests have begun to use, does not survive it
                [sys.executable, "-c", f"import sys, {__name__} as tests; tests.write(sys.argv[1])", folder],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
            )
        )
        while process.poll() is None and not list(folder.glob(pattern)):
            time.sleep(0.001)
        process.kill()
        process.wait()
        assert list(folder.glob(pattern))
        if not (folder / "epochs/train/epoch-0003/manifest.json").exists():
            return folder
    raise AssertionError("always too late")


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("epochs/train/.store/staged/*.arrow", marks=pytest.mark.long),
        pytest.param("epochs/train/.store/manifest.json", marks=pytest.mark.long),
        "epochs/train/epoch-0002/batches-00003-*.tfrecord",
    ],
)
def test_a_killed_pipeline_is_finished_by_another(tmp_path, pattern):
    write(tmp_path / "whole")
    killed = killed_when(tmp_path, pattern)
    there = {path: path.stat().st_mtime_ns for path in killed.rglob("batches-*.tfrecord")}
    write(killed)
    assert files(killed) == files(tmp_path / "whole")
    again = [path for path, time in there.items() if path.stat().st_mtime_ns != time]
    assert len(again) <= 1  # that of which the receipt was still to come
