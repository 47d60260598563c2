"""A job on a Dask cluster."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from seqmill.pipelines import console
from seqmill.pipelines.beam_job import Absence
from seqmill.pipelines.endpoints import unreachable
from seqmill.pipelines.first_worker import VARIABLE, seconds_for_workers
from seqmill.transforms.storage.errors import SeqmillError

_LOOK_SECONDS = 1.0  # between two looks at the cluster
_SECONDS_WITHOUT_WORKERS = 30.0


@contextlib.contextmanager
def cluster_of_this_process(num_threads: int) -> Iterator[str]:
    """A scheduler and a worker in threads of this process, and the address that finds them.

    Dask's own default would start processes, with ports that others can reach.
    """
    from distributed import LocalCluster

    here = "127.0.0.1:0"
    with LocalCluster(
        n_workers=1,
        threads_per_worker=num_threads,
        processes=False,
        dashboard_address=here,
        worker_dashboard_address=here,
    ) as cluster:
        yield cluster.scheduler_address


def check_scheduler(address: str, seconds: float) -> None:
    """Raises SeqmillError where another server listens at an address: Dask would ask it for ever."""
    why = "no answer that Dask understands"
    try:
        kind = asyncio.run(asyncio.wait_for(_kind(address, seconds), seconds))
        why = f"it is a {kind}"
    except (OSError, ValueError, TimeoutError):
        kind = ""
    if kind != "Scheduler":
        raise SeqmillError(f"--dask_client_address={address}: no Dask scheduler listens there ({why})")


async def _kind(address: str, seconds: float) -> str:
    from distributed.core import connect, send_recv
    from distributed.security import Security

    comm = await connect(address, timeout=seconds, **Security().get_connection_args("client"))
    try:
        return str((await send_recv(comm, op="identity", reply=True))["type"])
    finally:
        comm.abort()


class DaskJob:
    """See ``beam_job.Job``.

    A client whose scheduler has vanished tries to reach it for as long as it is let, and takes its work for
    cancelled.
    """

    def __init__(self, result: Any):
        self._client, self._futures = result.client, result.futures
        self._address = str(self._client.scheduler.address)
        self._absence = Absence("the Dask scheduler", self._address)
        self._next_look = 0.0
        self._worker_seen: float | None = None
        self._begun = time.monotonic()
        self._seconds_for_workers = seconds_for_workers()
        self._is_noted = False

    def name(self) -> str:  # noqa: D102
        return f"the work on the Dask scheduler at {self._address}"

    def is_over(self) -> bool:  # noqa: D102
        statuses = {future.status for future in self._futures}
        if statuses == {"finished"}:
            self._close()
            return True
        for future in self._futures:
            if future.status == "error":
                raise future.exception(timeout=10)
        if time.monotonic() >= self._next_look:
            self._look(statuses)
            self._next_look = time.monotonic() + _LOOK_SECONDS
        return False

    def cancel(self) -> None:  # noqa: D102
        is_here = self._address.startswith("inproc")
        if not is_here and (why := unreachable(self._address, seconds=1)) is not None:
            raise ConnectionError(why)
        self._client.cancel(self._futures, force=True)
        self._close()

    def _look(self, statuses: set[str]) -> None:
        """Raises SeqmillError where the work is lost, or nobody is there to do it."""
        if self._address.startswith("inproc") or not self._absence.look():
            return
        if statuses & {"cancelled", "lost"}:
            raise SeqmillError(
                f"the Dask scheduler at {self._address} has lost the work; was it started anew?"
            )
        now = time.monotonic()
        if self._client.scheduler_info().get("n_workers", 1):
            self._worker_seen = now
        elif self._worker_seen is None:
            if not self._is_noted:
                console.say(f"waiting for workers of {self._address} (dask worker {self._address})")
                self._is_noted = True
            if now - self._begun > self._seconds_for_workers:
                raise SeqmillError(
                    f"no worker has come to the Dask scheduler at {self._address} in "
                    f"{self._seconds_for_workers} s (dask worker {self._address}); "
                    f"where workers need longer, set {VARIABLE}"
                )
        elif now - self._worker_seen > _SECONDS_WITHOUT_WORKERS:
            raise SeqmillError(f"no Dask worker is left at {self._address}")

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=1)
