"""Worker processes of this machine: forked from one that has imported everything, watched to their end.

Whatever happens to one of them ends the run with one line; none outlives the driver or writes after a run has
ended. They are told by sockets that nobody else can reach, and open no port.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import seqmill
from seqmill.pipelines.local_worker import NEW_WORKER, NUMBER
from seqmill.pipelines.work_queue import Item, WorkQueue
from seqmill.transforms.storage.errors import SeqmillError

_MODULE = "seqmill.pipelines.local_worker"
_CAN_FORK = sys.platform == "linux"  # elsewhere libraries of the system do not survive it
_KEPT_LINES = 200  # of what workers wrote last
_GRACE_SECONDS = 0.3  # a signal to the whole group reaches the driver, too; its own end comes first
_UNWIND_SECONDS = 1.0


class WorkerDied(SeqmillError):
    """A worker process ended before its work did.

    Attributes:
        written: What workers wrote last on their standard streams.
    """

    def __init__(self, message: str, written: str):
        super().__init__(message)
        self.written = written


class WorkerFailed(Exception):
    """A task raised what no user can mend.

    Attributes:
        part: Of the step.
        cause: One line.
        trace: The worker's.
    """

    def __init__(self, part: int, cause: str, trace: str):
        super().__init__(cause)
        self.part = part
        self.cause = cause
        self.trace = trace


class WorkerProcesses:
    """The worker processes of a command; they stay for its next step.

    Args:
        forked: Whether workers are forked, or each is started and imports everything itself.
    """

    def __init__(self, *, forked: bool = _CAN_FORK):
        self._forked = forked
        self._starters: list[_Starter] = []
        self._workers: list[_Worker] = []

    def begin(self) -> None:
        """Starts the process that workers are forked from; returns at once."""
        if not self._starters:
            self._starters.append(_Starter(self._forked))

    def is_ready(self) -> bool:
        """Whether workers can be had at once."""
        return bool(self._workers) or any(starter.is_ready() for starter in self._starters)

    def run(self, queue: WorkQueue, number: int) -> None:
        """Does all items of a queue.

        Args:
            queue: What is to be done.
            number: How many processes do it.

        Raises:
            WorkerDied: A worker process died, or could not start.
            WorkerFailed: A task raised what no user can mend.
        """
        step = queue.step
        parts = tuple(part.without_tasks() for part in step.parts)
        idle = self._started(number)
        for worker in idle:
            worker.send((parts, step.run_id))
        busy: dict[Connection, tuple[_Worker, Item]] = {}
        while True:
            while idle and (item := queue.take()):
                worker = idle.pop()
                worker.send(item)
                busy[worker.connection] = worker, item
            if not busy:
                return
            for ready in connection.wait([*busy, *(worker.connection for worker in idle)]):
                if ready not in busy:
                    next(worker for worker in idle if worker.connection is ready).receive()
                worker, item = busy.pop(ready)  # type: ignore[call-overload]
                is_done, result = worker.receive()
                if not is_done:
                    raise WorkerFailed(item.part, *result)
                queue.done(item, result)
                idle.append(worker)

    def close(self) -> None:
        """Ends all processes at once: they have nothing to finish that may still be finished."""
        for worker in self._workers:
            worker.kill()
        for starter in self._starters:
            starter.close()
        self._starters, self._workers = [], []

    def _started(self, number: int) -> list[_Worker]:
        needed = 1 if self._forked else number
        while len(self._starters) < needed:
            self._starters.append(_Starter(self._forked))
        while len(self._workers) < number:
            starter = self._starters[0 if self._forked else len(self._workers)]
            self._workers.append(starter.new_worker())
        return self._workers[:number]


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self, process: int, starter: _Starter, ours: Connection):
        self.connection = ours
        self._process = process
        self._starter = starter

    def send(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except OSError:
            raise self._starter.died(self._process) from None

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise self._starter.died(self._process) from None

    def kill(self) -> None:
        """Ends the process and waits until the system has closed its end of the connection."""
        self._starter.kill(self._process)
        with contextlib.suppress(OSError, EOFError):
            while self.connection.poll(_UNWIND_SECONDS):
                self.connection.recv_bytes()
        self.connection.close()


class _Starter:
    """A process that workers are forked from, or that becomes one."""

    def __init__(self, forks: bool):
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs.fileno(), forks)
        self._written: deque[bytes] = deque(maxlen=_KEPT_LINES)
        self._forks = forks
        self._is_ready = False
        self._reader = threading.Thread(target=_read, args=(self._process.stdout, self._written), daemon=True)
        self._reader.start()

    def is_ready(self) -> bool:
        """Whether it has imported everything, or has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            return self._is_ready or bool(selector.select(0))

    def new_worker(self) -> _Worker:
        """A worker of its own. Raises WorkerDied where there is none to be had."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                if not self._is_ready:
                    self._answer()
                    self._is_ready = True
                socket.send_fds(self._control, [NUMBER.pack(NEW_WORKER)], [theirs.fileno()])
            except (OSError, EOFError):
                ours.close()
                raise self.died(None) from None
        worker = Connection(ours.detach())
        try:
            return _Worker(self._answer(), self, worker)
        except (OSError, EOFError):
            worker.close()
            raise self.died(None) from None

    def died(self, process: int | None) -> WorkerDied:
        """What to say of a worker that has ended; of this process itself, where it is None."""
        time.sleep(_GRACE_SECONDS)
        code: int | None = None
        if self._forks and process is not None:
            with contextlib.suppress(OSError, EOFError):
                self._control.sendall(NUMBER.pack(process))
                code = self._answer()
        if code is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_UNWIND_SECONDS)
        text = b"".join(self._written).decode(errors="replace")
        return WorkerDied(_how_it_ended(code, text), text)

    def kill(self, worker: int) -> None:
        """Ends a worker of its own, whose number nobody else can have while this process lives."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def close(self) -> None:
        """Ends it, when its workers have ended."""
        self._control.close()
        try:
            self._process.wait(_UNWIND_SECONDS if self._is_ready else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_UNWIND_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _answer(self) -> int:
        answer = self._control.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(answer) < NUMBER.size:
            raise EOFError
        return int(NUMBER.unpack(answer)[0])


def _start(control: int, forks: bool) -> subprocess.Popen[bytes]:
    # -P: a random.py in the current folder is not ours. What the driver finds, its workers find, too.
    paths = [str(Path(path).absolute()) for path in sys.path if path]
    home = str(Path(seqmill.__file__).absolute().parent.parent)
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([*paths, home]))}
    # The mask is inherited: a Ctrl-C cannot reach a worker before it has begun to ignore it.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(os.getpid()), str(control), str(int(forks))],
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[control],
        )
    except OSError as error:
        raise SeqmillError(
            f"cannot start a worker process: {sys.executable or 'no interpreter'}: {error.strerror}"
        ) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _read(stream: Any, into: deque[bytes]) -> None:
    while line := stream.readline(10_000):
        into.append(line)


def _how_it_ended(code: int | None, written: str) -> str:
    if code is not None and code < 0:
        how = f"was killed by signal {-code}"
        if -code == signal.SIGKILL:
            how += ", as when memory runs out"
        return f"a worker process {how}; what is done is kept, run the same command again"
    lines = written.strip().splitlines()
    why = f": {lines[-1]}" if lines else ""
    how = "cannot be reached" if code is None else f"ended with exit code {code}"
    return f"a worker process {how}{why}"
