"""One writer per remote folder: a file says who it is, and is written again while they live.

No clocks are compared: who waits watches whether the file changes. A writer of this machine that has ended is
known at once. Where a store has conditions, the file is only written in place of the version that was read:
of two that take over from the same one, the second finds the first.
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

from seqmill.transforms.storage import remote_files, remote_objects
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.remote_calls import RemoteError, TransferError, guarded, impatient
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

    Who slept, or could not reach the store, for so long that another has taken it for gone finds out before
    its next call that is about the folder of the file.

    Args:
        url: The file that says who writes.
        doing: What the process does, for the messages of others.
        silent_seconds: How long a writer of another machine may say nothing.

    Raises:
        SeqmillError: Another is at work; or has taken this one for gone, and begun.
        OSError: The file cannot be written.
    """
    own = _Holder(doing)
    _held.add(own.token)
    try:
        _take(url, own, silent_seconds)
        kept = _Kept(url, own, silent_seconds)
        with kept.renewed(), guarded(url, kept.check):
            yield
        kept.check_not_taken()
    finally:
        _held.discard(own.token)
        with suppress(OSError, SeqmillError), impatient():
            if (found := _read(url)[0]) is not None and found.token == own.token:
                remote_files.remove_file(url)


def check_no_writer(url: str, silent_seconds: float = SILENT_SECONDS) -> None:
    """Raises SeqmillError where somebody writes."""
    if (found := _read(url)[0]) is not None and not _is_gone(url, found, silent_seconds):
        raise _busy(url, found)


class _Kept:
    """What a process says while it writes, and whether nobody has taken it for gone."""

    def __init__(self, url: str, own: _Holder, silent_seconds: float):
        self._url, self._own, self._patience = url, own, silent_seconds / 2
        self._said, self._problem = _now(), "its lock was not written for long"
        self._taken_by: _Holder | None = None
        self._is_over, self._is_wanted = False, threading.Event()
        self._news = threading.Condition()

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Says again and again that it is there, until the block ends."""
        thread = threading.Thread(target=self._beat, name="seqmill-lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_over = True
            self._is_wanted.set()
            thread.join(BEAT_SECONDS)

    def check(self) -> None:
        """For ``guarded``: that another may have begun is found out before anything is done."""
        if self._is_silent():
            with self._news:
                self._is_wanted.set()
                self._news.wait(_LOOK_SECONDS)
        self.check_not_taken()
        if self._is_silent():
            raise TransferError(self._problem)

    def check_not_taken(self) -> None:
        """Raises SeqmillError where another has begun."""
        if self._taken_by is not None:
            raise SeqmillError(
                f"{_folder(self._url)}: another {self._taken_by} has begun here, as this one said nothing "
                f"for {2 * self._patience:.0f} s; this one ends"
            )

    def _is_silent(self) -> bool:
        return _now() - self._said > self._patience

    def _beat(self) -> None:
        while self._taken_by is None:
            self._is_wanted.wait(BEAT_SECONDS)
            self._is_wanted.clear()
            if self._is_over:
                return
            try:
                with impatient():
                    self._say()
            except (OSError, SeqmillError) as error:
                self._problem = str(getattr(error, "cause", error))
            with self._news:
                self._news.notify_all()

    def _say(self) -> None:
        begun, self._own = _now(), replace(self._own, beat=self._own.beat + 1)
        found, tag = _read(self._url)
        while found is None or found.token == self._own.token:
            if found == self._own or _write(self._url, self._own, found, tag):
                self._said = begun
                return
            found, tag = _read(self._url)
        self._taken_by = found


def _take(url: str, own: _Holder, silent_seconds: float) -> None:
    found: _Holder | None = None
    tag: str | None = None
    while not _write(url, own, found, tag):
        found, tag = _read(url)
        if found is None:
            continue
        if found.token == own.token:  # the answer to an attempt before was lost
            return
        if not _is_gone(url, found, silent_seconds):
            raise _busy(url, found)


def _is_gone(url: str, found: _Holder, silent_seconds: float) -> bool:
    """Whether a writer has ended: known at once of a process of this machine, else when it says nothing."""
    if found.is_here and found.process == os.getpid():
        return found.token not in _held
    if found.is_here:
        return not is_running(found.process)
    end = time.monotonic() + silent_seconds
    while time.monotonic() < end:
        time.sleep(min(_LOOK_SECONDS, silent_seconds / 4))
        if (now := _read(url)[0]) != found:
            return now is None
    return True


def _read(url: str) -> tuple[_Holder | None, str | None]:
    """Who writes, None where nobody does; and the tag of this version of the file, where there are tags."""
    try:
        content, tag = remote_objects.read(url)
        return _Holder(**orjson.loads(content)), tag
    except FileNotFoundError:
        return None, None
    except (ValueError, TypeError):
        raise SeqmillError(f"{url}: not the lock of a run; remove what is there") from None


def _write(url: str, own: _Holder, found: _Holder | None, tag: str | None) -> bool:
    """Writes the file, unless it is another by now than was found: None where there was none.

    Where the store has no tags, another's is removed first; of two that do so, one may be wrong until it says
    again that it is there.
    """
    try:
        if found is not None and (tag is not None or found.token == own.token):
            remote_objects.replace(url, own.content, tag)
        else:
            if found is not None:
                remote_files.remove_file(url)
            remote_files.create(url, own.content)
    except (FileExistsError, FileNotFoundError):
        return False
    except RemoteError as error:
        if "NotImplemented" not in str(error.strerror):  # else a store without conditions
            raise
        if found is None and _read(url)[0] is not None:
            return False
        remote_objects.replace(url, own.content, None)
    return True


def _busy(url: str, holder: _Holder | None) -> SeqmillError:
    return SeqmillError(
        f"{_folder(url)}: another {holder or 'run'} is at work here; wait for it or choose another output "
        "folder"
    )


def _folder(url: str) -> str:
    return url.rpartition("/")[0]


def _now() -> float:
    """Seconds of a clock that nobody sets; that of Linux goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
