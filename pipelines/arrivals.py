"""Files that arrive: which of them are new and complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from seqmill.pipelines.taken_files import Taken, TakenFiles
from seqmill.transforms.storage import files
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.output_folder import is_own

_READ_BYTES = 1 << 20
_FIRST_RETRY, _LAST_RETRY = 60.0, 3600.0

_Version = tuple[Any, ...]


@dataclass
class _Refused:
    """A file of which no window could be made: in which version, why, and when to try again."""

    version: _Version
    reason: str
    retry_at: float
    seconds: float


class Arrivals:
    """Looks for files that match patterns, are new, and stand still.

    Args:
        patterns: Paths and patterns of files.
        output: The output folder, whose own files are never taken.
        settle: Seconds for which a local file must have stood still; ``None`` takes it when it is seen first.
        taken: What was taken before.
        say: Takes a line about a file that is not taken.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self,
        patterns: tuple[str, ...],
        output: str,
        settle: float | None,
        taken: TakenFiles,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._patterns, self._output, self._settle = patterns, output, settle
        self._taken, self._say, self._clock = taken, say, clock
        self._done: dict[str, _Version] = {}  # versions of files that were taken, or never will be
        self._seen: dict[str, tuple[_Version, float]] = {}  # since when a file is as it is
        self._refused: dict[str, _Refused] = {}

    def look(self) -> dict[str, Taken]:
        """New files, complete, in corpus order: by pattern, then by name."""
        with files.remembering():
            return self._look()

    def _look(self) -> dict[str, Taken]:
        paths = [path for pattern in self._patterns for path in self._matches(pattern)]
        self._forget_but({*paths})
        found: dict[str, Taken] = {}
        contents: set[str] = set()
        hashes = ContentHashes()
        for path in dict.fromkeys(paths):
            if not self._is_ready(path):
                continue
            try:
                one = Taken(files.size(path), hashes.of(path))
            except (SeqmillError, FileNotFoundError):  # it changes, or is gone: the next look tells
                self._seen.pop(path, None)
                continue
            if one.content not in contents and self._is_new(path, one):
                found[path] = one
                contents.add(one.content)
        hashes.remember()
        return found

    def refuse(self, path: str, reason: str) -> None:
        """No window could be made of a file: it is named, and tried again later, or when it has changed."""
        before = self._refused.get(path)
        if before is None or before.reason != reason:
            self._say(f"{path}: not taken: {reason}")
        seconds = _FIRST_RETRY if before is None else min(2 * before.seconds, _LAST_RETRY)
        version = self._version(path) or ()
        self._refused[path] = _Refused(version, reason, self._clock() + seconds, seconds)

    def _matches(self, pattern: str) -> list[str]:
        matches = files.expand(pattern)
        if is_own(self._output, pattern):
            return matches
        return [path for path in matches if not is_own(self._output, path)]

    def _forget_but(self, paths: set[str]) -> None:
        tables: tuple[dict[str, Any], ...] = (self._done, self._seen, self._refused)
        for table in tables:
            for path in table.keys() - paths:
                del table[path]
        self._taken.forget_but(paths)

    def _is_ready(self, path: str) -> bool:
        """Whether a file is complete, as far as can be seen, and may be new."""
        version = self._version(path)
        if version is None or self._done.get(path) == version:
            return False
        refused = self._refused.get(path)
        if refused is not None and refused.version == version and self._clock() < refused.retry_at:
            return False
        if not files.is_local(path):
            return self._taken.at(path) is None
        if version[0] == 0:  # nothing is in it yet
            return False
        if self._settle is None:
            return True
        now = self._clock()
        seen = self._seen.get(path)
        if seen is None or seen[0] != version:
            self._seen[path] = version, now
            return False
        return now - seen[1] >= self._settle

    def _is_new(self, path: str, one: Taken) -> bool:
        """Whether what a file holds was not taken; else the file is not looked at again."""
        before = self._taken.at(path)
        if self._taken.is_taken(one.content):
            if before is None or before.content != one.content:
                self._say(f"{path}: not taken: what it holds was taken before")
        elif before is not None and before.bytes < one.bytes and _begins_with(path, before):
            self._say(
                f"{path}: not taken: it has grown since it was taken ({before.bytes:,} bytes then); put what "
                "is new into a new file"
            )
        else:
            return True
        if (version := self._version(path)) is not None:
            self._done[path] = version
        return False

    def _version(self, path: str) -> _Version | None:
        """What changes with a local file; nothing is asked of others, whose names are what is new."""
        if not files.is_local(path):
            return ()
        try:
            status = Path(path).stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _begins_with(path: str, before: Taken) -> bool:
    digest, left = xxhash.xxh3_128(), before.bytes
    with files.open_read(path) as file:
        while left and (block := file.read(min(left, _READ_BYTES))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest() == before.content
