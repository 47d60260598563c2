"""A step on a runner of Beam's, as Beam's flags say; without any, on its local runner in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PortableOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from seqmill.pipelines import console, interrupts
from seqmill.pipelines.beam_job import NotGivenToRunner, run_job
from seqmill.pipelines.beam_mends import mend_local_runner, mend_loopback_workers
from seqmill.pipelines.beam_options import BeamOptions, beam_options
from seqmill.pipelines.beam_servers import has_pool, serving, where
from seqmill.pipelines.failures import deepest_cause, runner_failure
from seqmill.pipelines.first_worker import watch_first_worker
from seqmill.transforms.beam.step import Step
from seqmill.transforms.beam.tasks import RunTasks, read_failures
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.ranges import counted

# What they have to say of a failure is in the exception.
_LOGGERS = ("apache_beam", "distributed", "distributed.client", "PrismRunner", "SdkWorker")


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
    options = beam_options(beam_flags, step.num_tasks)
    console.say(f"{step.title}: {counted(step.num_tasks, 'task')} on {where(options)}")
    for name in options.passed_on:
        console.say(f"--{name}: neither seqmill nor Beam knows it; passed on to the job server", once=True)
    _silence_runners()
    try:
        if transform is None:
            _execute(options, RunTasks(step), step)
        else:
            _execute(options, transform(step))
    except SeqmillError as error:
        raise SeqmillError(f"{step.title}: {error}; what is done is kept") from None
    except NotGivenToRunner as error:
        raise _not_given(step.title, options, error.__cause__) from None
    except Exception as error:
        interrupts.raise_if_pressed()
        raise runner_failure(step.title, error) from None
    finally:
        for part in step.parts:  # a worker that was lost may have left half a file
            files.remove_temporaries(part.folder)
    return read_failures(step)


def _execute(options: BeamOptions, transform: beam.PTransform, begins_with: Step | None = None) -> None:
    """Runs a transform to its end; where it begins with the tasks of a step, they must begin soon."""
    if options.is_local:
        mend_local_runner()
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=options.options)
        pipeline | transform
        pipeline.run().wait_until_finish()
        return
    mend_loopback_workers()
    with serving(options) as served:
        pipeline = beam.Pipeline(runner=served.runner, options=options.options)
        pipeline | transform
        watches = [served.watch]
        if begins_with is not None and has_pool(options):
            watches.append(watch_first_worker(begins_with, where(options)))
        run_job(pipeline, served.address, lambda: [watch() for watch in watches])


def _silence_runners() -> None:
    """Keeps off the terminal what comes as an exception, too, or needs nobody's attention."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threading.excepthook = lambda _: None  # threads of gRPC's end by exceptions where a server ends


def _not_given(title: str, options: BeamOptions, error: BaseException | None) -> SeqmillError:
    """What to say of an error that came before there was a job."""
    if isinstance(error, grpc.FutureTimeoutError):
        why = f"no job server in {options.view(PortableOptions).job_server_timeout} s"
    elif isinstance(error, OSError):
        why = deepest_cause(error)
    else:
        return runner_failure(title, error or RuntimeError("the runner has no job"))
    return SeqmillError(f"{title}: no answer from {where(options)} ({why}); what is done is kept")
