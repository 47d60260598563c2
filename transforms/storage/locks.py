"""One writer per folder, or readers: the operating system drops a lock with the process, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seqmill.transforms.storage import files, output_folder, remote_lock
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.temporaries import is_running

LOCK_FILE = ".lock"

_MOST_BYTES = 4000
_PROCESS = re.compile(r"\(process ([1-9]\d{0,9})\)$")
_NO_FILE = (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO)


@contextmanager
def only_writer(folder: str, doing: str) -> Iterator[None]:
    """Keeps all others out of a folder; out of one that is not local, all other writers.

    Args:
        folder: What only one process may write to; made if it is not there.
        doing: What the process does there, for the messages of others (``"training"``).

    Raises:
        SeqmillError: Another process writes or reads there, the folder cannot be written to or locked, or a
            link stands in the place of the lock or of a folder of ours.
    """
    if not files.is_local(folder):
        with remote_lock.only_writer(files.join(folder, LOCK_FILE), doing):
            yield
        return
    _refuse_links(folder)
    with ExitStack() as held:
        try:
            files.make_folder(folder)
            descriptor = open_lock(folder, held)
            _lock(descriptor, folder, fcntl.LOCK_EX)
            _write_holders(descriptor, [_holder(doing)])
        except OSError as error:
            what = "locked, so two runs could write at once" if error.filename is None else "written to"
            raise SeqmillError(
                f"{folder}: cannot be {what} ({error.strerror}); choose another output folder"
            ) from None
        yield


@contextmanager
def reader(folder: str, doing: str) -> Iterator[None]:
    """Keeps writers out of a folder while it is read, but no other readers.

    Folders that this process may not write to or that cannot be locked have no lock. Of a folder that is not
    local only its writer has one: who begins to write while it is read is noticed by the hashes of files.

    Args:
        folder: What is read.
        doing: What the process does there, for the messages of others.

    Raises:
        SeqmillError: Another process writes there, or a link stands in the place of the lock.
    """
    with ExitStack() as held:
        if not files.is_local(folder):
            with suppress(OSError):
                remote_lock.check_no_writer(files.join(folder, LOCK_FILE))
        else:
            with suppress(OSError):
                descriptor = open_lock(folder, held)
                _lock(descriptor, folder, fcntl.LOCK_SH)
                _write_holders(descriptor, [*_living_holders(descriptor), _holder(doing)])
                held.callback(_forget, descriptor, _holder(doing))
        yield


def open_lock(folder: str, held: ExitStack) -> int:
    """The lock file of a folder, closed by ``held``; never what a link in its place leads to, and no pipe.

    Raises:
        OSError: It cannot be opened.
        SeqmillError: Something else stands in its place.
    """
    path = files.join(folder, LOCK_FILE)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_plain_file(path) from None
        raise
    held.callback(os.close, descriptor)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _no_plain_file(path)
    return descriptor


def _lock(descriptor: int, folder: str, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        # Processes of another machine or container are not seen here: of those, the newest.
        holders = _living_holders(descriptor) or _holders(descriptor)[-1:] or ["run (process unknown)"]
        raise SeqmillError(
            f"{folder}: another {holders[0]} is at work here; wait for it or choose another output folder"
        ) from None


def _holder(doing: str) -> str:
    return f"{doing} (process {os.getpid()})"


def _holders(descriptor: int) -> list[str]:
    """Who has written to a lock file that they hold it, the newest last; only for messages."""
    return os.pread(descriptor, _MOST_BYTES, 0).decode(errors="replace").split("\n")[:-1]


def _living_holders(descriptor: int) -> list[str]:
    """Readers that were killed, or that found another lock held, have left their lines."""
    return [holder for holder in _holders(descriptor) if _lives(holder)]


def _lives(holder: str) -> bool:
    process = _PROCESS.search(holder)
    return process is not None and is_running(int(process[1]))


def _forget(descriptor: int, holder: str) -> None:
    with suppress(ValueError, OSError):
        holders = _living_holders(descriptor)
        holders.remove(holder)
        _write_holders(descriptor, holders)


def _write_holders(descriptor: int, holders: list[str]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, "".join(f"{holder}\n" for holder in holders).encode(), 0)


def _no_plain_file(path: str) -> SeqmillError:
    return SeqmillError(f"{path}: the lock must be a plain file; remove what is there")


def _refuse_links(folder: str) -> None:
    """Links to folders in place of ours would have us write, and remove, elsewhere. Raises SeqmillError."""
    for top in map(Path, output_folder.own_folders(folder)):
        links = [top] if top.is_symlink() else []
        for inner, folders, _ in os.walk(top):
            links += [path for name in folders if (path := Path(inner, name)).is_symlink()]
        for link in links:
            raise SeqmillError(
                f"{link}: a link to {str(link.readlink())!r}; nothing is written through links inside an "
                "output folder: let `output` itself lead there, or remove the link"
            )
