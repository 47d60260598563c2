"""A real Dask cluster: a scheduler and two workers, one of which is killed in the middle of the run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONFIG = """
output = "out"
batch_size = 400
seq_ordering = "random"
num_epochs = 3
num_shards = 8

[data.data]
type = "ints"

[corpus.train]
format = "jsonl"
files = ["train.jsonl"]
[corpus.dev]
format = "jsonl"
files = ["dev.jsonl"]
"""


@pytest.fixture
def cluster():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    python = [sys.executable, "-m"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    scheduler = subprocess.Popen(
        [
            *python,
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--no-dashboard",
        ],
        **quiet,
    )
    worker = [
        *python,
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--no-nanny",
    ]
    workers = [subprocess.Popen(worker, **quiet) for _ in range(2)]
    _wait_for_workers(address, 2)
    yield address, workers
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


def _wait_for_workers(address, number):
    from distributed import Client

    with Client(address, timeout=60) as client:
        client.wait_for_workers(number, timeout=60)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(tmp_path, cluster):
    address, workers = cluster
    for name, num_seqs in (("train", 30000), ("dev", 300)):
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            for i in range(num_seqs):
                file.write(json.dumps({"data": list(range(1 + i % 37))}) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    seqmill = [sys.executable, "-m", "seqmill.pipelines.main"]
    dask_flags = [
        "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
        f"--dask_client_address={address}",
    ]
    subprocess.run([*seqmill, "ingest", tmp_path / "config.toml"], check=True)
    run = subprocess.Popen([*seqmill, "preprocess", tmp_path / "config.toml", *dask_flags])
    epochs = tmp_path / "out/epochs/train"
    deadline = time.monotonic() + 120
    while not list(epochs.glob("epoch-*/receipts/*.json")) and time.monotonic() < deadline:
        assert run.poll() is None, "the run ended before a worker could be killed"
        time.sleep(0.01)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert run.wait(timeout=180) == 0
    subprocess.run([*seqmill, "verify", tmp_path / "out"], check=True)

    subprocess.run(
        [*seqmill, "preprocess", tmp_path / "config.toml", f"--output={tmp_path / 'local'}"], check=True
    )
    assert _content(tmp_path / "out/epochs") == _content(tmp_path / "local/epochs")


def _content(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.rglob("*") if path.suffix == ".tfrecord" or path.name == "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}
