"""A run killed at any moment leaves nothing that looks complete, and the next one finishes its work."""

import os
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from seqmill_runs import mtimes, tree, write_config, write_jsonl
from started_run import Run, wait_for

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.begin_epochs import whole_epochs
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
            {"tag": f"t{row}", "x": rng.integers(0, 30, n).tolist(), "y": "ab c" * (n % 5 + 1)}
            for row, n in enumerate(lengths.tolist())
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
    whole = Run(config, output=folder / "whole", mode=None)
    said = whole.process.communicate()[1]
    assert whole.process.returncode == 0, said
    return config, tree(folder / "whole")


MOMENTS = {
    "labels are counted": ("vocab/receipts/00002-counts.json", None),
    "a store file was begun": ("store/train/.tmp-*-sequences-00001*", None),
    "the store has just been finished": ("store/train/manifest.json", None),
    "a shard was begun": ("epochs/train/epoch-*/.tmp-*", None),
    "an epoch is there": ("epochs/train/epoch-*/manifest.json", None),
    "the last shard of an epoch is there": ("epochs/train/epoch-0004/receipts/00002.json", None),
    "worker processes ingest": ("store/train/receipts/0000*-receipt.json", "multi_processing"),
    "worker processes write": ("epochs/train/epoch-*/.tmp-*", "multi_processing"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "mode"), MOMENTS.values(), ids=MOMENTS)
def test_killed_run_is_finished_by_the_next(tmp_path, seqmill, corpus, moment, mode):
    config, expected = corpus
    output = tmp_path / "out"
    run = Run(config, output=output, mode=mode)
    try:
        wait_for(run, lambda: list(output.glob(moment)))
    finally:
        run.process.kill()
    _assert_nobody_writes_any_more(run)
    _assert_not_passed_off_as_complete(output)
    seqmill.succeeds("preprocess", config, f"--output={output}", "--direct_running_mode=in_memory")
    assert tree(output) == expected
    seqmill.succeeds("verify", output)


@pytest.mark.long
def test_killed_again_and_again_it_still_writes_the_same(tmp_path, corpus):
    """``SEQMILL_KILLS`` kills of the driver, a worker or all of them at once, at random moments."""
    _kill_again_and_again(*corpus, tmp_path / "out")


SEVERAL_SOURCES = {
    "joined": {"join": {"format": "jsonl", "files": ["part-1.jsonl"], "seq_tag": "tag", "data_keys": ["y"]}},
    "mixed": {"mix": {"other": {"format": "jsonl", "files": ["part-1.jsonl"], "seq_tag": "tag", "share": 2}}},
}


@pytest.mark.long
@pytest.mark.parametrize("kind", SEVERAL_SOURCES)
def test_sources_together_are_finished_by_the_next(tmp_path, corpus, kind):
    config = tmp_path / "config.toml"
    for name in ("part-0.jsonl", "part-1.jsonl"):
        shutil.copy(corpus[0].parent / name, tmp_path)
    train = {"format": "jsonl", "files": ["part-0.jsonl"], "seq_tag": "tag", **SEVERAL_SOURCES[kind]}
    data = {"x": {"type": "ints"}, "y": {"type": "chars"}}
    write_config(tmp_path, data, {"train": train}, seq_ordering="laplace:.100", num_epochs=4, num_shards=3)
    whole = Run(config, output=tmp_path / "whole", mode=None)
    whole.ends(within=120)
    _kill_again_and_again(config, tree(tmp_path / "whole"), tmp_path / "out")


def _kill_again_and_again(config: Path, expected: dict[str, bytes], output: Path) -> None:
    rng = np.random.default_rng(0)
    kills: Counter[str] = Counter()
    while kills.total() < int(os.environ.get("SEQMILL_KILLS", "100")):
        run = Run(config, output=output)
        with suppress(psutil.TimeoutExpired):
            run.process.wait(rng.uniform(0.2, 5))
        workers = run.workers()
        victim = rng.choice(["driver", "group", *(["a worker"] if workers else [])])
        if run.process.poll() is None:
            kills[str(victim)] += 1
            if victim == "driver":
                run.process.kill()
            elif victim == "group":
                os.killpg(run.process.pid, signal.SIGKILL)
            else:
                rng.choice(workers).kill()
        _assert_nobody_writes_any_more(run)
        _assert_not_passed_off_as_complete(output)
        if run.process.returncode == 0:
            assert tree(output) == expected
            shutil.rmtree(output)
    last = Run(config, output=output)
    last.ends(within=120)
    assert tree(output) == expected
    print(dict(kills))


def _assert_nobody_writes_any_more(run: Run) -> None:
    """Workers end with their driver, and then nothing changes."""
    run.ends()
    before = mtimes(run.output)
    time.sleep(0.1)
    assert mtimes(run.output) == before


def _assert_not_passed_off_as_complete(output: Path) -> None:
    for path in output.glob("store/*/manifest.json"):
        entries = read_manifest(str(path.parent)).files
        assert entries
        assert all((path.parent / entry.file).stat().st_size == entry.bytes for entry in entries)
    for path in output.glob("epochs/*/manifest.json"):
        whole, wrong = whole_epochs(str(path.parent), manifest.read(str(path.parent)), fresh=True)
        assert not wrong
        assert len(whole) == len(list(path.parent.glob("*/manifest.json")))


@pytest.mark.parametrize("receipts", ["epoch-0001/receipts/", "-receipt.json"])
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
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("seqmill.transforms.storage.files.write_json", fail_before_receipts)
    seqmill("preprocess", config).names("RuntimeError: killed; what is done is kept; the trace is in ")
    monkeypatch.undo()
    write_jsonl(path, [{"x": [i, i + 1]} for i in range(50)])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seqmill.succeeds("preprocess", config)
    assert tree(tmp_path / "out") == before
