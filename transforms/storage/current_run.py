"""Which run a folder belongs to: what is left over of an earlier one must not overwrite what is newer."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import open_lock

_SECONDS = 60.0


def clear_leftovers(folder: str) -> None:
    """Removes what killed runs have left in a folder: progress, routes, files that were being written."""
    files.remove(output_folder.progress_folder(folder))
    files.remove(output_folder.routes_folder(folder))
    files.remove_temporaries(folder)


def begin_run(folder: str, run: str) -> None:
    """Makes ``run`` (a hash of all that a run is to write) the one that a corpus folder belongs to.

    Raises:
        SeqmillError: A task of another run has been about to publish a file for a minute.
    """
    with _lock(folder, fcntl.LOCK_EX):
        if _read(folder) != run:
            files.write_json(output_folder.run_path(folder), {"run": run})


@contextmanager
def publishing(folder: str, run: str) -> Iterator[None]:
    """Holds off other runs while a file of ``run`` appears under its final name.

    In a folder that is not local, another run that begins between check and publishing goes unnoticed; then
    readers find that the file's hash is not the manifest's.

    Raises:
        SeqmillError: The folder belongs to another run by now.
    """
    with _lock(folder, fcntl.LOCK_SH):
        if _read(folder) != run:
            raise SeqmillError(
                f"{folder}: another run with other options or input has begun here; this one ends without "
                "a trace"
            )
        yield


def _read(folder: str) -> str | None:
    try:
        content = files.read_json(output_folder.run_path(folder))
    except (FileNotFoundError, SeqmillError):
        return None
    return content.get("run") if isinstance(content, dict) else None


@contextmanager
def _lock(folder: str, kind: int) -> Iterator[None]:
    """Waits for the lock of a folder's receipts; none where it is not local or cannot be locked."""
    with ExitStack() as held:
        if files.is_local(folder):
            receipts = output_folder.receipts_folder(folder)
            files.make_folder(receipts)
            _wait_for(open_lock(receipts, held), receipts, kind)
        yield


def _wait_for(descriptor: int, receipts: str, kind: int) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return
    raise SeqmillError(f"{receipts}: locked by a process of another run for a minute; end that process")
