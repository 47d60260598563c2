"""The real command in this process, its tasks in a plain loop: thousands of small runs in minutes."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqmill.pipelines import beam_runner
from seqmill.pipelines.beam_runner import Job
from seqmill.pipelines.main import main
from seqmill.transforms.beam import tasks
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (None for an exception) and all that it printed."""

    code: int | None
    output: str


def seqmill(*arguments: object) -> Ended:
    """Runs a command; an exception that it does not handle becomes its output."""
    output = io.StringIO()
    code: int | None = 0
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            code = None
            output.write(traceback.format_exc())
    return Ended(code, output.getvalue())


@contextlib.contextmanager
def without_beam() -> Iterator[None]:
    """Runs tasks in a plain loop instead of a Beam pipeline, which takes 0.3 seconds to start."""
    whole = beam_runner.run
    beam_runner.run = _run_here
    try:
        yield
    finally:
        beam_runner.run = whole


def _run_here(job: Job, beam_flags: Sequence[str]) -> None:
    folder = job.transform.folder
    tasks.clear_failure(folder)
    job.transform.run_here()
    files.remove(job.progress_folder)
    if error := tasks.read_failure(folder):
        tasks.clear_failure(folder)
        raise SeqmillError(error)
