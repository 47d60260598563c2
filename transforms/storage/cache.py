"""A cache of remote files on this machine, bounded in size, shared by this user's processes.

It is in the user's ``private_folder``; ``SEQMILL_CACHE_BYTES`` is the bound (default 20 GB). A copy is called
after the hash of its content, which is compared before a process uses it. Whoever has one mapped holds a link
to it, in a folder beside: copies with such links stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xxhash

from seqmill.transforms.storage import local_files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.private_folder import private_folder
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX, remove_left, temporary_beside

DEFAULT_BYTES = 20_000_000_000

_IN_USE = "in-use"
_LOCKS = "locks"

_Version = tuple[int, int, int, int]

_compared: dict[str, _Version] = {}  # copies of which this process has compared the hash


class CacheFullError(SeqmillError):
    """There is no room for a file while others are in use."""


class DifferentError(Exception):
    """A remote file has another hash than is recorded of it: ``xxh128``."""

    def __init__(self, url: str, xxh128: str):
        super().__init__(url, xxh128)
        self.xxh128 = xxh128


def fetch(url: str, num_bytes: int, xxh128: str, download: Callable[[int], None]) -> np.ndarray:
    """A remote file as a read-only uint8 array: its copy here, fetched if it is not there.

    Args:
        url: The file, for messages.
        num_bytes: Its size.
        xxh128: Its hash.
        download: function(descriptor): writes it into an open file.

    Raises:
        CacheFullError: There is no room for it.
        DifferentError: What arrives has another hash.
        SeqmillError: There can be no cache.
    """
    if num_bytes == 0:
        return np.empty(0, np.uint8)
    folder = _folder()
    copy = folder / f"{xxh128}-{num_bytes}"
    if (found := _use(folder, copy, num_bytes, xxh128)) is not None:
        return found
    with _locked(folder, copy.name[:2]):
        if (found := _use(folder, copy, num_bytes, xxh128)) is not None:
            return found
        with _room(folder, num_bytes, url, copy) as temporary:
            with temporary.open("rb+") as file:
                download(file.fileno())
            content = _hold(folder, temporary)
            if (digest := xxhash.xxh3_128_hexdigest(content.data)) != xxh128:
                raise DifferentError(url, digest)
            temporary.replace(copy)
            _compared[copy.name] = _version(copy)
    return content


def forget(num_bytes: int, xxh128: str, remove: bool) -> None:
    """Lets the copy of a file be compared again, or (``remove``) the file be fetched again."""
    copy = _folder() / f"{xxh128}-{num_bytes}"
    _compared.pop(copy.name, None)
    if remove:
        copy.unlink(missing_ok=True)


def _use(folder: Path, copy: Path, num_bytes: int, xxh128: str) -> np.ndarray | None:
    """A copy that is there as it should be; one that is not is removed."""
    try:
        status = copy.lstat()
        if not stat.S_ISREG(status.st_mode) or (status.st_uid, status.st_size) != (os.getuid(), num_bytes):
            raise ValueError
        content = _hold(folder, copy)
        if _compared.get(copy.name) != _version(copy):
            if xxhash.xxh3_128_hexdigest(content.data) != xxh128:
                raise ValueError
            _compared[copy.name] = _version(copy)
        os.utime(copy, ns=(time.time_ns(), status.st_mtime_ns))
        return content
    except FileNotFoundError:
        return None
    except ValueError:
        copy.unlink(missing_ok=True)
        return None


def _version(copy: Path) -> _Version:
    status = copy.lstat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _hold(folder: Path, copy: Path) -> np.ndarray:
    """Maps a copy, which stays until what is mapped is let go of."""
    link = temporary_beside(folder / _IN_USE / copy.name.removeprefix(TEMPORARY_PREFIX)[-40:])
    try:
        os.link(copy, link, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links: what is mapped stays readable when its copy goes
        return local_files.map_bytes(str(copy))
    content = local_files.map_bytes(str(link))
    weakref.finalize(content, _let_go, link, os.getpid())
    return content


def _let_go(link: Path, process: int) -> None:
    if process == os.getpid():  # a forked process shares what is mapped, not the link
        with contextlib.suppress(OSError):
            link.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Lets the processes that want the same wait for the first of them."""
    descriptor = os.open(folder / _LOCKS / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with contextlib.suppress(OSError):  # without locks a file may be fetched twice, which is no harm
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _room(folder: Path, num_bytes: int, url: str, copy: Path) -> Iterator[Path]:
    """A new file of the size of a copy, which counts from now on; it is removed if it is still there."""
    temporary = temporary_beside(copy)
    with _locked(folder, "room"):
        _make_room(folder, num_bytes, url)
        with temporary.open("xb") as file:
            file.truncate(num_bytes)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _make_room(folder: Path, needed: int, url: str) -> None:
    """Removes what killed processes left, and the copies used longest ago until ``needed`` more bytes fit."""
    bound = _bound()
    if needed > bound:
        raise CacheFullError(
            f"{url}: {needed:,} bytes, more than SEQMILL_CACHE_BYTES = {bound:,}; set it higher"
        )
    remove_left(folder)
    copies, total = [], 0
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = entry.lstat()
            if not stat.S_ISREG(status.st_mode):
                continue
            total += status.st_size
            if not entry.name.startswith(TEMPORARY_PREFIX) and status.st_nlink == 1:
                copies.append((status.st_atime_ns, status.st_size, entry))
    for _, size, copy in sorted(copies):
        if total + needed <= bound:
            return
        copy.unlink(missing_ok=True)
        total -= size
    if total + needed > bound:
        raise CacheFullError(
            f"{url}: no room for its {needed:,} bytes: {total:,} of SEQMILL_CACHE_BYTES = {bound:,} are "
            "in use; expected room for all that is read at once: set it higher"
        )


def _folder() -> Path:
    folder = private_folder("remote")
    for inner in (_IN_USE, _LOCKS):
        (folder / inner).mkdir(mode=0o700, exist_ok=True)
    return folder


def _bound() -> int:
    given = os.environ.get("SEQMILL_CACHE_BYTES") or str(DEFAULT_BYTES)
    if not given.isascii() or not given.isdigit():
        raise UsageError(f"SEQMILL_CACHE_BYTES: found {given!r}; expected a number of bytes")
    return int(given)
