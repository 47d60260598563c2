"""Where the steps of a command run: in its own process, in worker processes, or on a Beam runner.

Without ``--runner`` a step begins in the command's own process. When the rate of its first tasks shows that
worker processes would be done sooner, they are started while the work goes on, take over when they are there
and stay for the next step. Beam is imported only where a runner of Beam's does the work.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from seqmill.pipelines import console, interrupts
from seqmill.pipelines.beam_flags import LocalFlags, local_flags
from seqmill.pipelines.cores import num_cores, num_processes
from seqmill.pipelines.failures import keep_trace, runner_failure
from seqmill.pipelines.work_queue import WorkQueue
from seqmill.pipelines.worker_processes import WorkerDied, WorkerFailed, WorkerProcesses
from seqmill.transforms.beam.step import Step
from seqmill.transforms.storage import files, output_folder, progress
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.ranges import counted

START_SECONDS = 0.5  # until workers are there


class Engine:
    """Runs the steps of a command; ends its worker processes at the end of a ``with`` block.

    Args:
        beam_flags: Beam's own flags, and those that choose among the processes of this machine.
    """

    def __init__(self, beam_flags: Sequence[str] = ()):
        self._beam_flags = beam_flags
        self._local = local_flags(beam_flags)
        self._processes = WorkerProcesses()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()

    def expect_work(self) -> None:
        """Lets workers, where flags ask for them, be got ready while the input is looked at."""
        if self._local and self._local.in_processes:
            self._processes.begin()

    @property
    def is_this_machine(self) -> bool:
        """Whether steps run in processes of this machine, without a runner of Beam's."""
        return self._local is not None

    def run(self, step: Step, beam_transform: Callable[[Step], Any] | None = None) -> None:
        """Runs a step to its end.

        Args:
            step: What to do.
            beam_transform: What makes a Beam transform of it, where only Beam can do it.

        Raises:
            SeqmillError: Tasks failed, or what runs them; names every corpus. What is done is kept.
        """
        start = time.monotonic()
        with _shown(step):
            if not step.num_tasks or (self._local and beam_transform is None):
                failed = self._run_locally(step)
            else:
                # Where nothing is run on Beam it is not imported.
                from seqmill.pipelines.beam_runner import run_on_beam

                failed = run_on_beam(step, self._beam_flags, beam_transform)
        interrupts.raise_if_pressed()
        if failed:
            raise step.failure(failed)
        console.say(f"{step.title}: done in {time.monotonic() - start:.1f} s")

    def _run_locally(self, step: Step) -> dict[int, str]:
        queue, flags = WorkQueue(step), self._local or LocalFlags(False, 0)
        number = min(flags.num_workers or num_cores(), step.num_tasks)
        in_processes = flags.in_processes
        if in_processes is None:
            in_processes = number > 1 and self._processes.is_ready()
        if in_processes and number:
            console.say(f"{step.title}: {_tasks(step)} on {_processes(number)}")
            self._run_in_processes(queue, number)
        else:
            if step.num_tasks:
                console.say(f"{step.title}: {_tasks(step)} in this process")
            self._run_here(queue, may_start=flags.in_processes is None)
        return queue.failed

    def _run_here(self, queue: WorkQueue, *, may_start: bool) -> None:
        """Does one item after the other, until worker processes are there to do the rest."""
        step, cores, start = queue.step, num_cores() if may_start else 1, time.monotonic()
        is_started = False
        while True:
            seconds_left = _seconds_of_rest(queue, time.monotonic() - start)
            number = num_processes(seconds_left, len(queue), cores, 0 if is_started else START_SECONDS)
            if number > 1:
                self._processes.begin()
                is_started = True
                if self._processes.is_ready():
                    others = counted(len(queue), "task")
                    console.say(f"{step.title}: the other {others} on {_processes(number)}")
                    self._run_in_processes(queue, number)
                    return
            if (item := queue.take()) is None:
                return
            try:
                queue.done(item, item.do(step.parts, step.run_id))
            except Exception as error:
                interrupts.raise_if_pressed()
                raise runner_failure(step.title_of(item.part), error) from None

    def _run_in_processes(self, queue: WorkQueue, number: int) -> None:
        step = queue.step
        try:
            self._processes.run(queue, number)
        except BaseException as error:
            self._processes.close()
            for part in step.parts:  # those that are ended before their work is leave nothing
                files.remove_temporaries(part.folder)
            if isinstance(error, WorkerDied):
                trace = f"; {keep_trace(error.written)}" if error.written else ""
                raise SeqmillError(f"{step.title}: {error}{trace}") from None
            if isinstance(error, WorkerFailed):
                title = step.title_of(error.part)
                raise SeqmillError(
                    f"{title}: {error.cause}; what is done is kept; {keep_trace(error.trace)}"
                ) from None
            raise


def _seconds_of_rest(queue: WorkQueue, seconds: float) -> float:
    """What the rest of a queue takes one process: as expected, or as ``seconds`` of work have shown."""
    return queue.seconds_left * (seconds / queue.seconds_done if queue.seconds_done else 1)


def _tasks(step: Step) -> str:
    return counted(step.num_tasks, "task")


def _processes(number: int) -> str:
    return f"{number} worker process{'' if number == 1 else 'es'}"


@contextlib.contextmanager
def _shown(step: Step) -> Iterator[None]:
    """Shows how far workers are that report into the folders of a step's parts."""
    folders, start = [output_folder.progress_folder(part.folder) for part in step.parts], time.monotonic()
    with contextlib.suppress(Exception):  # no progress is shown then; the work goes on
        for folder in folders:
            files.make_folder(folder)
    shares = [
        console.Share(step.title_of(number), sum(part.sizes), folder)
        for number, (part, folder) in enumerate(zip(step.parts, folders, strict=True))
    ]
    try:
        with console.progress(shares, step.run_id):
            yield
    finally:
        _clear([folder for folder in folders if time.monotonic() - start >= _least_seconds(folder)])


def _clear(folders: list[str]) -> None:
    for folder in folders:
        with contextlib.suppress(Exception), files.impatient():
            files.remove(folder)


def _least_seconds(folder: str) -> float:
    """How long a step lasts at least if there is a report in a folder."""
    return 0.0 if files.is_local(folder) else progress.seconds_between(folder)
