"""A step on a runner of Beam's, as Beam's flags say; without any, on its local runner in this process."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from seqmill.pipelines import console, interrupts
from seqmill.pipelines.beam_job import NotGivenToRunner, run_job, watch_address
from seqmill.pipelines.beam_mends import mend_local_runner, mend_loopback_workers
from seqmill.pipelines.beam_options import BeamOptions, beam_options
from seqmill.pipelines.endpoints import check_listens, is_this_machine
from seqmill.pipelines.failures import deepest_cause, runner_failure
from seqmill.transforms.beam.step import Step
from seqmill.transforms.beam.tasks import RunTasks, read_failures
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

# What they have to say of a failure is in the exception.
_LOGGERS = ("apache_beam", "distributed", "PrismRunner", "SdkWorker")


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
    _check_endpoints(options)
    console.say(
        f"{step.title}: {step.num_tasks} task{'' if step.num_tasks == 1 else 's'} on {_where(options)}"
    )
    for name in options.passed_on:
        console.say(f"--{name}: neither seqmill nor Beam knows it; passed on to the job server", once=True)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        _execute(options, (transform or RunTasks)(step))
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


def _execute(options: BeamOptions, transform: beam.PTransform) -> None:
    """Runs a transform to its end."""
    if options.is_local:
        mend_local_runner()
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=options.options)
        pipeline | transform
        pipeline.run().wait_until_finish()
        return
    mend_loopback_workers()
    with _runner(options) as (runner, watch):
        pipeline = beam.Pipeline(runner=runner, options=options.options)
        pipeline | transform
        run_job(pipeline, watch)


@contextlib.contextmanager
def _runner(options: BeamOptions) -> Iterator[tuple[beam.runners.PipelineRunner, Callable[[], None]]]:
    """A runner, with the job server that it needs, and what tells that one of its servers has vanished."""
    if options.name == "DaskRunner":
        from seqmill.pipelines.dask_partitions import PartitionedDaskRunner

        yield PartitionedDaskRunner(), _watch_nothing
        return
    runner, portable = options.runner(), options.view(PortableOptions)
    if portable.job_endpoint or not hasattr(runner, "default_job_server"):
        yield runner, _watch_pool(options)
    elif options.name == "PrismRunner":
        from seqmill.pipelines.prism_server import PrismServer

        server = PrismServer(options)
        try:
            server.start()
            runner.default_job_server = lambda _: server
            yield runner, server.watch
            server.forget_log()
        finally:
            server.stop()
    else:
        # Here, as it sets handlers of signals, which only the main thread can.
        server = runner.default_job_server(options.options)
        try:
            server.start()
        except Exception as error:
            raise SeqmillError(
                f"the job server of {options.name} cannot be started ({error}); start one, and name it by "
                "--job_endpoint=HOST:PORT"
            ) from None
        runner.default_job_server = lambda _: server
        yield runner, _watch_pool(options)


def _check_endpoints(options: BeamOptions) -> None:
    """Raises SeqmillError, within seconds, where nobody listens at an address of the options."""
    portable = options.view(PortableOptions)
    if options.name == "DaskRunner":
        from apache_beam.runners.dask.dask_runner import DaskOptions

        if address := options.view(DaskOptions).address:
            check_listens("dask_client_address", address, "Dask scheduler")
    elif portable.job_endpoint and portable.job_endpoint != "embed":
        check_listens("job_endpoint", portable.job_endpoint, "job server")
    elif options.name == "FlinkRunner" and ":" in (master := options.view(FlinkRunnerOptions).flink_master):
        check_listens("flink_master", master, "Flink")
    elif options.name == "SparkRunner" and ":" in (
        master := options.view(SparkRunnerOptions).spark_master_url
    ):
        check_listens("spark_master_url", master, "Spark")
    if pool := _pool(options):
        check_listens("environment_config", pool, "worker pool")


def _not_given(title: str, options: BeamOptions, error: BaseException | None) -> SeqmillError:
    """What to say of an error that came before there was a job."""
    if isinstance(error, OSError | grpc.FutureTimeoutError):
        server = "no Dask scheduler" if options.name == "DaskRunner" else "no job server"
        return SeqmillError(
            f"{title}: {server} answers where one was named ({deepest_cause(error)}); what is done is kept"
        )
    return runner_failure(title, error or RuntimeError("the runner has no job"))


def _watch_pool(options: BeamOptions) -> Callable[[], None]:
    pool = _pool(options)
    return watch_address(f"the worker pool at {pool}", pool) if pool else _watch_nothing


def _watch_nothing() -> None:
    """Where what is not there any more is noticed by the job itself."""


def _pool(options: BeamOptions) -> str | None:
    """The address of the worker pool, where it is on this machine: elsewhere it is what workers see."""
    portable = options.view(PortableOptions)
    address, server = portable.environment_config, portable.job_endpoint
    if (portable.environment_type or "").upper() != "EXTERNAL" or not address or "{" in address:
        return None
    is_here = is_this_machine(address) and (server in (None, "embed") or is_this_machine(server))
    return str(address) if is_here else None


def _where(options: BeamOptions) -> str:
    """Where work is done, in words."""
    if options.is_local:
        direct = options.view(DirectOptions)
        threads = direct.direct_num_workers
        return "Beam's local runner" + (f", {threads} threads" if threads > 1 else "")
    portable = options.view(PortableOptions)
    at = f" at {portable.job_endpoint}" if portable.job_endpoint else ""
    workers = (portable.environment_type or "").upper()
    config = portable.environment_config
    if workers == "EXTERNAL":
        return f"{options.name}{at}, workers of the pool at {config}"
    if workers == "LOOPBACK":
        return f"{options.name}{at}, workers in this process"
    return f"{options.name}{at}"
