"""A cache of remote files on this machine, bounded in size, shared by this user's processes.

It is in the user's ``private_folder``; ``SEQMILL_CACHE_BYTES`` is the bound (default 20 GB).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import xxhash

from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.private_folder import private_folder
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX, remove_left, temporary_beside

DEFAULT_BYTES = 20_000_000_000

_Opened = TypeVar("_Opened")


def fetch(fs: Any, path: str, version: list[Any], opened: Callable[[str], _Opened]) -> _Opened:
    """What ``opened`` makes of the local copy of a remote file, fetched if it is not there in this version.

    The copy may be removed as soon as it is opened: what is mapped stays readable.

    Args:
        fs: The fsspec file system.
        path: The file's path on it.
        version: Its size, and what else tells versions of the file apart.
        opened: Opens a local path.

    Raises:
        SeqmillError: It is larger than the cache may be, comes in another size, or there can be no cache.
    """
    folder = private_folder("remote")
    copy = folder / _key(fs, path, version)
    if (found := _open(copy, version[0], opened)) is not None:
        return found
    with _one_fetches(folder, copy.name):
        if (found := _open(copy, version[0], opened)) is not None:
            return found
        _make_room(folder, version[0], path)
        temporary = temporary_beside(copy)
        try:
            fs.get_file(path, str(temporary))
            if (size := temporary.stat().st_size) != version[0]:
                raise SeqmillError(f"{path}: {size:,} bytes arrived, expected {version[0]:,}; run again")
            found = opened(str(temporary))
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)
    return found


def forget(fs: Any, path: str, version: list[Any]) -> None:
    """Removes the copy of a file, which is damaged."""
    (private_folder("remote") / _key(fs, path, version)).unlink(missing_ok=True)


def _key(fs: Any, path: str, version: list[Any]) -> str:
    return xxhash.xxh3_128_hexdigest(repr((fs.unstrip_protocol(path), version)).encode())


def _open(copy: Path, size: int, opened: Callable[[str], _Opened]) -> _Opened | None:
    """A copy that is there in its whole size."""
    with contextlib.suppress(FileNotFoundError):
        if copy.lstat().st_size == size and not copy.is_symlink():
            os.utime(copy)
            return opened(str(copy))
    return None


@contextmanager
def _one_fetches(folder: Path, key: str) -> Iterator[None]:
    """Lets the processes that want a file wait for the first of them."""
    locks = folder / "locks"
    locks.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(locks / key[:2], os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # without locks a file may be fetched twice, which is no harm
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_room(folder: Path, needed: int, path: str) -> None:
    """Removes what killed processes left, and the files used longest ago until ``needed`` more bytes fit."""
    bound = _bound()
    if needed > bound:
        raise SeqmillError(f"{path}: {needed:,} bytes, more than SEQMILL_CACHE_BYTES = {bound:,}")
    remove_left(folder)
    copies, total = [], 0
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = entry.lstat()
            if not stat.S_ISREG(status.st_mode):
                continue
            total += status.st_size
            if not entry.name.startswith(TEMPORARY_PREFIX):
                copies.append((status.st_mtime_ns, status.st_size, entry))
    for _, size, copy in sorted(copies):
        if total + needed <= bound:
            return
        copy.unlink(missing_ok=True)
        total -= size


def _bound() -> int:
    given = os.environ.get("SEQMILL_CACHE_BYTES") or str(DEFAULT_BYTES)
    if not given.isascii() or not given.isdigit():
        raise UsageError(f"SEQMILL_CACHE_BYTES: found {given!r}; expected a number of bytes")
    return int(given)
