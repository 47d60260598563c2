"""A step on a runner of Beam's, as Beam's flags say; without any, on its local runner in this process."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from seqmill.pipelines import console, interrupts
from seqmill.pipelines.beam_flags import LOCAL_RUNNERS
from seqmill.pipelines.beam_mends import mend_local_runner
from seqmill.pipelines.cores import num_cores
from seqmill.pipelines.failures import runner_failure
from seqmill.transforms.beam.step import Step
from seqmill.transforms.beam.tasks import RunTasks, clear_failures, read_failures
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


def run_on_beam(
    step: Step, beam_flags: Sequence[str], transform: Callable[[Step], beam.PTransform] | None = None
) -> dict[int, str]:
    """Runs a step to its end, all of it in one job.

    Args:
        step: What to do.
        beam_flags: Beam's own flags.
        transform: What makes a transform of it; by default ``RunTasks``.

    Returns:
        Of the parts that failed, why.

    Raises:
        SeqmillError: The runner failed.
    """
    clear_failures(step)
    options = PipelineOptions(list(beam_flags))
    runner, where = _runner(options, step.num_tasks)
    console.say(f"{step.title}: {step.num_tasks} task{'' if step.num_tasks == 1 else 's'} on {where}")
    # What Beam has to say of a failure is in the exception.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
        pipeline | (transform or RunTasks)(step)
        _execute(pipeline)
    except SeqmillError:
        raise
    except Exception as error:
        interrupts.raise_if_pressed()
        raise runner_failure(step.title, error) from None
    finally:
        for part in step.parts:  # a worker that was lost may have left half a file
            files.remove_temporaries(part.folder)
    failed = read_failures(step)
    clear_failures(step)
    return failed


def _runner(options: PipelineOptions, num_tasks: int) -> tuple[beam.runners.PipelineRunner | None, str]:
    """The local runner, or None for that of the options; and where the work is done, in words."""
    named = options.view_as(StandardOptions).runner
    if named is not None and named.rpartition(".")[2] not in LOCAL_RUNNERS:
        return None, named
    mend_local_runner()
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode == "multi_threading":
        direct.direct_num_workers = min(direct.direct_num_workers or num_cores(), num_tasks)
        return FnApiRunner(), f"Beam's local runner, {direct.direct_num_workers} threads"
    direct.direct_running_mode = "in_memory"
    direct.direct_num_workers = 1
    return FnApiRunner(), "Beam's local runner"


def _execute(pipeline: beam.Pipeline) -> None:
    """Runs a pipeline to its end; on a cluster, an interrupt cancels it."""
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            result.cancel()
        raise
