"""One writer per folder: the operating system drops the lock with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

LOCK_FILE = ".lock"


@contextmanager
def only_writer(folder: str, doing: str) -> Iterator[None]:
    """Holds the lock of a folder; folders that are not local have none.

    Args:
        folder: What only one process may write to; made if it is not there.
        doing: What the process does there, for the message (``"training"``).

    Raises:
        SeqmillError: Another process holds it.
    """
    if not files.is_local(folder):
        yield
        return
    files.make_folder(folder)
    with Path(folder, LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SeqmillError(
                f"{folder}: another {doing} (process {holder}) is writing here; "
                "wait for it or choose another output folder"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
