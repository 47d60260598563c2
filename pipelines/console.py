"""What a run says while it works: messages and progress, on standard error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from seqmill.transforms.storage.progress import totals
from seqmill.transforms.storage.terminal import printable

_console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_POLL_SECONDS = 0.5
_PLAIN_SECONDS = 10.0

_Read = Callable[[], tuple[int, int]]  # what is done and the sequences handled, so far


def say(message: str) -> None:
    """Prints one line of what is going on; where that cannot be written, the work goes on."""
    with suppress(OSError):
        _console.print(printable(message), markup=False)


@contextmanager
def progress(label: str, total: int, folder: str, run_id: str) -> Iterator[None]:
    """Shows how far the workers are that report into ``folder``, until the block ends.

    A bar on a terminal, which leaves nothing, else a line every ten seconds.

    Args:
        label: What is being done.
        total: What the workers' reports add up to when all is done.
        folder: Where they report.
        run_id: Of the run they report on.
    """
    stop = threading.Event()
    show = _show_bar if _console.is_terminal else _show_lines
    thread = threading.Thread(
        target=show, args=(label, max(total, 1), lambda: totals(folder, run_id), stop), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_POLL_SECONDS)  # a remote folder may take its time


def _show_bar(label: str, total: int, read: _Read, stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[num_seqs]:,} sequences"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console, transient=True) as bar:
        task = bar.add_task(label, total=total, num_seqs=0)
        while not stop.wait(_POLL_SECONDS):
            done, num_seqs = read()
            bar.update(task, completed=min(done, total), num_seqs=num_seqs)


def _show_lines(label: str, total: int, read: _Read, stop: threading.Event) -> None:
    start = last = time.monotonic()
    while not stop.wait(_POLL_SECONDS):
        now = time.monotonic()
        if now - last >= _PLAIN_SECONDS:
            done, num_seqs = read()
            say(f"{label}: {min(done / total, 1):.0%}, {num_seqs:,} sequences, {now - start:.0f} s")
            last = now
