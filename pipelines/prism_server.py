"""Prism, Beam's own portable runner, as a process that a command starts and ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import grpc
from apache_beam.options.pipeline_options import PrismRunnerOptions
from apache_beam.portability.api import beam_job_api_pb2_grpc as job_services
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.version import __version__ as beam_version

from seqmill.pipelines.beam_options import BeamOptions
from seqmill.transforms.storage.errors import SeqmillError

_INSTALL = f"go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
_DOWNLOAD_SECONDS = 20.0  # without a byte
_START_SECONDS = 20.0
_END_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def prism_server(options: BeamOptions) -> Iterator[PrismServer]:
    """Prism, ready for jobs until the block ends; its log stays where that ends by an error.

    Raises:
        SeqmillError: It is not there, or does not start.
    """
    server = PrismServer(options)
    try:
        server.start()
        yield server
        server.forget_log()
    finally:
        server.stop()


class PrismServer:
    """A job server as Beam's runners want one, in a session of its own: Ctrl-C is ours to answer.

    Args:
        options: Those of the run; ``prism_location`` names the program.
    """

    def __init__(self, options: BeamOptions):
        descriptor, self._log = tempfile.mkstemp(prefix="seqmill-prism-", suffix=".log")
        with os.fdopen(descriptor, "wb") as log:
            try:
                command, self.endpoint = _command(options)
                self._process = _start([str(word) for word in command], log)
            except SeqmillError:
                self.forget_log()
                raise
        self._stub: Any = None

    def start(self) -> Any:
        """Its job service, once it listens."""
        if self._stub is None:
            channel = grpc.insecure_channel(self.endpoint)
            try:
                grpc.channel_ready_future(channel).result(timeout=_START_SECONDS)
            except grpc.FutureTimeoutError:
                self.watch()
                raise SeqmillError(f"Prism does not listen after {_START_SECONDS:.0f} s") from None
            self._stub = job_services.JobServiceStub(channel)
        return self._stub

    def watch(self) -> None:
        """Raises SeqmillError where it has ended."""
        if (code := self._process.poll()) is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise SeqmillError(f"Prism {how}; its log is {self._log}")

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget_log(self) -> None:
        """After a run that went well."""
        with contextlib.suppress(OSError):
            Path(self._log).unlink()


def _command(options: BeamOptions) -> tuple[list[Any], str]:
    """How Prism is started, and where it listens then; Beam downloads it where it is not installed."""
    prism = options.view(PrismRunnerOptions)
    installed = shutil.which("prism") or shutil.which(Path.home() / "go" / "bin" / "prism")
    given = prism.prism_location
    if given and "://" not in given and not Path(given).is_file():
        raise SeqmillError(f"--prism_location={given}: no such file; {_INSTALL}")
    prism.prism_location = given or installed
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        return PrismJobServer(options.options).subprocess_cmd_and_endpoint()
    except Exception as error:
        raise SeqmillError(
            f"Prism is not installed and cannot be downloaded ({error}); {_INSTALL}, and name it "
            "by --prism_location"
        ) from None
    finally:
        socket.setdefaulttimeout(before)


def _start(command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise SeqmillError(f"Prism cannot be started: {command[0]}: {error.strerror}") from None


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
