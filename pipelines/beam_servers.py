"""The servers that a runner of Beam's needs: found, or started for the length of a job, and watched."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    JobServerOptions,
    PortableOptions,
    SparkRunnerOptions,
)

from seqmill.pipelines.beam_job import watch_address
from seqmill.pipelines.beam_options import BeamOptions
from seqmill.pipelines.cores import num_cores
from seqmill.pipelines.endpoints import check_listens, is_this_machine
from seqmill.pipelines.job_server_process import job_server_process
from seqmill.pipelines.prism_server import prism_command
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_DASK_SECONDS = 15.0  # until a scheduler has said what it is


@dataclass(frozen=True)
class Served:
    """A runner with the servers that it needs.

    Attributes:
        runner: A runner of Beam's.
        address: Where its job server listens; "" where that is not known.
        watch: Raises SeqmillError once a server that is needed has vanished.
    """

    runner: Any
    address: str = ""
    watch: Callable[[], object] = lambda: None


@contextlib.contextmanager
def serving(options: BeamOptions) -> Iterator[Served]:
    """The runner of some options, until the block ends.

    Raises:
        SeqmillError: A server is not there, or cannot be started.
    """
    _check_addresses(options)
    if options.name == "DaskRunner":
        from seqmill.pipelines.dask_partitions import PartitionedDaskRunner

        with _dask(options) as address:
            yield Served(PartitionedDaskRunner(), address)
        return
    runner, portable = options.runner(), options.view(PortableOptions)
    if portable.job_endpoint or not hasattr(runner, "default_job_server"):
        yield Served(runner, portable.job_endpoint or "", _watch_pool(options))
    else:
        with _own_job_server(runner, options) as served:
            yield served


def where(options: BeamOptions) -> str:
    """Where work is done, in words."""
    if options.is_local:
        threads = options.view(DirectOptions).direct_num_workers
        return "Beam's local runner" + (f", {threads} threads" if threads > 1 else "")
    portable, name = options.view(PortableOptions), options.name
    if options.name == "DaskRunner":
        dask = _dask_options(options)
        return f"{name} at {dask.address or dask.scheduler_file or 'threads of this process'}"
    if portable.job_endpoint:
        name = f"{name} at {portable.job_endpoint}"
    if has_pool(options):
        return f"{name}, workers of the pool at {portable.environment_config}"
    is_here = (portable.environment_type or "").upper() == "LOOPBACK"
    return f"{name}, workers in this process" if is_here else name


def has_pool(options: BeamOptions) -> bool:
    """Whether workers are started by a pool outside of the runner."""
    return (options.view(PortableOptions).environment_type or "").upper() == "EXTERNAL"


def _check_addresses(options: BeamOptions) -> None:
    """Raises SeqmillError, within seconds, where nobody listens at an address of the options."""
    portable = options.view(PortableOptions)
    flink, spark = options.view(FlinkRunnerOptions).flink_master, options.view(SparkRunnerOptions)
    if options.name == "DaskRunner":
        dask = _dask_options(options)
        if dask.address:
            from seqmill.pipelines.dask_job import check_scheduler

            check_listens("dask_client_address", dask.address, "Dask scheduler")
            seconds = dask.timeout if isinstance(dask.timeout, int) else _DASK_SECONDS
            check_scheduler(dask.address, seconds)
        elif dask.scheduler_file and not files.is_file(dask.scheduler_file):  # Dask would wait for it forever
            raise SeqmillError(f"--dask_scheduler_file={dask.scheduler_file}: no such file")
    elif portable.job_endpoint:
        if portable.job_endpoint != "embed":
            check_listens("job_endpoint", portable.job_endpoint, "job server")
    elif options.name == "FlinkRunner" and ":" in flink:
        check_listens("flink_master", flink, "Flink")
    elif options.name == "SparkRunner" and ":" in spark.spark_master_url:
        check_listens("spark_master_url", spark.spark_master_url, "Spark")
    if pool := _pool(options):
        check_listens("environment_config", pool, "worker pool")


@contextlib.contextmanager
def _dask(options: BeamOptions) -> Iterator[str]:
    """The address of the scheduler; where none is named, of one in this process."""
    dask = _dask_options(options)
    if dask.address or dask.scheduler_file:
        yield dask.address or ""
        return
    from seqmill.pipelines.dask_job import cluster_of_this_process

    with cluster_of_this_process(num_cores()) as dask.address:
        yield dask.address


def _dask_options(options: BeamOptions) -> Any:
    from apache_beam.runners.dask.dask_runner import DaskOptions

    return options.view(DaskOptions)


@contextlib.contextmanager
def _own_job_server(runner: Any, options: BeamOptions) -> Iterator[Served]:
    """A runner and its job server: a process that is started here, or what it has in this one."""
    watch_pool = _watch_pool(options)
    with contextlib.ExitStack() as until_the_end:
        if options.name == "PrismRunner":
            name, command = "Prism", partial(prism_command, options)
        else:
            folder = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="seqmill-artifacts-"))
            server = _server_of(runner, options, folder)
            if not hasattr(server, "subprocess_cmd_and_endpoint"):  # it sends a jar to the cluster
                runner.default_job_server = lambda _: server
                yield Served(runner, watch=watch_pool)
                return
            name = f"the job server of {options.name}"
            command = partial(_jar_command, options, server)
        process = until_the_end.enter_context(job_server_process(name, command))
        runner.default_job_server = lambda _: process

        def watch() -> None:
            process.watch()
            watch_pool()

        yield Served(runner, process.endpoint, watch)


def _server_of(runner: Any, options: BeamOptions, folder: str) -> Any:
    """What a runner brings as its job server, without what ends that at a signal: signals are ours.

    Args:
        runner: One of Beam's.
        options: Of the run.
        folder: For what workers are given, where no flag names one.
    """
    given = options.view(JobServerOptions)
    given.artifacts_dir = given.artifacts_dir or folder
    try:
        server = runner.default_job_server(options.options)
    except Exception as error:
        raise _not_started(options, error) from None
    return getattr(server, "_job_server", server)


def _jar_command(options: BeamOptions, server: Any) -> tuple[list[Any], str]:
    """How a job server is started whose jar is downloaded where no flag names it."""
    try:
        command, endpoint = server.subprocess_cmd_and_endpoint()
    except Exception as error:
        raise _not_started(options, error) from None
    return command, endpoint


def _not_started(options: BeamOptions, error: Exception) -> SeqmillError:
    return SeqmillError(
        f"the job server of {options.name} cannot be started ({error}); start one, and name it by "
        "--job_endpoint=HOST:PORT"
    )


def _watch_pool(options: BeamOptions) -> Callable[[], None]:
    pool = _pool(options)
    return watch_address("the worker pool", pool) if pool else lambda: None


def _pool(options: BeamOptions) -> str | None:
    """The address of the worker pool, where it is on this machine: elsewhere it is what workers see."""
    portable = options.view(PortableOptions)
    address, server = portable.environment_config, portable.job_endpoint
    if not has_pool(options) or not address or "{" in address:
        return None
    is_here = is_this_machine(address) and (server in (None, "embed") or is_this_machine(server))
    return str(address) if is_here else None
