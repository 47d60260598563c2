"""Where pipelines run: the local runner and its mode, or any other Beam runner as Beam's flags say."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from seqmill.pipelines import console
from seqmill.transforms.beam.tasks import RunTasks, clear_failure, read_failure
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError

_LOCAL_RUNNERS = ("apache_beam.runners.portability.fn_api_runner.FnApiRunner", "FnApiRunner", "DirectRunner")
_IN_MEMORY_BYTES = 64_000_000  # less work than this is done before worker processes have started


@dataclass(frozen=True)
class Job:
    """What to run and how to show it.

    Attributes:
        label: What is being done, for people.
        transform: The tasks.
        work_bytes: Size of the work, by which the mode is chosen.
        total: What the workers' progress reports add up to.
        progress_folder: Where they report.
        in_processes: Use worker processes however small the input is (audio is slow to decode).
    """

    label: str
    transform: RunTasks
    work_bytes: int
    total: int
    progress_folder: str
    in_processes: bool = False


def run(job: Job, beam_flags: Sequence[str]) -> None:
    """Runs a job to its end.

    Args:
        job: What to run.
        beam_flags: Beam's own flags; without ``--runner`` the local runner is used.

    Raises:
        SeqmillError: A task failed, or the runner did.
    """
    folder = job.transform.folder
    clear_failure(folder)
    start = time.monotonic()
    if job.transform.tasks:
        _run_pipeline(job, beam_flags)
    else:
        job.transform.finish_alone()
    if error := read_failure(folder):
        clear_failure(folder)
        raise SeqmillError(error)
    console.say(f"{job.label}: done in {time.monotonic() - start:.1f} s")


def _run_pipeline(job: Job, beam_flags: Sequence[str]) -> None:
    options = PipelineOptions(list(beam_flags))
    runner = None if _names_other_runner(beam_flags) else _local_runner(options, job, beam_flags)
    number = len(job.transform.tasks)
    console.say(f"{job.label}: {number} task{'' if number == 1 else 's'} on {_describe(options, runner)}")
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    files.remove(job.progress_folder)
    files.make_folder(job.progress_folder)
    try:
        with console.progress(job.label, job.total, job.progress_folder):
            pipeline = beam.Pipeline(runner=runner, options=options)
            pipeline | job.transform
            pipeline.run().wait_until_finish()
    finally:
        files.remove(job.progress_folder)


def check_beam_flags(flags: Sequence[str], suggest_from: Sequence[str]) -> None:
    """Refuses flags that neither seqmill nor Beam knows.

    Raises:
        UsageError: Names the first unknown flag and what is near it.
    """
    from seqmill.pipelines.config import did_you_mean

    known = beam_flag_names(flags)
    for before, flag in pairwise(["", *flags]):
        # A word behind --flag may be its value.
        if not flag.startswith("--") and (not before.startswith("--") or "=" in before):
            raise UsageError(f"{flag}: unexpected argument; expected one CONFIG, and options as --name=value")
        if flag.startswith("--"):
            name = flag[2:].partition("=")[0]
            if name not in known:
                near = did_you_mean(f"--{name}", [f"--{option}" for option in (*suggest_from, *known)])
                raise UsageError(f"--{name}: unknown option{near}")


def beam_flag_names(flags: Sequence[str]) -> set[str]:
    """Names of the flags that Beam's installed options define, those of the named runner included."""
    for flag in flags:
        if flag.startswith("--runner=") and "." in flag:
            module = flag.partition("=")[2].rpartition(".")[0]
            try:
                import_module(module)
            except ImportError as error:
                raise UsageError(f"{flag}: cannot be imported ({error})") from None
    parser = _FlagNames()
    for options in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(options):
            options._add_argparse_args(parser)
    return parser.names


class _FlagNames:
    """Stands for an argument parser where only the flags' names are wanted."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_argument(self, *flags: str, **_: object) -> None:
        self.names |= {flag.lstrip("-") for flag in flags}

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **_: object) -> _FlagNames:
        return self

    add_argument_group = add_mutually_exclusive_group


def _all_subclasses(kind: Any) -> list[Any]:
    found: list[Any] = []
    for child in kind.__subclasses__():
        found += [child, *_all_subclasses(child)]
    return found


def _names_other_runner(flags: Sequence[str]) -> bool:
    named = PipelineOptions(list(flags)).view_as(StandardOptions).runner
    return named is not None and named.rpartition(".")[2] not in _LOCAL_RUNNERS


def _local_runner(options: PipelineOptions, job: Job, flags: Sequence[str]) -> FnApiRunner:
    """The local runner; sets its mode and number of workers where flags leave them open."""
    direct = options.view_as(DirectOptions)
    if not any(flag.startswith("--direct_running_mode") for flag in flags):
        small = job.work_bytes < _IN_MEMORY_BYTES and not job.in_processes
        direct.direct_running_mode = "in_memory" if small else "multi_processing"
    if direct.direct_running_mode == "in_memory":
        direct.direct_num_workers = 1
        return FnApiRunner()
    _keep_streams_whole()
    given = any(flag.startswith("--direct_num_workers") for flag in flags)
    workers = direct.direct_num_workers if given and direct.direct_num_workers else os.cpu_count() or 1
    direct.direct_num_workers = max(1, min(workers, len(job.transform.tasks)))
    if direct.direct_running_mode != "multi_processing":
        return FnApiRunner()
    # The runner's own multi_processing mode fixes the worker's command; any other mode takes ours.
    direct.direct_running_mode = "in_memory"
    # Ctrl-C reaches the whole process group; the driver alone answers it, and ends its workers.
    command = f"trap '' INT; exec {sys.executable} -m seqmill.pipelines.local_worker"
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))


def _describe(options: PipelineOptions, runner: FnApiRunner | None) -> str:
    if runner is None:
        return str(options.view_as(StandardOptions).runner)
    direct = options.view_as(DirectOptions)
    if isinstance(runner._default_environment, SubprocessSDKEnvironment):
        return f"{direct.direct_num_workers} worker process{'' if direct.direct_num_workers == 1 else 'es'}"
    if direct.direct_running_mode == "in_memory":
        return "one worker in this process"
    return f"{direct.direct_num_workers} workers, {direct.direct_running_mode}"


def _keep_streams_whole() -> None:
    """Keeps Beam's local runner from losing data.

    Its buffered streams to worker processes are flushed by a timer without a lock once they stay open for
    over a second, and elements vanish without an error (Beam 2.77). A negative limit turns the timer off;
    elements here are too small to need it.
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = -1
