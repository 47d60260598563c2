"""A run killed at any moment leaves nothing that looks complete, and the next one finishes its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from seqmill_runs import tree, write_config, write_jsonl

from seqmill.transforms.batches import manifest
from seqmill.transforms.storage import files
from seqmill.transforms.store.sequence_store import read_manifest


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus that takes a few seconds, and the output of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    files = []
    for number in range(6):
        lengths = rng.integers(1, 400, 1000)
        records = [
            {"x": rng.integers(0, 30, n).tolist(), "y": "ab c" * (n % 5 + 1)} for n in lengths.tolist()
        ]
        files.append(write_jsonl(folder / f"part-{number}.jsonl", records).name)
    config = write_config(
        folder,
        {"x": {"type": "ints"}, "y": {"type": "chars"}},
        {"train": {"format": "jsonl", "files": files}},
        batch_size=2000,
        seq_ordering="laplace:.100",
        num_epochs=4,
        num_shards=3,
    )
    ended = subprocess.run(_command(config, folder / "whole"), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return config, tree(folder / "whole")


def _command(config: Path, output: Path, *flags: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "seqmill.pipelines.main",
        "preprocess",
        str(config),
        f"--output={output}",
        *flags,
    ]


MOMENTS = {
    "labels are counted": ("vocab/parts/00002-counts.json", ()),
    "a store file was begun": ("store/train/.tmp-sequences-00001*", ()),
    "the store has just been finished": ("store/train/manifest.json", ()),
    "a shard was begun": ("epochs/train/epoch-0002/.tmp-*", ()),
    "half the epochs are there": ("epochs/train/parts/epoch-0003-00000.json", ()),
    "the last shard is there": ("epochs/train/parts/epoch-0004-00002.json", ()),
    "worker processes ingest": (
        "store/train/parts/0000*-receipt.json",
        ("--direct_running_mode=multi_processing",),
    ),
    "worker processes write": ("epochs/train/epoch-0001/.tmp-*", ("--direct_running_mode=multi_processing",)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "flags"), MOMENTS.values(), ids=MOMENTS)
def test_killed_run_is_finished_by_the_next(tmp_path, seqmill, corpus, moment, flags):
    config, expected = corpus
    output = tmp_path / "out"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(_command(config, output, *flags), stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not list(output.glob(moment)):
            assert process.poll() is None, "the run ended before the moment was seen"
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _wait_for_workers(process.pid)
    _assert_not_passed_off_as_complete(output)
    seqmill.succeeds("preprocess", config, f"--output={output}", "--direct_running_mode=in_memory")
    assert tree(output) == expected
    seqmill.succeeds("verify", output)


def _wait_for_workers(group: int) -> None:
    """Workers of the local runner must end by themselves when their driver is gone."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("worker processes are still there 60 s after their driver was killed")


def _assert_not_passed_off_as_complete(output: Path) -> None:
    for path in output.rglob("manifest.json"):
        read = manifest.read if path.parent.parent.name == "epochs" else read_manifest
        content = read(str(path.parent))
        entries = (
            content.files if hasattr(content, "files") else [s for e in content.epochs for s in e.shards]
        )
        assert entries
        assert all((path.parent / entry.file).stat().st_size == entry.bytes for entry in entries)


@pytest.mark.parametrize("receipts", ["epochs/train/parts/epoch-", "-receipt.json"])
def test_a_change_that_was_interrupted_and_taken_back_leaves_nothing_of_it(
    tmp_path, seqmill, monkeypatch, receipts
):
    """Files of the same size whose receipts were still those of the other version would be taken for it."""
    path = write_jsonl(tmp_path / "a.jsonl", [{"x": [i, i + 1]} for i in range(50)])
    status = path.stat()
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    config = write_config(tmp_path, {"x": {"type": "ints"}}, corpora, seq_ordering="random", num_shards=2)
    seqmill.succeeds("preprocess", config)
    before = tree(tmp_path / "out")

    write_json = files.write_json

    def fail_before_receipts(path, value):
        if receipts in path:
            raise RuntimeError("killed")
        write_json(path, value)

    write_jsonl(path, [{"x": [i + 1, i]} for i in range(50)])
    monkeypatch.setattr("seqmill.transforms.storage.files.write_json", fail_before_receipts)
    seqmill("preprocess", config).names("RuntimeError: killed; the trace is in ")
    monkeypatch.undo()
    write_jsonl(path, [{"x": [i, i + 1]} for i in range(50)])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seqmill.succeeds("preprocess", config)
    assert tree(tmp_path / "out") == before
