"""One writer per remote folder: a file says who it is, and is written again while they live.

No clocks are compared: who waits watches whether the file changes. A writer of this machine that has ended is
known at once.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace

import orjson

from seqmill.transforms.storage import remote_files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.remote_calls import RemoteError, impatient
from seqmill.transforms.storage.temporaries import is_running, this_machine

BEAT_SECONDS = 5.0
SILENT_SECONDS = 30.0  # after which a writer that says nothing is taken for gone
_LOOK_SECONDS = 1.0

_held: set[str] = set()  # tokens of this process: a file of another may be left, as it could not be removed


@dataclass(frozen=True)
class _Holder:
    """Who writes: ``token`` tells this time from every other, ``beat`` is how often it was said."""

    doing: str
    host: str = field(default_factory=platform.node)
    machine: str = field(default_factory=this_machine)
    process: int = field(default_factory=os.getpid)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    beat: int = 0

    @property
    def content(self) -> bytes:
        """As it is written."""
        return orjson.dumps(asdict(self))

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == this_machine()

    def __str__(self) -> str:
        return f"{self.doing} (process {self.process}{'' if self.is_here else f' of {self.host}'})"


@contextmanager
def only_writer(url: str, doing: str, silent_seconds: float = SILENT_SECONDS) -> Iterator[None]:
    """Keeps all other writers out while the block lasts.

    Args:
        url: The file that says who writes.
        doing: What the process does, for the messages of others.
        silent_seconds: How long a writer of another machine may say nothing.

    Raises:
        SeqmillError: Another is at work; or, at the end, has taken this one for gone and begun.
        OSError: The file cannot be written.
    """
    own = _Holder(doing)
    _take(url, own, silent_seconds)
    ended, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_beat, args=(url, own, ended, lost), name="seqmill-lock", daemon=True)
    thread.start()
    _held.add(own.token)
    try:
        yield
        if lost.is_set():
            raise _busy(url, _read(url))
    finally:
        _held.discard(own.token)
        ended.set()
        thread.join(BEAT_SECONDS)
        with suppress(OSError, SeqmillError), impatient():
            if (found := _read(url)) is not None and found.token == own.token:
                remote_files.remove_file(url)


def check_no_writer(url: str, silent_seconds: float = SILENT_SECONDS) -> None:
    """Raises SeqmillError where somebody writes."""
    if (found := _read(url)) is not None and not _is_gone(url, found, silent_seconds):
        raise _busy(url, found)


def _take(url: str, own: _Holder, silent_seconds: float) -> None:
    while True:
        try:
            remote_files.create(url, own.content)
            return
        except FileExistsError:
            found = _read(url)
        except RemoteError as error:
            if "NotImplemented" not in str(error.strerror):
                raise
            found = _read(url)  # a store that cannot create exclusively
            if found is None:
                _write(url, own)
                return
        if found is None:
            continue
        if found.token == own.token:  # the answer to an attempt before was lost
            return
        if not _is_gone(url, found, silent_seconds):
            raise _busy(url, found)
        remote_files.remove_file(url)


def _is_gone(url: str, found: _Holder, silent_seconds: float) -> bool:
    """Whether a writer has ended: known at once of a process of this machine, else when it says nothing."""
    if found.is_here and found.process == os.getpid():
        return found.token not in _held
    if found.is_here:
        return not is_running(found.process)
    end = time.monotonic() + silent_seconds
    while time.monotonic() < end:
        time.sleep(min(_LOOK_SECONDS, silent_seconds / 4))
        if (now := _read(url)) != found:
            return now is None
    return True


def _beat(url: str, own: _Holder, ended: threading.Event, lost: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with suppress(OSError, SeqmillError), impatient():
            if (found := _read(url)) is not None and found.token != own.token:
                lost.set()
                return
            own = replace(own, beat=own.beat + 1)
            _write(url, own)


def _read(url: str) -> _Holder | None:
    """Who writes; None where nobody does, or it cannot be told."""
    try:
        return _Holder(**orjson.loads(remote_files.read_bytes(url)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise SeqmillError(f"{url}: not the lock of a run; remove what is there") from None


def _write(url: str, own: _Holder) -> None:
    with remote_files.write_atomically(url) as file:
        file.write(own.content)


def _busy(url: str, holder: _Holder | None) -> SeqmillError:
    folder = url.rpartition("/")[0]
    return SeqmillError(
        f"{folder}: another {holder or 'run'} is at work here; wait for it or choose another output folder"
    )
