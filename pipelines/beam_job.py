"""A job that a runner of Beam's has been given: waiting for its end, noticing that nobody does it any more.

Beam's own waiting has no limit: it never ends where a server or its workers have vanished.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import apache_beam as beam

from seqmill.pipelines import console
from seqmill.pipelines.endpoints import is_this_machine, unreachable
from seqmill.transforms.storage.errors import SeqmillError

_POLL_SECONDS = (0.02, 0.5)  # the first and the longest pause between two questions
_SECONDS_AWAY = 20.0  # that a server may be away
_SECONDS_AWAY_HERE = 3.0  # on this machine: no network can be at fault
_CANCEL_SECONDS = 2.5  # an interrupted command has to end soon


class NotGivenToRunner(Exception):
    """What a runner raised before it had a job, as ``__cause__``."""


class Job(Protocol):
    """A job on a runner."""

    def name(self) -> str:
        """What people find it by."""

    def is_over(self) -> bool:
        """Whether it has succeeded. Raises an error where it failed, or nobody answers any more."""

    def cancel(self) -> None:
        """Ends it; returns once its end is certain."""


def run_job(pipeline: beam.Pipeline, address: str, watch: Callable[[], object]) -> None:
    """Gives a pipeline to its runner and waits for its end; whatever ends the waiting, ends the job.

    Args:
        pipeline: On any runner but Beam's local one.
        address: Where the runner's server listens.
        watch: Called while waiting; raises SeqmillError where there is nothing to wait for any more.

    Raises:
        NotGivenToRunner: There is no job.
        Exception: What made the job fail, as its runner tells it.
    """
    submission = _InThread(pipeline.run)
    job: Job | None = None
    try:
        _wait(submission.is_over, watch)
        try:
            result = submission.result()
        except Exception as error:
            raise NotGivenToRunner from error
        job = job_of(result, address)
        _wait(job.is_over, watch)
    except NotGivenToRunner:
        raise
    except BaseException as error:
        if job is None and submission.ends_within(_CANCEL_SECONDS):
            with contextlib.suppress(Exception):
                job = job_of(submission.result(), address)
        outcome = _cancel(job) if job else "the job was being handed over; it may still run"
        if isinstance(error, KeyboardInterrupt):
            console.say(outcome, always=True)
        raise


def job_of(result: Any, address: str) -> Job:
    """The job behind what a runner has returned."""
    from seqmill.pipelines.portable_job import PortableJob, is_portable

    if is_portable(result):
        return PortableJob(result, address)
    if hasattr(result, "futures"):
        from seqmill.pipelines.dask_job import DaskJob

        return DaskJob(result)
    return _OtherJob(result)


class Absence:
    """For how long a server has not answered.

    Args:
        what: The server, in words.
        address: Where it listened.
    """

    def __init__(self, what: str, address: str):
        self._what, self._address = what, address
        self._seconds = _SECONDS_AWAY_HERE if is_this_machine(address) else _SECONDS_AWAY
        self._since: float | None = None

    def ends(self) -> None:
        """It has answered."""
        self._since = None

    def goes_on(self, why: str) -> None:
        """It has not. Raises SeqmillError where that lasts."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._seconds:
            raise SeqmillError(f"{self._what} at {self._address} does not answer any more ({why})")

    def look(self) -> bool:
        """Whether somebody listens there now. Raises SeqmillError where nobody has for too long."""
        if (why := unreachable(self._address, seconds=5)) is not None:
            self.goes_on(why)
            return False
        self.ends()
        return True


def watch_address(what: str, address: str) -> Callable[[], None]:
    """What raises SeqmillError once nobody listens at an address any more."""
    absence, last = Absence(what, address), 0.0

    def watch() -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            absence.look()
            last = time.monotonic()

    return watch


def _wait(is_over: Callable[[], bool], watch: Callable[[], object]) -> None:
    pause, longest = _POLL_SECONDS
    while not is_over():
        watch()
        time.sleep(pause)
        pause = min(1.5 * pause, longest)


def _cancel(job: Job) -> str:
    """Ends a job. Returns what has become of which."""
    cancelling = _InThread(job.cancel)
    try:
        if cancelling.ends_within(_CANCEL_SECONDS):
            cancelling.result()
            return f"{job.name()} was cancelled"
        why = "no answer"
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
    return f"{job.name()} could not be cancelled ({why}); it may still run"


class _InThread:
    """A call in a thread of its own: the main thread stays able to be interrupted."""

    def __init__(self, call: Callable[[], Any]):
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return self.is_over()

    def result(self) -> Any:
        """What the call gave; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error


class _OtherJob:
    """A job on a runner that nothing more is known of."""

    def __init__(self, result: Any):
        self._result = result
        self._waiting = _InThread(result.wait_until_finish)

    def name(self) -> str:
        job_id = getattr(self._result, "job_id", None)
        return f"job {job_id() if callable(job_id) else job_id or 'of the runner'}"

    def is_over(self) -> bool:
        if not self._waiting.is_over():
            return False
        self._waiting.result()
        return True

    def cancel(self) -> None:
        self._result.cancel()
