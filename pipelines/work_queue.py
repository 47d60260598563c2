"""What is to be done of a step, one item after the other, and what it took so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.beam.step import Step


@dataclass(frozen=True)
class Item:
    """A task of a part; without one, the part's end.

    Attributes:
        part: Its number in the step.
        task: The task; None where all of the part's tasks are done and its result is to be written.
        seconds: What it is expected to take.
        num_tasks: How many the part had.
        errors: Why tasks of the part failed.
    """

    part: int
    task: Any = None
    seconds: float = 0.0
    num_tasks: int = 0
    errors: tuple[str, ...] = ()

    def do(self, parts: tuple[Any, ...], run_id: str) -> str | None:
        """Does it. Returns why it failed, where a user can mend that."""
        part = parts[self.part]
        if self.task is None:
            return part.complete(self.num_tasks, self.errors)
        return part.attempt(self.task, run_id)


class WorkQueue:
    """The items of a step; a part ends as soon as its tasks have.

    Attributes:
        failed: Per part that has ended why it failed, where it did.
        seconds_left: What the tasks that are not done were expected to take one process.
        seconds_done: What those that are done were.
    """

    def __init__(self, step: Step):
        self.step = step
        self.failed: dict[int, str] = {}
        self.seconds_left = sum(sum(part.sizes) / part.rate for part in step.parts)
        self.seconds_done = 0.0
        self._errors: dict[int, list[tuple[int, str]]] = {number: [] for number in range(len(step.parts))}
        self._open_tasks = {number: len(part.tasks) for number, part in enumerate(step.parts)}
        self._items = deque(
            Item(number, task, size / part.rate)
            for number, part in enumerate(step.parts)
            for task, size in zip(part.tasks, part.sizes, strict=True)
        )
        for number, part in enumerate(step.parts):
            if not part.tasks:
                self._items.appendleft(self._end(number))

    def __len__(self) -> int:
        """Items that nobody has taken yet."""
        return len(self._items)

    def take(self) -> Item | None:
        """The next item; None where all others wait for what is being done."""
        return self._items.popleft() if self._items else None

    def done(self, item: Item, error: str | None) -> None:
        """Notes that an item is done, or why it failed."""
        number = item.part
        if item.task is None:
            if error:
                self.failed[number] = error
            return
        self.seconds_left -= item.seconds
        self.seconds_done += item.seconds
        self._open_tasks[number] -= 1
        if error:
            self._errors[number].append((item.task.index, error))
        if not self._open_tasks[number]:
            self._items.appendleft(self._end(number))

    def _end(self, number: int) -> Item:
        return Item(
            number,
            num_tasks=len(self.step.parts[number].tasks),
            errors=tuple(error for _, error in sorted(self._errors[number])),
        )
