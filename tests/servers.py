"""Real servers for tests: found or built beforehand, on loopback, and never left over."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

SECONDS_TO_START = 180  # machines are shared
_FIRST_PORT, _NUM_PORTS = 12_000, 20_000  # below those of connections
_ports = itertools.count(os.getpid() * 251)
# Ends the whole process group when the tests are gone, however they ended.
_GUARD = '"$@" < /dev/null & cat > /dev/null; kill -KILL 0'


def built_engine(name: str) -> str:
    """The path of a server that ``make engines`` builds; a test without it is skipped, or fails if CI=true.

    Args:
        name: ``prism`` or ``minio``. ``SEQMILL_ENGINES`` names their folder where it is not the checkout's.
    """
    here = Path(__file__).resolve().parent.parent / ".engines"
    path = Path(os.environ.get("SEQMILL_ENGINES") or here) / "bin" / name
    if not os.access(path, os.X_OK):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"{path} is not there; `make engines` builds it where Go is installed"
        )
    return str(path)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, for a server that is yet to be started.

    Not of those that the system hands out to whoever connects, and others by turns in each process of tests:
    between this and the start of a server nobody else takes it.
    """
    while True:
        port = _FIRST_PORT + next(_ports) % _NUM_PORTS
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody listens on, or can, until the block ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def wait_until_open(*ports: int) -> None:
    """Waits for servers to listen on ports of 127.0.0.1; a test whose servers do not start fails."""
    deadline = time.monotonic() + SECONDS_TO_START
    for port in ports:
        while not _is_open(port):
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            time.sleep(0.02)


def _is_open(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """Runs a server for the length of a block, in a process group of its own; gives its process.

    Args:
        command: Starts it.
        log: What it prints is written behind what this file holds.
        environment: Variables beside those of this process.
    """
    with log.open("ab") as output:
        guard = psutil.Popen(
            ["sh", "-c", _GUARD, "guard", *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield _child(guard)
    finally:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
        guard.stdin.close()


def _child(guard: psutil.Popen) -> psutil.Process:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        for child in guard.children():
            with suppress(psutil.NoSuchProcess):
                if child.name() not in ("cat", "sh"):
                    return child
        time.sleep(0.01)
    raise AssertionError(f"{guard.cmdline()} has not started, or has ended")
