"""Ctrl-C, SIGTERM and dead workers end the real command: soon, with one line, with all that it started."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from seqmill_runs import write_config, write_jsonl
from started_run import Run, wait_for

MOMENTS = {
    "workers start": lambda run: wait_for(run, run.workers),
    "workers write": lambda run: wait_for(
        run, lambda: list(run.output.glob("store/train/.tmp-*-sequences-*"))
    ),
}

# Signals itself: from outside the moment could be missed.
PRESSES = """
import os, sys

def is_loaded(name):
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec is not None and not getattr(spec, "_initializing", False)

class Pressing:
    def find_spec(self, name, path=None, target=None):
        if all(map(is_loaded, ("seqmill.transforms.storage.signals", "{module}"))):
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Pressing())
"""


@pytest.fixture
def config(tmp_path):
    """A corpus that two workers are busy with for a while."""
    records = [{"x": list(range(300)), "y": "ab c" * 20}] * 3000
    names = [write_jsonl(tmp_path / f"part-{number}.jsonl", records).name for number in range(8)]
    corpora = {"train": {"format": "jsonl", "files": names}}
    return write_config(tmp_path, {"x": {"type": "ints"}, "y": {"type": "bytes"}}, corpora, batch_size=9000)


def says_only_one_line(said: str) -> str:
    """The last line; before it, a run says only what it does."""
    *before, last = said.strip().splitlines()
    assert last.startswith("seqmill: "), said
    assert all(line.startswith(("count labels", "ingest ", "preprocess ", "plan ")) for line in before), said
    return last


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_the_first_ctrl_c_ends_everything_and_a_second_is_harmless(config, moment):
    run = Run(config)
    moment(run)
    for _ in range(2):
        os.killpg(run.process.pid, signal.SIGINT)
        time.sleep(0.02)
    assert "interrupted; what is done is kept" in says_only_one_line(run.ends())
    assert run.process.returncode == 130
    assert not list(run.output.rglob(".tmp-*"))


@pytest.mark.parametrize(
    ("number", "module"),
    [
        (signal.SIGINT, "seqmill.transforms.storage.signals"),
        (signal.SIGINT, "pydantic_core._pydantic_core"),
        (signal.SIGTERM, "typing"),
        (signal.SIGTERM, "numpy._typing"),
    ],
)
def test_a_signal_ends_a_command_whose_modules_load(tmp_path, number, module):
    """As one of them is there and the next one is looked for, others being in the midst of it."""
    (tmp_path / "sitecustomize.py").write_text(PRESSES.format(module=module, number=int(number)))
    run = subprocess.run(
        [sys.executable, "-m", "seqmill.pipelines.main", "preprocess", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert (run.returncode, run.stdout) == (128 + number, "")
    lines = run.stderr.splitlines()
    assert len(lines) == 1, run.stderr
    assert "interrupted" in lines[0]


@pytest.mark.long
@pytest.mark.parametrize(("mode", "step"), [("multi_processing", 0.3), ("in_memory", 0.1)])
def test_ctrl_c_at_any_moment(config, mode, step):
    """One moment of a run after the other, each run in a new output."""
    moment, is_done = 0.1, False
    while not is_done:
        run = Run(config, output=config.parent / f"out-{moment:.1f}", mode=mode)
        time.sleep(moment)
        run.workers()
        is_done = run.process.poll() is not None
        if not is_done:
            os.killpg(run.process.pid, signal.SIGINT)
        said = run.ends(within=5)
        if run.process.returncode == 130:
            assert "interrupted; what is done is kept" in says_only_one_line(said)
        else:  # pressed behind the last line
            assert run.process.returncode in (0, -signal.SIGINT), (moment, said)
            assert "read = " in said, (moment, said)
        moment += step


@pytest.mark.slow
def test_ctrl_c_ends_work_in_memory(config):
    run = Run(config, mode="in_memory")
    MOMENTS["workers write"](run)
    run.process.send_signal(signal.SIGINT)
    assert "interrupted" in says_only_one_line(run.ends())
    assert run.process.returncode == 130
    assert not list(run.output.rglob(".tmp-*"))


@pytest.mark.slow
def test_sigterm_ends_everything(config):
    run = Run(config)
    MOMENTS["workers start"](run)
    run.process.terminate()
    assert "interrupted" in says_only_one_line(run.ends())
    assert run.process.returncode == 143


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["workers start", "workers write"])
def test_a_killed_worker_ends_the_run(config, moment):
    run = Run(config)
    MOMENTS[moment](run)
    run.workers()[-1].kill()
    last = says_only_one_line(run.ends())
    assert "a worker process was killed by signal 9" in last
    assert "run the same command again" in last
    assert run.process.returncode == 1
    assert not list(run.output.rglob(".tmp-*"))


@pytest.mark.slow
def test_workers_find_us_beside_files_of_our_names_with_an_interpreter_whose_path_has_a_space(config):
    for name in ("random.py", "transforms.py", "trainer.py", "tempfile.py"):
        (config.parent / name).write_text("raise SystemExit('a file of the user')\n")
    home = config.parent / "a home"
    home.mkdir()
    prefix = Path(sys.prefix)
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    if (prefix / "pyvenv.cfg").exists():
        shutil.copy(prefix / "pyvenv.cfg", home)
        (home / "lib").symlink_to(prefix / "lib")
    run = Run(config, interpreter=str(home / "bin" / "python"))
    worker = wait_for(run, run.workers)[0]
    MOMENTS["workers write"](run)
    assert worker.cmdline()[0] == str(home / "bin" / "python")
    for process in (run.process, *run.workers()):
        assert not [c for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    said = run.process.communicate(timeout=120)[1]
    assert run.process.returncode == 0, said
    assert not list(run.output.rglob("progress*"))
