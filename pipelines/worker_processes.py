"""Worker processes of Beam's local runner, watched from their start to their end.

Beam's own handler of worker processes notices neither a worker that dies nor one that never starts, and hangs
when it is interrupted. Here Beam runs in a thread of its own while the main thread waits for whatever comes
first: the end of the run, the death of a worker or Ctrl-C. Then all workers are killed, and Beam with them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.transforms.environments import Environment
from google.protobuf import json_format, text_format

import seqmill
from seqmill.transforms.storage.errors import SeqmillError

_URN = "seqmill:env:worker_process:v1"
_HOST = "127.0.0.1"
_MODULE = "seqmill.pipelines.local_worker"
_KEPT_LINES = 200  # of what a worker wrote last
_GRACE_SECONDS = 0.3  # a signal to the whole group reaches the driver, too; its own end comes first
_UNWIND_SECONDS = 1.0


class WorkerDied(SeqmillError):
    """A worker process ended before its work did.

    Attributes:
        written: What it wrote last on its standard streams.
    """

    def __init__(self, message: str, written: str):
        super().__init__(message)
        self.written = written


class WorkerProcesses:
    """The worker processes of one run.

    Attributes:
        environment: Where Beam is to run its work: ``FnApiRunner(default_environment=…)``.
        left_threads: Whether Beam's threads were still at work when ``run`` ended.
    """

    def __init__(self) -> None:
        self.environment = _Environment()
        self.left_threads = False
        self._is_over = False
        self._news: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._handlers: list[_Handler] = []
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        worker_handlers.WorkerHandler.register_environment(_URN, bytes)(self._new_handler)

    def run(self, job: Callable[[], Any]) -> None:
        """Runs Beam and returns when it and all worker processes have ended.

        Args:
            job: Runs a pipeline in ``environment`` and waits for its end.

        Raises:
            WorkerDied: A worker process died, or could not start.
            Exception: What ``job`` raised.
        """
        thread = threading.Thread(target=self._run, args=(job,), name="beam", daemon=True)
        error: BaseException | None = None
        try:
            thread.start()
            error = self._news.get()
            if (
                error
                and not isinstance(error, WorkerDied)
                and any(not handler.is_closed for handler in self._handlers)
            ):
                with contextlib.suppress(queue.Empty):  # Beam was the first to see that a worker is gone
                    error = self._news.get(timeout=_UNWIND_SECONDS)
        finally:
            self._end()
            thread.join(_UNWIND_SECONDS)
            self.left_threads = thread.is_alive()
        if error:
            raise error

    def _run(self, job: Callable[[], Any]) -> None:
        try:
            job()
        except BaseException as error:
            self._news.put(error)
        else:
            self._news.put(None)

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
        for process in self._started:
            _kill(process)
        for handler in self._handlers:
            handler.control_conn.fail("the worker process was ended")

    def _new_handler(self, payload: bytes, state: Any, provision_info: Any, grpc_server: Any) -> _Handler:
        handler = _Handler(self, state, provision_info, grpc_server)
        self._handlers.append(handler)
        return handler

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Starts a worker process. Raises SeqmillError where there is no interpreter to start."""
        with self._lock:
            if self._is_over:
                raise SeqmillError("the run is over")
            process = _start(environment)
            self._started.append(process)
        return process

    def report(self, error: WorkerDied) -> None:
        """Ends the run, unless it is over already."""
        time.sleep(_GRACE_SECONDS)
        if not self._is_over:
            self._news.put(error)


@Environment.register_urn(_URN, bytes)
class _Environment(Environment):
    """Tells Beam to ask ``WorkerProcesses`` for workers."""

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        return _URN, b""

    @staticmethod
    def from_runner_api_parameter(payload: bytes, *_: Any) -> _Environment:
        return _Environment()


class _Handler(worker_handlers.GrpcWorkerHandler):
    """Beam's handle of one worker process."""

    def __init__(self, processes: WorkerProcesses, state: Any, provision_info: Any, grpc_server: Any):
        super().__init__(state, provision_info, grpc_server)
        self.control_conn: Any = _Requests(self.control_conn)
        self._processes = processes
        self._process: subprocess.Popen[bytes] | None = None
        self.is_closed = False

    def host_from_worker(self) -> str:
        return _HOST

    def start_worker(self) -> None:
        options = self.provision_info.provision_info.pipeline_options
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        self._process = self._processes.start(
            {
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
                "PIPELINE_OPTIONS": json_format.MessageToJson(options),
                "WORKER_ID": self.worker_id,
            }
        )
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def close(self) -> None:
        self.is_closed = self._process is None or self._process.poll() is None
        super().close()

    def stop_worker(self) -> None:
        if self._process is not None:
            _kill(self._process)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        written: deque[bytes] = deque(maxlen=_KEPT_LINES)
        reader = threading.Thread(target=_read, args=(process.stdout, written), daemon=True)
        reader.start()
        process.wait()
        if not self.is_closed:
            reader.join(_GRACE_SECONDS)
            text = b"".join(written).decode(errors="replace")
            self._processes.report(WorkerDied(_how_it_ended(process.returncode, text), text))
        reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


class _Requests:
    """A worker's connection, whose open and later requests fail once the worker is gone."""

    def __init__(self, connection: worker_handlers.ControlConnection):
        self._connection = connection
        self._open: list[worker_handlers.ControlFuture] = []
        self._reason: str | None = None
        self._lock = threading.Lock()

    def push(self, request: Any) -> Any:
        future = self._connection.push(request)
        if future is not None:
            with self._lock:
                self._open = [*(other for other in self._open if not other.is_done()), future]
            if self._reason:
                self.fail(self._reason)
        return future

    def fail(self, reason: str) -> None:
        self._reason = reason
        with self._lock:
            failed, self._open = self._open, []
        for future in failed:
            if not future.is_done():
                future.set(
                    beam_fn_api_pb2.InstructionResponse(instruction_id=future.instruction_id, error=reason)
                )

    def abort(self, error: Exception) -> None:
        self.fail(str(error))

    def close(self) -> None:
        if self._reason is None:
            self._connection.close()


def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # -P: a random.py in the current folder is not ours. What the driver finds, its workers find, too.
    paths = [str(Path(path).absolute()) for path in sys.path if path]
    home = str(Path(seqmill.__file__).absolute().parent.parent)
    settings = {
        **os.environ,
        **environment,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([*paths, home])),
        "no_grpc_proxy": _HOST,
    }
    # The mask is inherited: a Ctrl-C cannot reach a worker before it has begun to ignore it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(os.getpid())],
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise SeqmillError(
            f"cannot start a worker process: {sys.executable or 'no interpreter'}: {error.strerror}"
        ) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process at once: it has nothing to finish that may still be finished."""
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_UNWIND_SECONDS)


def _read(stream: Any, into: deque[bytes]) -> None:
    while line := stream.readline(10_000):
        into.append(line)


def _how_it_ended(code: int, written: str) -> str:
    if code < 0:
        how = f"was killed by signal {-code}"
        if -code == signal.SIGKILL:
            how += ", as when memory runs out"
        return f"a worker process {how}; what is done is kept, run the same command again"
    lines = written.strip().splitlines()
    why = f": {lines[-1]}" if lines else ""
    return f"a worker process ended with exit code {code}{why}"
