"""A step of a run: independent tasks over all corpora, and what puts each corpus' results together.

A task writes its files whole and leaves a receipt; a rerun takes receipts that still fit and runs only the
other tasks. Failures that a user can mend are results, not exceptions, so that they are reported in the same
way wherever tasks run, and no runner retries them. Beam is not needed here: ``tasks.RunTasks`` is a step as a
Beam pipeline, ``seqmill.pipelines.engine`` also runs one without.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seqmill.transforms.storage import files, output_folder, progress
from seqmill.transforms.storage.errors import SeqmillError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@dataclass(frozen=True)
class Part:
    """What a step does for one corpus.

    Attributes:
        corpus: Its name; "" where the step concerns none in particular.
        folder: Where its results are written.
        tasks: Small picklable elements with an ``index``.
        sizes: Of each task what the workers' reports of it add up to.
        work: Does one task; raises SeqmillError where the user must mend something.
        finish: Called with the number of tasks after all of them succeeded; writes the result.
        rate: What of ``sizes`` one process does in a second, as far as is known before; rather too much.
    """

    corpus: str
    folder: str
    tasks: Sequence[Any]
    sizes: Sequence[int]
    work: Callable[[Any], None]
    finish: Callable[[int], Any]
    rate: float = 2e9

    def attempt(self, task: Any, run_id: str | None = None) -> str | None:
        """Does a task. Returns why it failed, where a user can mend that."""
        return attempt(lambda: self.work(task), self.folder, run_id)

    def complete(self, num_tasks: int, errors: Sequence[str]) -> str | None:
        """Writes the result, unless tasks have failed. Returns why there is none."""
        try:
            self.result(num_tasks, errors)
        except SeqmillError as error:
            return str(error)
        return None

    def result(self, num_tasks: int, errors: Sequence[str]) -> Any:
        """Writes the result and returns it, unless tasks have failed. Raises SeqmillError."""
        if errors:
            different = list(dict.fromkeys(errors))
            more = f" (and {len(different) - 1} more errors)" if len(different) > 1 else ""
            raise SeqmillError(different[0] + more)
        try:
            return self.finish(num_tasks)
        except OSError as error:
            raise SeqmillError(_describe(error, self.folder)) from None

    def without_tasks(self) -> Part:
        """Small enough to travel with every task."""
        return replace(self, tasks=(), sizes=())


@dataclass(frozen=True)
class Step:
    """A step over all corpora.

    Attributes:
        doing: What is being done, for people.
        parts: A part for each corpus.
        run_id: What tells the progress of this run from that of others in the same folders.
    """

    doing: str
    parts: tuple[Part, ...]
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def num_tasks(self) -> int:
        """Tasks of all parts."""
        return sum(len(part.tasks) for part in self.parts)

    @property
    def title(self) -> str:
        """What is being done to which corpora.

        >>> from seqmill.transforms.beam.step import Part, Step
        >>> Step("ingest", tuple(Part(name, "", (), (), print, print) for name in ("train", "dev"))).title
        'ingest train, dev'
        """
        names = [part.corpus for part in self.parts if part.corpus]
        shown = names if len(names) <= _MOST_NAMED else [*names[: _MOST_NAMED - 1], f"{len(names)} in all"]
        return f"{self.doing} {', '.join(shown)}".strip()

    def title_of(self, part: int) -> str:
        """What is being done to the corpus of a part."""
        return f"{self.doing} {self.parts[part].corpus}".strip()

    def failure(self, errors: dict[int, str]) -> SeqmillError:
        """What to say of parts that failed: of each its corpus and why."""
        lines = []
        for part, error in sorted(errors.items()):
            is_named = error.startswith(f"corpus {self.parts[part].corpus}:")
            lines.append(error if is_named else f"{self.title_of(part)}: {error}")
        return SeqmillError("\n".join(lines))


_MOST_NAMED = 6


def attempt(work: Callable[[], None], folder: str, run_id: str | None) -> str | None:
    """Does the work of a task. Returns why it failed, where a user can mend that.

    Args:
        work: Does it.
        folder: Where the run writes.
        run_id: Of the run, for its progress; None where nobody watches it.
    """
    if run_id is not None:
        progress.begin(output_folder.progress_folder(folder), run_id)
    try:
        with files.remembering():
            work()
    except SeqmillError as error:
        return str(error)
    except OSError as error:
        return _describe(error, folder)
    return None


def _describe(error: OSError, folder: str) -> str:
    """One line: which file, and what the system says of it."""
    path = str(error.filename or folder)
    is_written = error.errno in _NO_SPACE or path.startswith(folder)
    doing = "cannot write" if is_written else "cannot read"
    return f"{path}: {doing}: {error.strerror or error}"
