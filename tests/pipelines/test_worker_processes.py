"""Tasks in worker processes of the local runner: whatever happens to a worker, the run ends and says why."""

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from seqmill.pipelines.engine import Engine
from seqmill.pipelines.work_queue import WorkQueue
from seqmill.pipelines.worker_processes import WorkerProcesses
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.storage.errors import SeqmillError

IN_WORKERS = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
HERE = ["--direct_running_mode=in_memory"]
NUM_SLOW = 500
ON_BEAM = ["--runner=FnApiRunner"]


@dataclass(frozen=True)
class Task:
    index: int


@dataclass(frozen=True)
class Touch:
    folder: str

    def __call__(self, task):
        Path(self.folder, f"task-{task.index}-{os.getpid()}").touch()


@dataclass(frozen=True)
class Finish:
    folder: str

    def __call__(self, num_tasks):
        Path(self.folder, f"finished-{num_tasks}").touch()


@dataclass(frozen=True)
class TouchSlowly(Touch):
    """Until there are workers, however long a busy machine takes to begin them."""

    def __call__(self, task):
        if len(pids(self.folder)) < 3:
            time.sleep(0.05)
        super().__call__(task)


def pids(folder):
    """The processes that have done tasks."""
    return {path.name.split("-")[2] for path in Path(folder).glob("task-*")}


def die(task):
    if task.index == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def leave(task):
    os._exit(3)


def have_a_bug(task):
    try:
        {}[task.index]
    except KeyError as error:
        raise ValueError("no such\nplace") from error


def fill_the_disk(task):
    raise OSError(errno.ENOSPC, "No space left on device", f"part-{task.index}")


def run_out_of_memory(task):
    raise MemoryError


@pytest.fixture(autouse=True)
def traces(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("traces")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def make_part(folder, work, num_tasks=4, corpus=""):
    tasks = [Task(index) for index in range(num_tasks)]
    return Part(corpus, str(folder), tasks, [1] * num_tasks, work, Finish(str(folder)))


def run(folder, work, flags=IN_WORKERS, num_tasks=4):
    with Engine(flags) as engine:
        engine.run(Step("test", (make_part(folder, work, num_tasks),)))


def workers():
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "local_worker" in " ".join(child.cmdline())
    ]


def test_all_tasks_are_done_by_as_many_processes_as_asked_for(tmp_path):
    run(tmp_path, Touch(str(tmp_path)))
    names = sorted(path.name for path in tmp_path.iterdir())
    tasks = [name.split("-") for name in names if name.startswith("task")]
    assert [index for _, index, _ in tasks] == ["0", "1", "2", "3"]
    assert len({pid for *_, pid in tasks} - {str(os.getpid())}) == 2
    assert names == sorted(["finished-4", *("-".join(task) for task in tasks)]), "nothing else is left"
    assert not workers()


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (die, "a worker process was killed by signal 9, as when memory runs out; what is done is kept"),
        (leave, "a worker process ended with exit code 3"),
    ],
)
def test_a_worker_that_dies_ends_the_run(tmp_path, work, message):
    with pytest.raises(SeqmillError, match=f"^test: {message}"):
        run(tmp_path, work)
    assert not workers()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "^cannot start a worker process: .*python: No such file or directory"),
        (
            "echo 'ImportError: no beam' >&2; exit 1",
            "ended with exit code 1: ImportError: no beam; the trace",
        ),
        ("exit 0", "test: a worker process ended with exit code 0$"),
        ("kill -9 $$", "test: a worker process was killed by signal 9"),
    ],
    ids=["no interpreter", "import error", "leaves at once", "killed at once"],
)
def test_a_worker_that_cannot_start_ends_the_run(tmp_path, monkeypatch, script, message):
    interpreter = tmp_path / "no python here" / "python"
    if script is not None:
        interpreter.parent.mkdir()
        interpreter.write_text(f"#!/bin/sh\n{script}\n")
        interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(SeqmillError, match=message):
        run(output, Touch(str(output)))
    assert not list(output.iterdir())


@pytest.mark.parametrize("flags", [IN_WORKERS, HERE, ON_BEAM], ids=["workers", "here", "Beam"])
def test_a_bug_is_one_line_and_a_file_with_the_trace(tmp_path, flags, traces):
    with pytest.raises(SeqmillError) as raised:
        run(tmp_path, have_a_bug, flags)
    message = str(raised.value)
    assert message.startswith("test: KeyError: "), message
    assert "; the trace is in " in message
    path = Path(message.rpartition(" ")[2])
    assert list(traces.iterdir()) == [path]
    trace = path.read_text()
    assert "in have_a_bug" in trace
    assert "ValueError: no such\nplace" in trace


def test_failures_that_a_user_can_mend_name_the_file(tmp_path):
    with pytest.raises(SeqmillError, match=r"^test: part-0: cannot write: No space left on device"):
        run(tmp_path, fill_the_disk, HERE)
    with pytest.raises(SeqmillError, match=r"^test: MemoryError; what is done is kept; the trace is in "):
        run(tmp_path, run_out_of_memory, HERE)


@pytest.mark.parametrize("flags", [IN_WORKERS, HERE, ON_BEAM], ids=["workers", "here", "Beam"])
def test_what_fails_of_one_corpus_leaves_the_others_whole(tmp_path, flags):
    folders = {name: tmp_path / name for name in ("train", "dev", "test", "none")}
    for folder in folders.values():
        folder.mkdir()
    works = {"dev": fill_the_disk, "test": fill_the_disk}
    parts = [
        make_part(folder, works.get(name, Touch(str(folder))), 0 if name == "none" else 2, name)
        for name, folder in folders.items()
    ]
    with pytest.raises(SeqmillError) as raised, Engine(flags) as engine:
        engine.run(Step("ingest", tuple(parts)))
    full = "part-0: cannot write: No space left on device (and 1 more errors)"
    assert str(raised.value) == f"ingest dev: {full}\ningest test: {full}"
    assert (folders["train"] / "finished-2").exists()
    assert (folders["none"] / "finished-0").exists()
    assert not [*folders["dev"].iterdir(), *folders["test"].iterdir()]


def test_workers_that_cannot_be_forked_are_started(tmp_path):
    processes = WorkerProcesses(forked=False)
    try:
        for _ in range(2):
            processes.run(WorkQueue(Step("test", (make_part(tmp_path, Touch(str(tmp_path))),))), 2)
        assert len(workers()) == 2
    finally:
        processes.close()
    assert len(pids(tmp_path) - {str(os.getpid())}) == 2
    assert not workers()


def test_work_begins_here_and_goes_on_in_processes_when_it_takes_long(tmp_path, monkeypatch):
    monkeypatch.setattr("seqmill.pipelines.engine.num_cores", lambda: 2)
    with Engine() as engine:
        engine.run(Step("test", (make_part(tmp_path, TouchSlowly(str(tmp_path)), NUM_SLOW),)))
        done = [path.name.split("-")[1:] for path in tmp_path.glob("task-*")]
        assert len(done) == NUM_SLOW
        assert len(pids(tmp_path)) == 3
        assert ["0", str(os.getpid())] in done
        assert engine.run(Step("test", (make_part(tmp_path, Touch(str(tmp_path)), 2),))) is None
    ours = list(tmp_path.glob(f"task-1-{os.getpid()}"))
    assert len(ours) == 1, "the first step's; the next begins in the processes that are there"
    assert not workers()
