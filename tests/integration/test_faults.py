"""Disks that are full or broken: one clear line, nothing half-written, and a rerun finishes the work."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from seqmill_runs import tree, write_config, write_jsonl

HERE = Path(__file__).parent

# The call that fails, how, on which files (behind "-" the name of a temporary one), and what the line names.
FAULTS = {
    "disk full at the store": ("write", errno.ENOSPC, "-sequences-0", "sequences-0000"),
    "disk full at a shard": ("write", errno.ENOSPC, "-batches-0", "epoch-0001/batches-0000"),
    "disk broken at a shard": ("write", errno.EIO, "-batches-0", "epoch-0001/batches-0000"),
    "fsync fails": ("fsync", errno.EIO, "-sequences-0", "sequences-0000"),
    "fsync of the manifest fails": ("fsync", errno.EIO, "-manifest.json", "manifest.json"),
    "rename fails": ("rename", errno.EIO, "batches-0000", "batches-0000"),
    "input cannot be opened": ("open", errno.EMFILE, "part-1.jsonl", "part-1.jsonl"),
    "input cannot be read": ("read", errno.EIO, "part-1.jsonl", "part-1.jsonl"),
    "too many open files at a shard": ("open", errno.EMFILE, "-batches-0", "batches-0000"),
    "progress cannot be written": ("write", errno.ENOSPC, "/progress/", ""),
    "progress folder cannot be listed": ("open", errno.EACCES, "/progress", ""),
}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs a C compiler on Linux")
    library = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "faults.c", "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A configuration, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("corpus")
    records = [{"x": list(range(n % 50 + 1)), "y": "abc"} for n in range(200)]
    names = [write_jsonl(folder / f"part-{number}.jsonl", records).name for number in range(3)]
    corpora = {"train": {"format": "jsonl", "files": names}}
    config = write_config(folder, {"x": {"type": "ints"}, "y": {"type": "chars"}}, corpora, num_shards=2)
    assert not run_with_faults([(config, folder / "out", "none:0:0:/")], {})[0][0]
    return config, tree(folder / "out")


def run_with_faults(runs, environment):
    """Runs preprocess for each (configuration, output, fault) in one process; (exit code, what it said)."""
    commands = [["preprocess", str(config), f"--output={output}"] for config, output, _ in runs]
    faults = [fault for _, _, fault in runs]
    ended = subprocess.run(
        [sys.executable, HERE / "faulty_runs.py", json.dumps([commands, faults])],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.slow
def test_faults_are_one_line_and_a_rerun_finishes_the_work(tmp_path, shim, corpus, seqmill):
    config, expected = corpus
    outputs = [tmp_path / f"out-{number}" for number in range(len(FAULTS))]
    faults = [f"{call}:{code}:0:{part}" for call, code, part, _ in FAULTS.values()]
    runs = run_with_faults(
        [(config, output, fault) for output, fault in zip(outputs, faults, strict=True)],
        {"LD_PRELOAD": str(shim)},
    )
    for (what, (_, error, _, name)), output, (code, said) in zip(FAULTS.items(), outputs, runs, strict=True):
        if name:
            last = said.splitlines()[-1]
            assert code == 1, (what, said)
            assert name in last, (what, said)
            assert os.strerror(error) in last, (what, said)
            assert "Traceback" not in said
            assert not [path for path in output.rglob("*") if path.name.startswith((".tmp-", "progress"))], (
                what
            )
            seqmill.succeeds("preprocess", config, f"--output={output}")
        else:
            assert code == 0, (what, said)
        assert tree(output) == expected, what


@pytest.mark.long
def test_any_call_fails(tmp_path, shim, corpus, seqmill):
    config, expected = corpus
    random = Random(0)
    calls = {
        "open": (errno.EMFILE, errno.EACCES),
        "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT),
        "fsync": (errno.EIO,),
        "rename": (errno.EIO, errno.ENOSPC),
    }
    runs = []
    for number in range(200):
        call, codes = random.choice(list(calls.items()))
        output = tmp_path / f"out-{number}"
        runs.append((config, output, f"{call}:{random.choice(codes)}:{random.randrange(60)}:{output}/"))
    failed = 0
    for (_, output, fault), (code, said) in zip(
        runs, run_with_faults(runs, {"LD_PRELOAD": str(shim)}), strict=True
    ):
        assert code in (0, 1), (fault, said)
        assert "Traceback" not in said, (fault, said)
        assert code == 0 or said.splitlines()[-1].startswith("seqmill: "), (fault, said)
        failed += code
        seqmill.succeeds("preprocess", config, f"--output={output}")
        assert tree(output) == expected, fault
    assert failed > 50
