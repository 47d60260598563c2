"""A job server as a process that a command starts, watches and ends: Prism, or the one in a jar of Beam's."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import grpc
from apache_beam.portability.api import beam_job_api_pb2_grpc as job_services

from seqmill.transforms.storage.errors import SeqmillError

_DOWNLOAD_SECONDS = 20.0  # without a byte
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_END_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def job_server_process(
    name: str, command_of: Callable[[], tuple[list[Any], str]]
) -> Iterator[JobServerProcess]:
    """A job server, ready for jobs until the block ends; its log stays where an error names it.

    Args:
        name: What messages call it, at the beginning of a sentence too.
        command_of: Gives the command that starts it and the address where it will listen; may download it.

    Raises:
        SeqmillError: It is not there, or does not start.
    """
    with _ending_downloads():
        command, endpoint = command_of()
    server = JobServerProcess(name, [str(word) for word in command], endpoint)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class JobServerProcess:
    """A job server as Beam's runners want one, in a session of its own: Ctrl-C is ours to answer.

    Args:
        name: What messages call it.
        command: Starts it.
        endpoint: Where it will listen.
    """

    def __init__(self, name: str, command: Sequence[str], endpoint: str):
        self.endpoint = endpoint
        self._name = name
        descriptor, self._log = tempfile.mkstemp(prefix="seqmill-job-server-", suffix=".log")
        try:
            with os.fdopen(descriptor, "wb") as log:
                self._process = _start(command, log)
        except OSError as error:
            self._forget_log()
            raise SeqmillError(f"{name} cannot be started: {command[0]}: {error.strerror}") from None
        self._stub: Any = None
        self._log_is_named = False

    def start(self) -> Any:
        """Its job service, once it listens."""
        if self._stub is None:
            deadline = time.monotonic() + _START_SECONDS
            channel = grpc.insecure_channel(self.endpoint)
            ready = grpc.channel_ready_future(channel)
            while not _is_ready(ready):
                self.watch()
                if time.monotonic() > deadline:
                    raise self._error(f"does not listen after {_START_SECONDS:.0f} s")
            self._stub = job_services.JobServiceStub(channel)
        return self._stub

    def watch(self) -> None:
        """Raises SeqmillError where it has ended."""
        if (code := self._process.poll()) is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise self._error(how)

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self._log_is_named:
            self._forget_log()

    def _error(self, what: str) -> SeqmillError:
        self._log_is_named = True
        return SeqmillError(f"{self._name} {what}; its log is {self._log}")

    def _forget_log(self) -> None:
        with contextlib.suppress(OSError):
            Path(self._log).unlink()


@contextlib.contextmanager
def _ending_downloads() -> Iterator[None]:
    """Beam's downloads have no limit of time."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _is_ready(ready: Any) -> bool:
    try:
        ready.result(timeout=_LOOK_SECONDS)
    except grpc.FutureTimeoutError:
        return False
    return True


def _start(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    if shutil.which(command[0]) is None:
        missing = errno.EACCES if Path(command[0]).exists() else errno.ENOENT
        raise OSError(missing, os.strerror(missing))
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


# Not as preexec_fn: Python code in the fork of a process that has threads (of gRPC, say) may crash there.
_END_WITH_PARENT = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
