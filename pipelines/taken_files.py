"""Which files have become windows of a stream: remembered by content, so that none is taken twice.

Written before a window appears, with the window's name: whether its files are taken is then told by whether
the window is there, or was. So a process may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.batches.stream import end_of, is_published, window_name, windows
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.storage.ranges import counted

FORMAT = "seqmill.arrivals/1"
MOST_GONE = 100_000  # files that are no longer there whose content is remembered, the newest


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Taken:
    """A file as it was taken: its bytes and what tells its content from every other."""

    bytes: int
    content: str


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Content:
    """What the file holds.

    Attributes:
        there: Files that were taken and are still there, by path.
        gone: The content of those that are not, the newest last.
        window: The window that appears next, or has appeared last; "" before the first.
        pending: Its files.
    """

    there: dict[str, Taken] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    window: str = ""
    pending: dict[str, Taken] = field(default_factory=dict)
    format: str = FORMAT


_ADAPTER = TypeAdapter(_Content)


class TakenFiles:
    """Remembers which files were taken.

    Args:
        path: The file to remember them in.
        stream: The stream's folder.

    Attributes:
        last: The files of the window that has appeared last.
        unpublished: The window that was about to appear when the process before this one ended, or "".

    Raises:
        SeqmillError: What is remembered is damaged, or missing though windows are there.
    """

    def __init__(self, path: str, stream: str):
        self._path, self._stream = path, stream
        there = files.exists(path)
        if not there and (names := windows(stream)):
            raise UsageError(
                f"{stream}: {counted(len(names), 'window is', 'windows are')} there, and nothing says which "
                f"files they were made of ({path} is missing): files could be taken twice; choose another "
                "output"
            )
        self._is: _Content = read_sealed(path, _ADAPTER, FORMAT, "") if there else _Content()
        self.unpublished = ""
        if self._is.window and not is_published(stream, self._is.window):
            self.unpublished = self._is.window  # ended before it appeared
            self._is.pending.clear()
        self.last = dict(self._is.pending)
        self._contents = {*self._is.gone, *(one.content for one in self._is.there.values())}
        self._settle()

    def is_taken(self, content: str) -> bool:
        """Whether a file of that content was taken."""
        return content in self._contents

    def at(self, path: str) -> Taken | None:
        """What was taken last from a path that is still there."""
        return self._is.there.get(path)

    def next_name(self, now_ms: int) -> str:
        """A name for the next window, behind all others of this stream."""
        return window_name(max(now_ms, end_of(self._is.window) + 1 if self._is.window else 0))

    def begin(self, window: str, pending: Mapping[str, Taken]) -> None:
        """Says, before a window appears, which files it takes."""
        self._is = _Content(self._is.there, self._is.gone, window, dict(pending))
        write_sealed(self._path, _ADAPTER, self._is)

    def appeared(self) -> None:
        """The window has appeared."""
        self._settle()

    def forget_but(self, paths: Collection[str]) -> None:
        """Forgets the paths of files that are not there any more, and the oldest of what they held."""
        left = [path for path in self._is.there if path not in paths]
        self._is.gone.extend(self._is.there.pop(path).content for path in left)
        if len(self._is.gone) > MOST_GONE:
            still = {one.content for one in self._is.there.values()} | {*self._is.gone[-MOST_GONE:]}
            self._contents.intersection_update(still)
            del self._is.gone[:-MOST_GONE]

    def _settle(self) -> None:
        for path, one in self._is.pending.items():
            if (before := self._is.there.pop(path, None)) is not None:
                self._is.gone.append(before.content)
            self._is.there[path] = one
            self._contents.add(one.content)
        self._is.pending.clear()
