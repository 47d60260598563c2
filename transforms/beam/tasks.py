"""Running independent tasks on any runner: a straight Beam line of small elements.

A task writes its files whole and leaves a receipt; a rerun takes receipts that still fit and runs only
the other tasks. Failures that a user can mend travel with the results, so that every runner reports them
in the same way and no runner retries them.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from seqmill.transforms.storage import files, output_folder, progress
from seqmill.transforms.storage.errors import SeqmillError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its index and, where it failed, why."""

    index: int
    error: str | None = None


class RunTasks(beam.PTransform):
    """Runs ``work`` on every task, then ``finish`` once on all outcomes.

    Args:
        tasks: Small picklable elements with an ``index``.
        work: Does one task; raises SeqmillError where the user must mend something.
        finish: Called with the number of tasks that succeeded after all of them did; writes the result.
        folder: Where a failure is written to, for the driver to read (``read_failure``).

    Attributes:
        run_id: What tells the progress of this run from that of others in the same folder.
    """

    def __init__(
        self, tasks: Sequence[Any], work: Callable[[Any], None], finish: Callable[[int], None], folder: str
    ):
        super().__init__()
        self.tasks = tasks
        self.work = work
        self.finish = finish
        self.folder = folder
        self.run_id = secrets.token_hex(4)

    def outcomes(self, pbegin: Any) -> Any:
        """Does every task; a collection of their outcomes."""
        return (
            pbegin
            | "Tasks" >> beam.Create(self.tasks, reshuffle=True)
            | "Work"
            >> beam.Map(_attempt_task, self.work, self.folder, self.run_id).with_output_types(Outcome)
        )

    def expand(self, pbegin: Any) -> Any:  # noqa: D102
        return (
            self.outcomes(pbegin)
            # Not CombineGlobally: for the side input of its default value DaskRunner does all work twice.
            | "Pair" >> beam.Map(_pair).with_output_types(tuple[int, Outcome])
            | "Collect" >> beam.GroupByKey()
            | "Finish" >> beam.Map(_finish, self.finish, len(self.tasks), self.folder)
        )

    def run_here(self) -> None:
        """Does all tasks in turn, then the finish, in this process and without a runner."""
        outcomes = [_attempt_task(task, self.work, self.folder, self.run_id) for task in self.tasks]
        _finish((0, outcomes), self.finish, len(self.tasks), self.folder)


def read_failure(folder: str) -> str | None:
    """Why the last run of tasks in ``folder`` failed, if it did."""
    path = output_folder.failure_path(folder)
    return files.read_json(path)["error"] if files.exists(path) else None


def clear_failure(folder: str) -> None:
    """Forgets the failure of an earlier run."""
    files.remove(output_folder.failure_path(folder))


def attempt(index: int, work: Callable[[], None], folder: str, run_id: str) -> Outcome:
    """Does the work of task ``index``; failures that a user can mend become its outcome.

    Args:
        index: Of the task.
        work: Does it.
        folder: Where the run writes.
        run_id: Of the run, for its progress.
    """
    progress.begin(output_folder.progress_folder(folder), run_id)
    try:
        work()
    except SeqmillError as error:
        return Outcome(index, str(error))
    except OSError as error:
        return Outcome(index, _describe(error, folder))
    return Outcome(index)


def _attempt_task(task: Any, work: Callable[[Any], None], folder: str, run_id: str) -> Outcome:
    return attempt(task.index, lambda: work(task), folder, run_id)


def _pair(outcome: Outcome) -> tuple[int, Outcome]:
    return 0, outcome


def _finish(
    collected: tuple[int, Iterable[Outcome]], finish: Callable[[int], None], num_tasks: int, folder: str
) -> None:
    outcomes = sorted(collected[1], key=_index)
    indices = {outcome.index for outcome in outcomes}
    errors = list(dict.fromkeys(outcome.error for outcome in outcomes if outcome.error))
    try:
        if errors:
            more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
            raise SeqmillError(errors[0] + more)
        if len(indices) != num_tasks:
            raise SeqmillError(
                f"the runner returned {len(indices)} of {num_tasks} tasks; it lost data. Run again: what is "
                "done is kept"
            )
        finish(num_tasks)
    except SeqmillError as error:
        _write_failure(folder, str(error))
    except OSError as error:
        _write_failure(folder, _describe(error, folder))


def _write_failure(folder: str, message: str) -> None:
    try:
        files.write_json(output_folder.failure_path(folder), {"error": message})
    except OSError:
        raise SeqmillError(message) from None  # travels as the runner's own failure


def _describe(error: OSError, folder: str) -> str:
    """One line: which file, and what the system says of it."""
    path = str(error.filename or folder)
    is_written = error.errno in _NO_SPACE or path.startswith(folder)
    doing = "cannot write" if is_written else "cannot read"
    return f"{path}: {doing}: {error.strerror or error}"


def _index(outcome: Outcome) -> int:
    return outcome.index
