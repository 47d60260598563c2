"""System calls that fail end a run with one line that names the file; the next run finishes its work."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from seqmill_runs import tree, write_config, write_jsonl

PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library for LD_PRELOAD that makes calls fail; see faults.c."""
    if sys.platform != "linux" or not (compiler := shutil.which("cc")):
        pytest.skip("needs Linux and a C compiler, as cc")
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], check=True)
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A configuration, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    names = []
    for number in range(3):
        records = [
            {"x": rng.integers(0, 30, n).tolist(), "y": "ab c" * (n % 5 + 1)}
            for n in rng.integers(1, 40, 200).tolist()
        ]
        names.append(write_jsonl(folder / f"input-{number}.jsonl", records).name)
    config = write_config(
        folder,
        {"x": {"type": "ints"}, "y": {"type": "chars"}},
        {"train": {"format": "jsonl", "files": names}},
        seq_ordering="laplace:.50",
        num_epochs=2,
        num_shards=2,
    )
    ended = _run(config, folder / "whole")
    assert ended.returncode == 0, ended.stderr
    return config, tree(folder / "whole")


def _run(config: Path, output: Path, flags: tuple[str, ...] = (), **environment: object):
    command = [sys.executable, "-m", "seqmill.pipelines.main", "preprocess", config, f"--output={output}"]
    env = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return subprocess.run([*command, *flags], capture_output=True, text=True, env=env, timeout=120)


WRITING = {
    "no space for a vocabulary": ("write", errno.ENOSPC, "out/vocab/", 0),
    "no space for the store": ("write", errno.ENOSPC, "out/store/train/.tmp-sequences", 1),
    "a broken disk under the store": ("fsync", errno.EIO, "out/store/train/.tmp-sequences", 1),
    "a shard cannot be renamed": ("rename", errno.EIO, "out/epochs/train/epoch-0001/batches", 0),
    "a manifest cannot be renamed": ("rename", errno.EACCES, "out/epochs/train/manifest.json", 0),
    "too many open files": ("open", errno.EMFILE, "out/epochs/train/epoch-0002/", 0),
}


@pytest.mark.parametrize(("call", "error", "path", "after"), WRITING.values(), ids=WRITING)
@pytest.mark.parametrize(
    "flags", [(), pytest.param(PROCESSES, marks=pytest.mark.long)], ids=["memory", "processes"]
)
def test_writing_fails(tmp_path, seqmill, library, corpus, call, error, path, after, flags):
    config, expected = corpus
    output = tmp_path / "out"
    faults = {"FAULT_CALL": call, "FAULT_ERRNO": error, "FAULT_PATH": path, "FAULT_AFTER": after}
    ended = _run(config, output, flags, LD_PRELOAD=library, **faults)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("seqmill: ")
    assert str(output) in last
    assert os.strerror(error) in last
    assert not list(output.rglob(".tmp-*"))
    seqmill.succeeds("preprocess", config, f"--output={output}")
    assert tree(output) == expected


@pytest.mark.parametrize(
    "flags", [(), pytest.param(PROCESSES, marks=pytest.mark.long)], ids=["memory", "processes"]
)
def test_reading_fails(tmp_path, seqmill, library, corpus, flags):
    config, expected = corpus
    output = tmp_path / "out"
    faults = {"FAULT_CALL": "read", "FAULT_ERRNO": errno.EIO, "FAULT_PATH": "input-1.jsonl"}
    ended = _run(config, output, flags, LD_PRELOAD=library, **faults)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert "input-1.jsonl" in last
    assert os.strerror(errno.EIO) in last
    assert str(output) not in last
    seqmill.succeeds("preprocess", config, f"--output={output}")
    assert tree(output) == expected


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_any_call_fails(tmp_path, seqmill, library, corpus, seed):
    config, expected = corpus
    output = tmp_path / "out"
    rng = np.random.default_rng(seed)
    call, errors = [
        ("open", [errno.EMFILE, errno.EACCES]),
        ("write", [errno.ENOSPC, errno.EIO, errno.EDQUOT]),
        ("fsync", [errno.EIO]),
        ("rename", [errno.EIO, errno.ENOSPC]),
    ][seed % 4]
    faults = {
        "FAULT_CALL": call,
        "FAULT_ERRNO": int(rng.choice(errors)),
        "FAULT_PATH": str(output),
        "FAULT_AFTER": int(rng.integers(0, 40)),
        "FAULT_TIMES": int(rng.integers(1, 4)),
    }
    ended = _run(config, output, PROCESSES if seed % 3 == 0 else (), LD_PRELOAD=library, **faults)
    assert "Traceback" not in ended.stderr, faults
    assert ended.returncode in (0, 1), faults
    if ended.returncode:
        assert ended.stderr.strip().splitlines()[-1].startswith("seqmill: "), faults
    seqmill.succeeds("preprocess", config, f"--output={output}")
    assert tree(output) == expected, faults
