"""How far workers are, through small files, because local runners report metrics only after a run.

A process has one file per run, however many tasks it does, and nothing that goes wrong with it fails a task.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from pathlib import Path

import orjson

from seqmill.transforms.storage import files

_SECONDS, _SECONDS_REMOTE = 1.0, 10.0
_SECONDS_AFTER_FAILURE = 30.0  # a file system that is away may take long to say so
_MOST_FOLDERS = 8  # that a long-lived worker remembers

_counts: dict[str, _Count] = {}
_lock = threading.Lock()


def begin(folder: str, run_id: str) -> None:
    """Names the run that this process works for; before each task.

    Args:
        folder: Where the files of all workers of the run are.
        run_id: What tells this run from others; counts start at 0 with a new one.
    """
    with _lock:
        if folder not in _counts or _counts[folder].run_id != run_id:
            while len(_counts) >= _MOST_FOLDERS:
                del _counts[next(iter(_counts))]
            _counts[folder] = _Count(folder, run_id)


class Reporter:
    """Adds what a task has done to the file of its process, which is written at most once a second.

    Args:
        folder: Where the files of all workers are; nothing is reported where no run has begun there.
    """

    def __init__(self, folder: str):
        self._count = _counts.get(folder)

    def add(self, done: int = 0, num_seqs: int = 0) -> None:
        """Adds to what is done, in the unit of the tasks' total, and to the sequences handled."""
        if self._count:
            self._count.add(done, num_seqs)

    def flush(self) -> None:
        """Writes the count now; to a remote folder, no more often than at other times."""
        if self._count:
            self._count.flush()


def seconds_between(folder: str) -> float:
    """How often workers report into a folder."""
    return _SECONDS if files.is_local(folder) else _SECONDS_REMOTE


def has_begun(folder: str, run_id: str) -> bool:
    """Whether a worker of a run has begun a task; on a remote file system, perhaps only a while ago."""
    with contextlib.suppress(Exception), files.impatient():
        return any(name.startswith(run_id) for name in files.list_names(folder))
    return False


def totals(folder: str, run_id: str) -> tuple[int, int]:
    """The sums over all workers of a run, as far as they can be read: (done, sequences)."""
    done = num_seqs = 0
    with contextlib.suppress(Exception), files.impatient():
        for name in files.list_names(folder):
            if name.startswith(run_id) and name.endswith(".json"):
                with contextlib.suppress(Exception):
                    counts = files.read_json(files.join(folder, name))
                    done, num_seqs = done + counts["done"], num_seqs + counts["num_seqs"]
    return done, num_seqs


class _Count:
    def __init__(self, folder: str, run_id: str):
        self.run_id = run_id
        self._path = files.join(folder, f"{run_id}-{os.getpid()}-{secrets.token_hex(4)}.json")
        self._done = 0
        self._num_seqs = 0
        self._seconds = seconds_between(folder)
        self._next = time.monotonic() + self._seconds
        self._failed_until = 0.0
        if files.is_local(folder):
            self.write()  # tells that this process has begun

    def add(self, done: int, num_seqs: int) -> None:
        self._done += done
        self._num_seqs += num_seqs
        if time.monotonic() >= self._next:
            self.write()

    def flush(self) -> None:
        if files.is_local(self._path) or time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        now = time.monotonic()
        if now < self._failed_until:
            return
        self._next = now + self._seconds
        try:
            _replace(self._path, orjson.dumps({"done": self._done, "num_seqs": self._num_seqs}))
        except Exception:
            self._failed_until = now + _SECONDS_AFTER_FAILURE


def _replace(path: str, content: bytes) -> None:
    """Like ``files.write_atomically``, but not to last: without fsync, and no folder is made for it."""
    if not files.is_local(path):
        with files.impatient(), files.write_atomically(path) as file:
            file.write(content)
        return
    temporary = Path(path).with_suffix(".new")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
