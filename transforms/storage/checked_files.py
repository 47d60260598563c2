"""Files of ours are compared with their recorded hash before their bytes are used, once per file version.

A file version is told by what the file system knows of it (device, inode, size, times of change). What this
process has hashed it does not hash again; ``known_here`` hands that knowledge to other processes of the same
machine, for the run that has begun.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash

from seqmill.transforms.storage import cache, files
from seqmill.transforms.storage.cache import DifferentError
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.remote_reading import ShorterError

# Two changes within a tick of the file system's clock look like one: what is younger is not remembered.
_SETTLED_NS = 100_000_000

_Version = tuple[int, int, int, int, int]

_MOST_KNOWN = 100_000  # versions of files; a process may see new ones for months

_known: dict[_Version, str] = {}


@dataclass(frozen=True)
class Checksum:
    """What a manifest says of a file.

    Attributes:
        bytes: Its size.
        xxh128: xxh3_128 of its bytes, 32 hex digits.
    """

    bytes: int
    xxh128: str


@dataclass(frozen=True)
class Known:
    """Hashes of file versions that a process of ``machine`` has compared."""

    machine: str
    hashes: Mapping[_Version, str]


def map_checked(path: str, expected: Checksum) -> np.ndarray:
    """A file as a read-only uint8 array, compared with what is recorded of it.

    Raises:
        SeqmillError: It is not there, or not what it was when it was recorded.
    """
    if not files.is_local(path):
        return _map_copy(path, expected)
    if files.is_file(path) and (num_bytes := files.size(path)) != expected.bytes:
        raise SeqmillError(f"{path}: {_other_size(num_bytes, expected)}")
    content, found = _map(path)
    if found != expected:
        raise SeqmillError(f"{path}: {_difference(found, expected)}")
    return content


def checksum(path: str) -> Checksum:
    """Size and hash of a file as it is now. Raises SeqmillError where it is not there."""
    return _map(path)[1]


def is_intact(path: str, expected: Checksum, fresh: bool = False) -> bool:
    """Whether a file is what was recorded of it.

    Args:
        path: The file; of a remote one only the size is compared, unless ``fresh``.
        expected: What was recorded.
        fresh: Hash it even where this version of it is known.
    """
    if not files.is_whole(path, expected.bytes):
        return False
    if not files.is_local(path) and not fresh:
        return True
    if fresh:
        forget(path, expected, its_copy=True)
    with suppress(SeqmillError):
        return checksum(path) == expected
    return False


def damaged(folder: str, expected: Mapping[str, Checksum], fresh: bool = False) -> list[str]:
    """Paths of the files that are missing or not what was recorded.

    Args:
        folder: Where they are.
        expected: What was recorded, by name in ``folder``.
        fresh: Hash also those of which a version is known, on this machine too (``ContentHashes``), and
            remote ones, of which else only the size is compared.
    """
    paths = {files.inside(folder, name): checksum for name, checksum in expected.items()}
    if fresh or not files.is_local(folder):
        return [path for path, checksum in paths.items() if not is_intact(path, checksum, fresh)]
    wrong = [path for path, checksum in paths.items() if not files.is_whole(path, checksum.bytes)]
    hashes = ContentHashes().of_all(path for path in paths if path not in wrong)
    return wrong + [path for path, digest in hashes.items() if digest != paths[path].xxh128]


def hash_all(expected: Mapping[str, Checksum], fresh: bool = False) -> None:
    """Compares files in parallel, so that ``map_checked`` finds them known.

    Args:
        expected: What is recorded, by path.
        fresh: Hash also files of which this version is known.

    Raises:
        SeqmillError: Names the first that is not what was recorded.
    """
    for path, checksum in expected.items() if fresh else ():
        forget(path, checksum, its_copy=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(map_checked, expected.keys(), expected.values()):
            pass


def known_here(paths: Iterable[str]) -> Known:
    """What this process knows of some files."""
    versions = [version for path in paths if (version := file_version(path)) in _known and version]
    return Known(this_machine(), {version: _known[version] for version in versions})


def learn(known: Known | None) -> None:
    """Takes over what a process of this machine knows; that of another machine means nothing here."""
    if known is not None and known.machine == this_machine():
        for version, digest in known.hashes.items():
            _learn(version, digest)


def file_version(path: str) -> _Version | None:
    """What tells versions of a file apart; None where only the bytes do, or there is none."""
    if not files.is_local(path):
        return None
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def forget(path: str, expected: Checksum, its_copy: bool = False) -> None:
    """Lets the next comparison hash the file, or the copy of a remote one, again.

    Args:
        path: The file.
        expected: What is recorded of it.
        its_copy: The copy of a remote one goes, so that it is fetched again.
    """
    if not files.is_local(path):
        cache.forget(expected.bytes, expected.xxh128, its_copy)
    elif version := file_version(path):
        _known.pop(version, None)


def _map_copy(path: str, expected: Checksum) -> np.ndarray:
    try:
        return files.map_copy(path, expected.bytes, expected.xxh128)
    except FileNotFoundError:
        raise _not_there(path) from None
    except ShorterError as error:
        raise SeqmillError(f"{path}: {_other_size(error.size, expected)}") from None
    except DifferentError as error:
        found = Checksum(expected.bytes, error.xxh128)
        raise SeqmillError(f"{path}: {_difference(found, expected)}") from None


def _not_there(path: str) -> SeqmillError:
    return SeqmillError(f"{path}: the manifest names this file, but it is not there")


def _map(path: str) -> tuple[np.ndarray, Checksum]:
    """A file's bytes, and their size and hash."""
    try:
        before = file_version(path)
        content = files.map_bytes(path)
        after = file_version(path)
    except FileNotFoundError:
        raise _not_there(path) from None
    # What was replaced meanwhile is neither known nor learnt.
    version = before if before == after else None
    digest = None if version is None else _known.get(version)
    if digest is None:
        digest = xxhash.xxh3_128_hexdigest(content.data)
        if version is not None and time.time_ns() - max(version[3:]) > _SETTLED_NS:
            _learn(version, digest)
    return content, Checksum(len(content), digest)


def _learn(version: _Version, digest: str) -> None:
    while len(_known) >= _MOST_KNOWN:
        del _known[next(iter(_known))]
    _known[version] = digest


def _difference(found: Checksum, expected: Checksum) -> str:
    if found.bytes != expected.bytes:
        return _other_size(found.bytes, expected)
    return f"its xxh128 is {found.xxh128}, not the manifest's {expected.xxh128}: the content has changed"


def _other_size(num_bytes: int, expected: Checksum) -> str:
    return f"{num_bytes:,} bytes, but the manifest says {expected.bytes:,}"


@lru_cache(maxsize=1)
def this_machine() -> str:
    """Tells this machine, since it was started last, from every other."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()} {boot.read_text().strip() if boot.exists() else ''}"
