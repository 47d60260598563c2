"""What a run says while it works: messages and progress, on standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from seqmill.transforms.storage.progress import seconds_between, totals
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.storage.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

_POLL_SECONDS = 0.5
_PLAIN_SECONDS = 10.0

_MOST_SHOWN = 8  # of many corpora, those at work


@dataclass(frozen=True)
class Share:
    """A share of the work that is shown by itself.

    Attributes:
        label: What is being done.
        total: What the workers' reports add up to when all is done.
        folder: Where they report.
    """

    label: str
    total: int
    folder: str


class _State:
    bars: Console | None = None  # what draws bars now, and must print lines above them
    is_quiet = False
    kept: list[str] | None = None  # lines that are kept, not printed
    said: ClassVar[set[str]] = set()  # what is not said again


_state = _State()


def be_quiet() -> None:
    """Says nothing any more of what is going on: another process has the terminal."""
    _state.is_quiet = True


@contextmanager
def keeping() -> Iterator[list[str]]:
    """Keeps what is said, in place of printing it, until the block ends."""
    before = _state.kept
    kept: list[str] = []
    _state.kept = kept
    try:
        yield kept
    finally:
        _state.kept = before


def say(message: str, always: bool = False, once: bool = False) -> None:
    """Prints one line of what is going on; where that cannot be written, the work goes on.

    Args:
        message: The line.
        always: Also where ``be_quiet`` was called.
        once: Not where this process has said it before.
    """
    if (_state.is_quiet and not always) or (once and message in _state.said):
        return
    if once:
        _state.said.add(message)
    if _state.kept is not None and not always:
        _state.kept.append(message)
        return
    line, bars = printable(message), _state.bars
    with suppress(OSError, ValueError):
        if bars is not None:
            bars.print(line)
        else:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def progress(shares: Sequence[Share], run_id: str) -> Iterator[None]:
    """Shows how far workers are, until the block ends: of each share that has begun and is not done.

    Bars on a terminal, which leave nothing, else lines every ten seconds.

    Args:
        shares: What is being done.
        run_id: Of the run that workers report on.
    """
    stop = threading.Event()
    show = _show_bars if _is_terminal() else _show_lines
    thread = threading.Thread(target=show, args=(_Reports(shares, run_id), stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_POLL_SECONDS)  # a remote folder may take its time


class _Reports:
    """What workers report of shares that are not done."""

    def __init__(self, shares: Sequence[Share], run_id: str):
        self._open = [share for share in shares if share.total]
        self._run_id = run_id
        self._found: dict[
            str, tuple[float, tuple[int, int]]
        ] = {}  # by folder: when it was asked, what it said

    def read(self) -> list[tuple[Share, int, int]]:
        """Of the shares that have begun (of all, the first) what is done, and the sequences handled."""
        found: list[tuple[Share, int, int]] = []
        for share in self._open[:_MOST_SHOWN]:
            done, num_seqs = self._totals(share.folder)
            if done >= share.total:
                self._open.remove(share)
            elif done or num_seqs or not found:
                found.append((share, done, num_seqs))
        return found

    def _totals(self, folder: str) -> tuple[int, int]:
        """What a folder says; it is not asked more often than workers report."""
        asked, found = self._found.get(folder, (float("-inf"), (0, 0)))
        if time.monotonic() - asked >= seconds_between(folder) / 2:
            found = totals(folder, self._run_id)
            self._found[folder] = time.monotonic(), found
        return found


def _is_terminal() -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return (
            not _state.is_quiet
            and _state.kept is None
            and sys.stderr.isatty()
            and os.environ.get("TERM") != "dumb"
        )
    return False


def _show_bars(reports: _Reports, stop: threading.Event) -> None:
    if stop.wait(_POLL_SECONDS):
        return
    # Where there are no bars to be drawn, the library that does it is not imported.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False, markup=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[num_seqs]:,} sequences"),
        TimeRemainingColumn(),
    )
    bars: dict[Share, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as shown:
        _state.bars = console
        try:
            while True:
                found = reports.read()
                for share in bars.keys() - {share for share, _, _ in found}:
                    shown.remove_task(bars.pop(share))
                for share, done, num_seqs in found:
                    if share not in bars:
                        bars[share] = shown.add_task(share.label, total=share.total, num_seqs=0)
                    shown.update(bars[share], completed=done, num_seqs=num_seqs)
                if stop.wait(_POLL_SECONDS):
                    return
        finally:
            _state.bars = None


def _show_lines(reports: _Reports, stop: threading.Event) -> None:
    start = last = time.monotonic()
    while not stop.wait(_POLL_SECONDS):
        now = time.monotonic()
        if now - last >= _PLAIN_SECONDS:
            for share, done, num_seqs in reports.read():
                seqs = counted(num_seqs, "sequence")
                say(f"{share.label}: {done / share.total:.0%}, {seqs}, {now - start:.0f} s")
            last = now
