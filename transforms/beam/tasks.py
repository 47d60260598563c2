"""Doing tasks on any Beam runner: a straight line of small elements that ends in one.

``RunTasks`` does a step of the command, over all corpora. ``DoTasks`` does tasks that a pipeline finds out
itself, as the public transforms do. Both collect outcomes and finish in the same way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam

from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError


@dataclass(frozen=True)
class PartTask:
    """A task that brings along what it is a part of.

    Attributes:
        part: That part; its own tasks are not looked at.
        task: The task, with an ``index``; None where all is done already.
        num_tasks: How many tasks the part has.
    """

    part: Part
    task: Any
    num_tasks: int


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its part, its index and, where it failed, why.

    ``brought`` is the task where it brought its part along.
    """

    part: int
    index: int
    error: str | None = None
    brought: PartTask | None = None


class FinishTasks(beam.PTransform):
    """Brings the outcomes of all tasks together: one element.

    Args:
        finish: function(outcomes) → that element.
    """

    def __init__(self, finish: Callable[[Sequence[Outcome]], Any]):
        super().__init__()
        self.finish = finish

    def expand(self, outcomes: Any) -> Any:  # noqa: D102
        return (
            outcomes
            # Not CombineGlobally: for the side input of its default value DaskRunner does all work twice.
            | "Pair" >> beam.Map(_pair).with_output_types(tuple[int, Outcome])
            | "Collect" >> beam.GroupByKey()
            | "Finish" >> beam.Map(_finish, self.finish).with_output_types(Any)
        )


class DoTasks(beam.PTransform):
    """Does tasks (``PartTask``) of one part, then finishes it: one element, what its ``finish`` gives.

    A task that fails so that a user can mend it is not tried again: the pipeline fails with what it says.
    """

    def expand(self, tasks: Any) -> Any:  # noqa: D102
        return (
            tasks
            # Not Reshuffle: by index, the same task is done once also where it comes twice.
            | "Number" >> beam.Map(_by_index).with_output_types(tuple[int, PartTask])
            | "Spread" >> beam.GroupByKey()
            | "Work" >> beam.Map(_attempt_brought).with_output_types(Outcome)
            | FinishTasks(_finish_brought)
        )


class RunTasks(beam.PTransform):
    """Does all tasks of a step, then finishes each of its parts once.

    Args:
        step: What to do. Why a part failed is left beside its progress, for the driver to read
            (``read_failures``).

    Attributes:
        parts: Those of the step, without their tasks: what travels with every element.
    """

    def __init__(self, step: Step):
        super().__init__()
        self.step = step
        self.parts = tuple(part.without_tasks() for part in step.parts)

    def outcomes(self, pbegin: Any) -> Any:
        """Does every task; a collection of their outcomes."""
        elements = [(number, task) for number, part in enumerate(self.step.parts) for task in part.tasks]
        return (
            pbegin
            | "Tasks" >> beam.Create(elements, reshuffle=True)
            | "Work" >> beam.Map(_attempt, self.parts, self.step.run_id).with_output_types(Outcome)
        )

    def expand(self, pbegin: Any) -> Any:  # noqa: D102
        nums_tasks = [len(part.tasks) for part in self.step.parts]
        return self.outcomes(pbegin) | FinishTasks(
            partial(_finish_parts, self.parts, nums_tasks, self.step.run_id)
        )


def read_failures(step: Step) -> dict[int, str]:
    """Why parts of a step failed, where they did."""
    failures = {}
    for number, part in enumerate(step.parts):
        with suppress(FileNotFoundError):
            path = output_folder.failure_path(part.folder, step.run_id)
            failures[number] = files.read_json(path)["error"]
    return failures


def _attempt(element: tuple[int, Any], parts: tuple[Part, ...], run_id: str) -> Outcome:
    number, task = element
    return Outcome(number, task.index, parts[number].attempt(task, run_id))


def _by_index(task: PartTask) -> tuple[int, PartTask]:
    return (-1 if task.task is None else task.task.index), task


def _attempt_brought(numbered: tuple[int, Iterable[PartTask]]) -> Outcome:
    index, (brought, *_) = numbered
    error = None if brought.task is None else brought.part.attempt(brought.task)
    return Outcome(0, index, error, brought)


def _pair(outcome: Outcome) -> tuple[int, Outcome]:
    return 0, outcome


def _finish(collected: tuple[int, Iterable[Outcome]], finish: Callable[[Sequence[Outcome]], Any]) -> Any:
    return finish(sorted(collected[1], key=_index))


def _finish_parts(
    parts: tuple[Part, ...], nums_tasks: list[int], run_id: str, outcomes: Sequence[Outcome]
) -> None:
    by_part: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_part[outcome.part].append(outcome)
    for number, part in enumerate(parts):
        errors = _errors(by_part[number], nums_tasks[number])
        if error := part.complete(nums_tasks[number], errors):
            _write_failure(output_folder.failure_path(part.folder, run_id), error)


def _finish_brought(outcomes: Sequence[Outcome]) -> Any:
    brought = outcomes[0].brought
    assert brought is not None
    return brought.part.result(brought.num_tasks, _errors(outcomes, brought.num_tasks))


def _errors(outcomes: Sequence[Outcome], num_tasks: int) -> list[str]:
    """Why tasks of a part failed, or that some are missing."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    num_done = len({outcome.index for outcome in outcomes if outcome.index >= 0})
    if not errors and num_done != num_tasks:
        errors = [
            f"the runner returned {num_done} of {num_tasks} tasks; it lost data. Run again: "
            "what is done is kept"
        ]
    return errors


def _write_failure(path: str, message: str) -> None:
    """Leaves the reason of a failure, unless the run that would read it is over."""
    try:
        if not files.is_local(path) or files.is_folder(files.parent(path)):
            files.write_json(path, {"error": message})
            return
    except OSError:
        pass
    raise SeqmillError(message)  # travels as the runner's own failure


def _index(outcome: Outcome) -> int:
    return outcome.index
