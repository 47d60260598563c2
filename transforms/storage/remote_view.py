"""What is known of remote files for the length of a block, so that it is not asked again.

Outside of such a block nothing is remembered: what was listed a moment ago may have been written since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

Info = Mapping[str, Any]
UNKNOWN: Final = {"type": "unknown"}  # an answer that must be asked for
FOLDER: Final = {"type": "directory", "size": 0}

_HEAD_BYTES = 16 << 20  # of all first bytes that are kept

_Work = TypeVar("_Work", bound=Callable[..., Any])


class View:
    """Files by URL with what their store says of them, some folders with all that is below them.

    Attributes:
        heads: The first bytes of files that were read.
    """

    def __init__(self) -> None:
        self.heads: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._files: dict[str, Info] = {}
        self._nothing: set[str] = set()
        self._inner: dict[str, set[str]] = {}  # folders, and the names in each

    def add_listing(self, folder: str, files: Mapping[str, Info]) -> None:
        """Takes over all that is below a folder."""
        self._folders.add(folder.rstrip("/"))
        for url, info in files.items():
            self.put(url, info)

    def has(self, folder: str) -> bool:
        """Whether everything below a folder is known."""
        return any(f"{folder}/".startswith(f"{listed}/") for listed in self._folders)

    def find(self, url: str) -> Info | None:
        """What is known: an info, None where nothing stands there, or ``UNKNOWN``."""
        url = url.rstrip("/")
        if url in self._files:
            return self._files[url]
        if self._inner.get(url):
            return FOLDER
        return None if url in self._nothing or self.has(url) else UNKNOWN

    def names(self, folder: str) -> list[str] | None:
        """Names in a folder, sorted; None where they are not known."""
        folder = folder.rstrip("/")
        return sorted(self._inner.get(folder, ())) if self.has(folder) else None

    def below(self, folder: str) -> list[str]:
        """The files below a folder, and the one that has its very name."""
        return [url for url in self._files if f"{url}/".startswith(f"{folder.rstrip('/')}/")]

    def keep_head(self, url: str, head: bytes) -> None:
        """Keeps the first bytes of a file, for who reads them next."""
        self.heads[url] = head
        while sum(map(len, self.heads.values())) > _HEAD_BYTES and len(self.heads) > 1:
            del self.heads[next(iter(self.heads))]

    def put(self, url: str, info: Info) -> None:
        """Learns of a file."""
        self._files[url] = info
        self._nothing.clear()  # a folder above may be there now
        self.heads.pop(url, None)
        while "/" in url.partition("://")[2]:
            url, _, name = url.rpartition("/")
            self._inner.setdefault(url, set()).add(name)

    def put_nothing(self, url: str) -> None:
        """Learns that neither a file nor a folder is at a URL."""
        self._nothing.add(url.rstrip("/"))

    def drop(self, url: str) -> None:
        """Learns that nothing is at a URL, or below it, any more."""
        for gone in self.below(url):
            del self._files[gone]
            self.heads.pop(gone, None)
            while "/" in gone.partition("://")[2]:
                gone, _, name = gone.rpartition("/")
                self._inner.get(gone, set()).discard(name)
                if self._inner.get(gone):
                    break


_current: ContextVar[View | None] = ContextVar("remote view", default=None)


def current() -> View | None:
    """What is known at the moment, if anything is to be remembered."""
    return _current.get()


@contextmanager
def remembering() -> Iterator[View]:
    """Lets everything below remember what it learns; a block within another one shares its knowledge."""
    if (outer := _current.get()) is not None:
        yield outer
        return
    token = _current.set(View())
    try:
        yield _current.get() or View()
    finally:
        _current.reset(token)


def sharing(work: _Work) -> _Work:
    """``work`` for threads of a pool: what is remembered here is remembered there."""
    view = _current.get()

    def shared(*arguments: Any) -> Any:
        token = _current.set(view)
        try:
            return work(*arguments)
        finally:
            _current.reset(token)

    return shared  # type: ignore[return-value]
