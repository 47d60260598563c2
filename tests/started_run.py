"""The real command with worker processes, as a process to be disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

SHORTLY = 30  # seconds; generous, as machines are shared


class Run:
    """A command in a process group of its own, with two worker processes or what other flags ask for."""

    def __init__(
        self,
        config: Path,
        *,
        output: Path | None = None,
        mode: str | None = "multi_processing",
        flags: Sequence[str] | None = None,
        interpreter: str = sys.executable,
    ):
        self.output = output or config.parent / "out"
        if flags is None:
            flags = [f"--direct_running_mode={mode}", "--direct_num_workers=2"] if mode else []
        self.process = psutil.Popen(
            [
                interpreter,
                "-m",
                "seqmill.pipelines.main",
                "preprocess",
                str(config),
                f"--output={self.output}",
                *flags,
            ],
            cwd=config.parent,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.seen: set[psutil.Process] = set()

    def workers(self) -> list[psutil.Process]:
        """Worker processes that are there now."""
        children = self.process.children(recursive=True) if self.process.is_running() else []
        self.seen.update(children)
        return children

    def ends(self, within: float = SHORTLY) -> str:
        """What the command says; it and its workers must end within some seconds."""
        try:
            said = self.process.communicate(timeout=within)[1]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail("the command did not end")
        deadline = time.monotonic() + SHORTLY
        while alive := [worker for worker in self.seen if is_alive(worker)]:
            assert time.monotonic() < deadline, alive
            time.sleep(0.01)
        return said


def is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # orphans are for init to collect
    except psutil.NoSuchProcess:
        return False


def wait_for(run: Run, condition: Callable[[], Any]) -> Any:
    """What a condition gives once it holds; the command must still run by then."""
    deadline = time.monotonic() + 180  # machines are shared
    while not (found := condition()):
        assert run.process.poll() is None, run.process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    run.workers()
    return found
