"""Hashes of what inputs hold, so that a changed file is noticed whatever its size and times say.

A file is read once: its hash is remembered on this machine under device, inode, size and times of change, the
last of which (ctime) no program can set. Remembered hashes can only save a read. They lie in a file of this
user's alone, of bounded size, which is not used where its own hash does not fit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import xxhash

from seqmill.transforms.storage import files, local_files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.private_folder import private_folder

_READ_BYTES = 1 << 20
# Two changes within a tick of the file system's clock look like one: what is younger is not remembered.
_SETTLED_NS = 2_000_000_000
MOST_REMEMBERED = 1_000_000  # 32 bytes each
_ATTEMPTS = 3
# Remote files of at most so many bytes in all are read to be hashed; of more, their store's word is taken.
MOST_HASHED_REMOTELY = 8_000_000_000
_THREADS = 8
_ROW = np.dtype([("version", "<u8", 2), ("digest", "<u8", 2)])
_HASH_BYTES = 16

_Version = tuple[int, ...]


class ContentHashes:
    """Hashes of files, each version of a file read at most once while it is remembered.

    Args:
        memory: File to remember hashes in; by default one in this user's cache folder. Where there can be
            none every file is read.
    """

    def __init__(self, memory: Path | None = None):
        self._memory = memory or _default_memory()
        self._remembered = _remembered(self._memory)
        self._used: dict[bytes, bytes] = {}
        self._is_news = False
        self._seen: dict[str, tuple[_Version, str]] = {}
        self._remote: dict[str, tuple[str | None, str]] = {}  # what its store says of a file, and its hash
        self._by_tag: set[str] = set()  # remote files that are not read

    def of(self, path: str) -> str:
        """What tells the content of a file from every other: its xxh3_128, or a store's own word for it.

        Raises:
            SeqmillError: The file is not there, cannot be read, or changes while it is read.
        """
        try:
            if not files.is_local(path):
                return self._of_remote(path)
            for _ in range(_ATTEMPTS):
                version = _version(path)
                key = _key(version)
                digest = self._find(key)
                if digest is None:
                    digest = _hash_local(path)
                    if _version(path) != version:
                        continue
                    if time.time_ns() - max(version[3:]) > _SETTLED_NS:
                        self._used[key] = digest
                        self._is_news = True
                self._seen[path] = version, digest.hex()
                return digest.hex()
        except FileNotFoundError:
            raise SeqmillError(f"{path}: no such file") from None
        except OSError as error:
            raise SeqmillError(f"{path}: cannot be read ({error.strerror or error})") from None
        raise SeqmillError(f"{path}: it changes while it is read")

    def of_all(self, paths: Iterable[str]) -> dict[str, str]:
        """The hashes of many files, read side by side, and remembered."""
        paths = list(dict.fromkeys(paths))
        remote = [path for path in paths if not files.is_local(path)]
        if remote and sum(map(files.size, remote)) > MOST_HASHED_REMOTELY:
            self._by_tag.update(remote)
        with ThreadPoolExecutor(min(_THREADS, 2 * (os.cpu_count() or 1))) as pool:
            hashes = dict(zip(paths, pool.map(files.sharing(self.of), paths), strict=True))
        self.remember()
        return hashes

    def learn(self, path: str, digest: str, read_after: int) -> None:
        """Takes over the hash of a local file that a worker read.

        Args:
            path: The file.
            digest: Its hash.
            read_after: When the worker began at the earliest, in nanoseconds since 1970.
        """
        with suppress(OSError):
            version = _version(path)
            if read_after - max(version[3:]) > _SETTLED_NS:
                self._used[_key(version)] = bytes.fromhex(digest)
                self._is_news = True

    def check_unchanged(self) -> None:
        """Compares the files hashed so far with what they were then.

        Raises:
            SeqmillError: Names the first that has changed.
        """
        for path, (tag, digest) in self._remote.items():
            if tag != files.content_tag(path) or (tag is None and _hash_remote(path) != digest):
                raise _changed(path)
        for path, (version, digest) in self._seen.items():
            with suppress(OSError):
                if _version(path) == version or _hash_local(path).hex() == digest:
                    continue
            raise _changed(path)

    def _of_remote(self, path: str) -> str:
        """The hash of a remote file, read once a run, or once while its store says that it is the same."""
        if path not in self._remote:
            tag = files.content_tag(path)
            if tag is not None and path in self._by_tag:
                self._remote[path] = tag, tag
                return tag
            key = xxhash.xxh3_128_digest(f"{path} {tag}".encode())
            digest = None if tag is None else self._find(key)
            if digest is None:
                digest = bytes.fromhex(_hash_remote(path))
                if tag is not None:
                    self._used[key], self._is_news = digest, True
            self._remote[path] = tag, digest.hex()
        return self._remote[path][1]

    def _find(self, key: bytes) -> bytes | None:
        if key in self._used:
            return self._used[key]
        place = self._remembered.find(key)
        if place is None:
            return None
        rows = self._remembered.rows
        self._is_news |= len(rows) - place > MOST_REMEMBERED // 2  # the oldest would go before long
        self._used[key] = rows["digest"][place].tobytes()
        return self._used[key]

    def remember(self) -> None:
        """Writes what was used, behind what others have written; the oldest go where there are too many."""
        if self._memory is None or not self._is_news:
            return
        self._is_news = False
        used = np.frombuffer(b"".join(key + digest for key, digest in self._used.items()), _ROW)
        others = _load(self._memory)
        others = others[~np.isin(others["version"][:, 0], used["version"][:, 0])]
        rows = np.concatenate([others, used])[-max(MOST_REMEMBERED, len(used)) :]
        with suppress(OSError), files.write_atomically(str(self._memory)) as file:
            file.write(rows.tobytes())
            file.write(xxhash.xxh3_128_digest(rows.tobytes()))


class _Remembered:
    """What a memory held when it was loaded, oldest first."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows
        self._order = np.argsort(rows["version"][:, 0], kind="stable")
        self._sorted = rows["version"][:, 0][self._order]

    def find(self, key: bytes) -> int | None:
        """The row of a version of a file."""
        wanted = np.frombuffer(key, "<u8")
        start = int(np.searchsorted(self._sorted, wanted[0]))
        for index in self._order[start : start + 2].tolist():
            if np.array_equal(self.rows["version"][index], wanted):
                return int(index)
        return None


def _remembered(memory: Path | None) -> _Remembered:
    """What a memory holds; loaded once while it is the same file."""
    with suppress(OSError):
        return _load_version(memory, _version(str(memory)))
    return _Remembered(_load(None))


@lru_cache(maxsize=1)
def _load_version(memory: Path | None, version: _Version) -> _Remembered:
    return _Remembered(_load(memory))


def _default_memory() -> Path | None:
    with suppress(SeqmillError):
        return private_folder("hashes") / "inputs"
    return None


def _load(memory: Path | None) -> np.ndarray:
    """What is remembered, oldest first; nothing where the file is damaged or somebody else's."""
    content = b""
    with suppress(OSError):
        if memory is not None:
            descriptor = os.open(memory, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if status.st_uid == os.getuid() and status.st_size <= 2 * MOST_REMEMBERED * _ROW.itemsize:
                    content = file.read(status.st_size)
    rows = content[:-_HASH_BYTES]
    if len(rows) % _ROW.itemsize or xxhash.xxh3_128_digest(rows) != content[-_HASH_BYTES:]:
        rows = b""
    return np.frombuffer(rows, _ROW)


def _version(path: str) -> _Version:
    status = Path(path).stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _key(version: _Version) -> bytes:
    return xxhash.xxh3_128_digest(repr(version).encode())


def _hash_local(path: str) -> bytes:
    digest = xxhash.xxh3_128()
    buffer = bytearray(_READ_BYTES)
    with os.fdopen(local_files.open_regular(path), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.digest()


def _changed(path: str) -> SeqmillError:
    return SeqmillError(f"{path}: it changed while this run read it; run again")


def _hash_remote(path: str) -> str:
    digest = xxhash.xxh3_128()
    with files.open_read(path, files.size(path)) as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
