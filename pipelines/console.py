"""What a run says while it works: messages and progress, on standard error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from seqmill.transforms.storage.progress import totals
from seqmill.transforms.storage.terminal import printable

_console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
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


def say(message: str) -> None:
    """Prints one line of what is going on; where that cannot be written, the work goes on."""
    with suppress(OSError):
        _console.print(printable(message), markup=False)


@contextmanager
def progress(shares: Sequence[Share], run_id: str) -> Iterator[None]:
    """Shows how far workers are, until the block ends: of each share that has begun and is not done.

    Bars on a terminal, which leave nothing, else lines every ten seconds.

    Args:
        shares: What is being done.
        run_id: Of the run that workers report on.
    """
    stop = threading.Event()
    show = _show_bars if _console.is_terminal else _show_lines
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

    def read(self) -> list[tuple[Share, int, int]]:
        """Of the shares that have begun (of all, the first) what is done, and the sequences handled."""
        found: list[tuple[Share, int, int]] = []
        for share in self._open[:_MOST_SHOWN]:
            done, num_seqs = totals(share.folder, self._run_id)
            if done >= share.total:
                self._open.remove(share)
            elif done or num_seqs or not found:
                found.append((share, done, num_seqs))
        return found


def _show_bars(reports: _Reports, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[num_seqs]:,} sequences"),
        TimeRemainingColumn(),
    )
    bars: dict[Share, TaskID] = {}
    with Progress(*columns, console=_console, transient=True) as shown:
        while not stop.wait(_POLL_SECONDS):
            found = reports.read()
            for share in bars.keys() - {share for share, _, _ in found}:
                shown.remove_task(bars.pop(share))
            for share, done, num_seqs in found:
                if share not in bars:
                    bars[share] = shown.add_task(share.label, total=share.total, num_seqs=0)
                shown.update(bars[share], completed=done, num_seqs=num_seqs)


def _show_lines(reports: _Reports, stop: threading.Event) -> None:
    start = last = time.monotonic()
    while not stop.wait(_POLL_SECONDS):
        now = time.monotonic()
        if now - last >= _PLAIN_SECONDS:
            for share, done, num_seqs in reports.read():
                say(f"{share.label}: {done / share.total:.0%}, {num_seqs:,} sequences, {now - start:.0f} s")
            last = now
