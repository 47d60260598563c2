"""A step on any Beam runner: a straight line of small elements over all corpora."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its part, its index and, where it failed, why."""

    part: int
    index: int
    error: str | None = None


class RunTasks(beam.PTransform):
    """Does all tasks of a step, then finishes each of its parts once.

    Args:
        step: What to do. Why a part failed is left in its folder, for the driver to read (``read_failures``).

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
        return (
            self.outcomes(pbegin)
            # Not CombineGlobally: for the side input of its default value DaskRunner does all work twice.
            | "Pair" >> beam.Map(_pair).with_output_types(tuple[int, Outcome])
            | "Collect" >> beam.GroupByKey()
            | "Finish" >> beam.Map(_finish, self.parts, nums_tasks)
        )


def read_failures(step: Step) -> dict[int, str]:
    """Why parts of a step failed, where they did."""
    paths = {number: output_folder.failure_path(part.folder) for number, part in enumerate(step.parts)}
    return {number: files.read_json(path)["error"] for number, path in paths.items() if files.exists(path)}


def clear_failures(step: Step) -> None:
    """Forgets the failures of an earlier run."""
    for part in step.parts:
        files.remove(output_folder.failure_path(part.folder))


def _attempt(element: tuple[int, Any], parts: tuple[Part, ...], run_id: str) -> Outcome:
    number, task = element
    return Outcome(number, task.index, parts[number].attempt(task, run_id))


def _pair(outcome: Outcome) -> tuple[int, Outcome]:
    return 0, outcome


def _finish(collected: tuple[int, Iterable[Outcome]], parts: tuple[Part, ...], nums_tasks: list[int]) -> None:
    by_part: defaultdict[int, list[Outcome]] = defaultdict(list)
    for outcome in collected[1]:
        by_part[outcome.part].append(outcome)
    for number, part in enumerate(parts):
        outcomes = sorted(by_part[number], key=_index)
        errors = [outcome.error for outcome in outcomes if outcome.error]
        num_done = len({outcome.index for outcome in outcomes})
        if not errors and num_done != nums_tasks[number]:
            errors = [
                f"the runner returned {num_done} of {nums_tasks[number]} tasks; it lost data. Run again: "
                "what is done is kept"
            ]
        if error := part.complete(nums_tasks[number], errors):
            _write_failure(part.folder, error)


def _write_failure(folder: str, message: str) -> None:
    try:
        files.write_json(output_folder.failure_path(folder), {"error": message})
    except OSError:
        raise SeqmillError(message) from None  # travels as the runner's own failure


def _index(outcome: Outcome) -> int:
    return outcome.index
