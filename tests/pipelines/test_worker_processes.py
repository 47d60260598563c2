"""Tasks in worker processes of the local runner: whatever happens to a worker, the run ends and says why."""

import errno
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from seqmill.pipelines import beam_runner
from seqmill.pipelines.beam_runner import Job
from seqmill.transforms.beam.tasks import RunTasks
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError

IN_WORKERS = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
IN_MEMORY = ["--direct_running_mode=in_memory"]


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


def run(folder, work, flags=IN_WORKERS, num_tasks=4):
    transform = RunTasks([Task(index) for index in range(num_tasks)], work, Finish(str(folder)), str(folder))
    beam_runner.run(Job("test", transform, 1, 1, output_folder.progress_folder(str(folder))), flags)


def workers():
    return [child for child in psutil.Process().children() if "local_worker" in " ".join(child.cmdline())]


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


@pytest.mark.parametrize(
    "flags", [IN_WORKERS, ["--direct_running_mode=in_memory"]], ids=["workers", "memory"]
)
def test_a_bug_is_one_line_and_a_file_with_the_trace(tmp_path, flags, traces):
    with pytest.raises(SeqmillError) as raised:
        run(tmp_path, have_a_bug, flags)
    message = str(raised.value)
    assert message.startswith("test: KeyError: 0; the trace is in "), message
    path = Path(message.rpartition(" ")[2])
    assert list(traces.iterdir()) == [path]
    trace = path.read_text()
    assert "in have_a_bug" in trace
    assert "ValueError: no such\nplace" in trace


def test_failures_that_a_user_can_mend_name_the_file(tmp_path):
    with pytest.raises(SeqmillError, match=r"^part-0: cannot write: No space left on device"):
        run(tmp_path, fill_the_disk, IN_MEMORY)
    with pytest.raises(SeqmillError, match=r"^test: MemoryError; the trace is in "):
        run(tmp_path, run_out_of_memory, IN_MEMORY)
