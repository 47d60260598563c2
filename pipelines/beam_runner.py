"""Where pipelines run: the local runner and its mode, or any other Beam runner as Beam's flags say."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from seqmill.pipelines import console, interrupts
from seqmill.pipelines.beam_mends import mend_local_runner
from seqmill.pipelines.failures import keep_trace, runner_failure
from seqmill.pipelines.worker_processes import WorkerDied, WorkerProcesses
from seqmill.transforms.beam.tasks import RunTasks, clear_failure, read_failure
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_LOCAL_RUNNERS = ("apache_beam.runners.portability.fn_api_runner.FnApiRunner", "FnApiRunner", "DirectRunner")
_CONTAINER_SHARE = Path("/sys/fs/cgroup/cpu.max")
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
        job.transform.run_here()
    if error := read_failure(folder):
        clear_failure(folder)
        raise SeqmillError(error)
    console.say(f"{job.label}: done in {time.monotonic() - start:.1f} s")


def _run_pipeline(job: Job, beam_flags: Sequence[str]) -> None:
    options = PipelineOptions(list(beam_flags))
    processes = None
    if _names_other_runner(beam_flags):
        runner, where = None, str(options.view_as(StandardOptions).runner)
    else:
        mend_local_runner()
        where, in_processes = _choose_mode(options, job, beam_flags)
        processes = WorkerProcesses() if in_processes else None
        runner = FnApiRunner(default_environment=processes.environment) if processes else FnApiRunner()
    folder, number = job.transform.folder, len(job.transform.tasks)
    console.say(f"{job.label}: {number} task{'' if number == 1 else 's'} on {where}")
    # What Beam has to say of a failure is in the exception.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    _clear_progress(job.progress_folder)
    with contextlib.suppress(Exception):  # no progress is shown then; the work goes on
        files.make_folder(job.progress_folder)
    try:
        with console.progress(job.label, job.total, job.progress_folder, job.transform.run_id):
            pipeline = beam.Pipeline(runner=runner, options=options)
            pipeline | job.transform
            if processes:
                _run_in(processes, pipeline, folder)
            else:
                _execute(pipeline)
    except WorkerDied as error:
        trace = f"; {keep_trace(error.written)}" if error.written else ""
        raise SeqmillError(f"{job.label}: {error}{trace}") from None
    except SeqmillError:
        raise
    except Exception as error:
        interrupts.raise_if_pressed()
        raise runner_failure(job.label, error) from None
    finally:
        _clear_progress(job.progress_folder)
    interrupts.raise_if_pressed()


def _run_in(processes: WorkerProcesses, pipeline: beam.Pipeline, folder: str) -> None:
    """Runs a pipeline in worker processes; those that are ended before their work is leave nothing."""
    try:
        processes.run(lambda: _execute(pipeline))
    except BaseException:
        files.remove_temporaries(folder)
        raise
    finally:
        if processes.left_threads:
            interrupts.leave_threads()


def _execute(pipeline: beam.Pipeline) -> None:
    """Runs a pipeline to its end; on a cluster, an interrupt cancels it."""
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            result.cancel()
        raise


def _clear_progress(folder: str) -> None:
    with contextlib.suppress(Exception):
        files.remove(folder)


def _names_other_runner(flags: Sequence[str]) -> bool:
    named = PipelineOptions(list(flags)).view_as(StandardOptions).runner
    return named is not None and named.rpartition(".")[2] not in _LOCAL_RUNNERS


def _choose_mode(options: PipelineOptions, job: Job, flags: Sequence[str]) -> tuple[str, bool]:
    """Sets the local runner's mode and number of workers where flags leave them open.

    Returns:
        Where the work is done, in words, and whether that is in worker processes of ours.
    """
    direct = options.view_as(DirectOptions)
    given = any(flag.startswith("--direct_num_workers") for flag in flags)
    workers = direct.direct_num_workers if given and direct.direct_num_workers else _num_cores()
    workers = max(1, min(workers, len(job.transform.tasks)))
    if not any(flag.startswith("--direct_running_mode") for flag in flags):
        small = (job.work_bytes < _IN_MEMORY_BYTES and not job.in_processes) or workers == 1
        direct.direct_running_mode = "in_memory" if small else "multi_processing"
    mode = direct.direct_running_mode
    if mode == "in_memory":
        direct.direct_num_workers = 1
        return "one worker in this process", False
    direct.direct_num_workers = workers
    if mode != "multi_processing":
        return f"{workers} workers, {mode}", False
    # The runner's own multi_processing mode makes its own processes; any other mode takes ours.
    direct.direct_running_mode = "in_memory"
    return f"{workers} worker process{'' if workers == 1 else 'es'}", True


def _num_cores() -> int:
    """Cores that this process may use, by its affinity and by its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = map(int, _CONTAINER_SHARE.read_text().split())
        cores = min(cores, math.ceil(quota / period))
    return cores
