"""Engines that tests start on this machine, as somebody would start them on a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from pools_in_turn import pools_in_turn
from servers import built_engine, free_port, server, wait_until_open
from started_run import is_alive


def environment() -> dict[str, str]:
    """Variables by which workers find seqmill where tests do, and pools the python that they start."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


@dataclass(frozen=True)
class Cluster:
    """An engine that runs.

    Attributes:
        flags: How a command is told to use it.
        workers: The processes that do its work, or start those that do.
        head: The process that hands out the work.
        add_worker: Starts one more of ``workers``.
        at_work: The processes that do work.
        is_idle: Whether they do none now.
    """

    flags: tuple[str, ...]
    workers: list[psutil.Process] = field(default_factory=list)
    head: psutil.Process | None = None
    add_worker: Callable[[], None] | None = None
    at_work: Callable[[], list[psutil.Process]] | None = None
    is_idle: Callable[[], bool] | None = None


@contextmanager
def prism(folder: Path) -> Iterator[Cluster]:
    """Prism as a server; the command itself does the work."""
    port, web = free_port(), free_port()
    command = [built_engine("prism"), f"--job_port={port}", f"--web_port={web}", "--log_level=error"]
    with server(command, folder / "prism.log") as head:
        wait_until_open(port)
        yield Cluster(("--runner=PrismRunner", f"--job_endpoint=127.0.0.1:{port}"), head=head)


_JAVA = """#!/bin/sh
while [ "$1" != --job-port ]; do shift; done
exec {python} -m apache_beam.runners.portability.local_job_service_main -p "$2"
"""


@contextmanager
def flink(folder: Path) -> Iterator[Cluster]:
    """Flink's job server as the command starts it, with Beam's own service in place of its jar."""
    java, jar = folder / "java", folder / "job-server.jar"
    java.write_text(_JAVA.format(python=sys.executable))
    java.chmod(0o755)
    jar.touch()
    yield Cluster(
        ("--runner=flink", f"--flink_job_server_jar={jar}", f"--job_server_java_launcher={java}"),
    )


@contextmanager
def job_service(
    folder: Path, variables: Mapping[str, str] | None = None, num_pools: int = 2
) -> Iterator[Cluster]:
    """Beam's portable job service and worker pools outside of it; each of its jobs takes the next pool."""
    port, pool_ports = free_port(), [free_port() for _ in range(num_pools)]
    with ExitStack() as started:
        start = partial(_start, started, folder, variables)
        service = start("apache_beam.runners.portability.local_job_service_main", "-p", str(port))
        pools = [
            start("apache_beam.runners.worker.worker_pool_main", f"--service_port={pool_port}")
            for pool_port in pool_ports
        ]
        wait_until_open(port, *pool_ports)
        flags = (
            "--runner=PortableRunner",
            f"--job_endpoint=127.0.0.1:{port}",
            "--environment_type=EXTERNAL",
            f"--environment_config={started.enter_context(pools_in_turn(pool_ports))}",
        )

        def at_work() -> list[psutil.Process]:
            return [child for pool in pools for child in pool.children() if is_alive(child)]

        yield Cluster(flags, pools, service, at_work=at_work, is_idle=lambda: not at_work())


@contextmanager
def dask(folder: Path, variables: Mapping[str, str] | None = None, num_workers: int = 2) -> Iterator[Cluster]:
    """A Dask scheduler and workers of one thread each."""
    from distributed import Client

    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as started:
        start = partial(_start, started, folder, variables)
        here = ("--host=127.0.0.1", "--no-dashboard")
        scheduler = start("distributed.cli.dask_scheduler", *here, f"--port={port}")
        workers: list[psutil.Process] = []

        def add_worker() -> None:
            own = ("--nthreads=1", "--no-nanny", f"--local-directory={folder / str(len(workers))}")
            workers.append(start("distributed.cli.dask_worker", address, *here, *own))

        for _ in range(num_workers):
            add_worker()
        wait_until_open(port)
        with Client(address, timeout=180) as client:
            if num_workers:
                client.wait_for_workers(num_workers, timeout=180)

        def is_idle() -> bool:
            with Client(address, timeout=180) as client:
                return not any(client.run(lambda dask_worker: dask_worker.state.executing_count).values())

        flags = ("--runner=dask", f"--dask_client_address={address}")
        yield Cluster(flags, workers, scheduler, add_worker, lambda: workers, is_idle)


def _start(
    started: ExitStack, folder: Path, variables: Mapping[str, str] | None, module: str, *arguments: str
) -> psutil.Process:
    """Runs a module until the end of a block; its log is in a folder."""
    log = folder / f"{module.rpartition('.')[2]}.log"
    command = [sys.executable, "-m", module, *arguments]
    return started.enter_context(server(command, log, {**environment(), **(variables or {})}))
