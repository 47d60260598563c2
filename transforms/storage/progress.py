"""How far workers are, through small files, because local runners report metrics only after a run."""

from __future__ import annotations

import contextlib
import os
import secrets
import time

from seqmill.transforms.storage import files

_SECONDS = 1.0


class Reporter:
    """Counts what this process has done and writes it to a file of its own at most once a second.

    Args:
        folder: Where the files of all workers are.
    """

    def __init__(self, folder: str):
        self._path = files.join(folder, f"{os.getpid()}-{secrets.token_hex(4)}.json")
        self._done = 0
        self._num_seqs = 0
        self._written = time.monotonic()

    def add(self, done: int = 0, num_seqs: int = 0) -> None:
        """Adds to what is done, in the unit of the tasks' total, and to the sequences handled."""
        self._done += done
        self._num_seqs += num_seqs
        if time.monotonic() - self._written >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes the count now."""
        files.write_json(self._path, {"done": self._done, "num_seqs": self._num_seqs})
        self._written = time.monotonic()


def totals(folder: str) -> tuple[int, int]:
    """The sums over all workers: (done, sequences)."""
    done = num_seqs = 0
    for name in files.list_names(folder):
        if not name.startswith(files.TEMPORARY_PREFIX):
            with contextlib.suppress(FileNotFoundError):
                counts = files.read_json(files.join(folder, name))
                done += counts["done"]
                num_seqs += counts["num_seqs"]
    return done, num_seqs
