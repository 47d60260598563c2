"""One writer per folder, or readers: the operating system drops a lock with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

LOCK_FILE = ".lock"


@contextmanager
def only_writer(folder: str, doing: str) -> Iterator[None]:
    """Keeps all others out of a folder; folders that are not local have no lock.

    Args:
        folder: What only one process may write to; made if it is not there.
        doing: What the process does there, for the messages of others (``"training"``).

    Raises:
        SeqmillError: Another process writes or reads there.
    """
    if not files.is_local(folder):
        yield
        return
    files.make_folder(folder)
    with Path(folder, LOCK_FILE).open("a+") as file:
        _lock(file, folder, doing, fcntl.LOCK_EX)
        yield


@contextmanager
def reader(folder: str, doing: str) -> Iterator[None]:
    """Keeps writers out of a folder while it is read, but no other readers.

    Folders that are not local, or that this process may not write to, have no lock.

    Args:
        folder: What is read.
        doing: What the process does there, for the messages of others.

    Raises:
        SeqmillError: Another process writes there.
    """
    with ExitStack() as held:
        if files.is_local(folder):
            with suppress(OSError):
                file = held.enter_context(Path(folder, LOCK_FILE).open("a+"))
                _lock(file, folder, doing, fcntl.LOCK_SH)
        yield


def _lock(file: Any, folder: str, doing: str, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "run (process unknown)"
        raise SeqmillError(
            f"{folder}: another {holder} is at work here; wait for it or choose another output folder"
        ) from None
    file.truncate(0)
    file.write(f"{doing} (process {os.getpid()})")
    file.flush()
