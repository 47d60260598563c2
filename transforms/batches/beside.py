"""What a training and the writer of its epochs say to each other: a file each, in the corpus' folder.

Each rewrites its own every few seconds. Who reads it notices that the other is gone where nothing changes for
a minute, or at once where both are on one machine and the process is no more. No clocks are compared.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field, TypeAdapter

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import this_machine
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.storage.temporaries import is_running

SILENT_SECONDS = 60.0  # after which who says nothing is taken for gone
_BEAT_SECONDS = 5.0


@dataclass(frozen=True)
class Speaker:
    """Who says something.

    Attributes:
        machine: Tells machines, and containers that see other processes, apart.
        process: Number of the process.
    """

    machine: str
    process: Annotated[int, Field(ge=1)]

    @property
    def is_gone(self) -> bool:
        """Whether it is a process of this machine that is no more."""
        return self.machine == _here() and not is_running(self.process)

    def __str__(self) -> str:
        return f"process {self.process}" + (
            "" if self.machine == _here() else f" of {self.machine.split()[0]}"
        )


@dataclass(frozen=True)
class Consumed:
    """``consumed.json``: what the training says.

    Attributes:
        epoch: The epoch in training, or that it waits for, from 1.
        done: The last epoch behind whose end a checkpoint is complete, 0 before the first.
        is_over: Whether the training has come to its end.
    """

    epoch: int
    done: int
    is_over: bool = False
    format: str = "seqmill.consumed/1"
    speaker: Speaker = field(default_factory=lambda: Speaker(_here(), os.getpid()))
    beat: int = 0


@dataclass(frozen=True)
class Writing:
    """``writer.json``: what the writer says.

    Attributes:
        doing: What it does at the moment, for people.
    """

    doing: str
    format: str = "seqmill.writer/1"
    speaker: Speaker = field(default_factory=lambda: Speaker(_here(), os.getpid()))
    beat: int = 0


Said = TypeVar("Said", Consumed, Writing)

_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Consumed, Writing)}


class Saying(Generic[Said]):
    """Says something, again and again, until it is closed.

    Args:
        folder: The corpus' folder of epochs.
        said: What.
        refresh: function() → what may have changed of it since.
    """

    def __init__(self, folder: str, said: Said, refresh: Callable[[], Mapping[str, Any]] = dict):
        self._path = _path(folder, type(said))
        self._said: Said = said
        self._refresh = refresh
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._write()
        threading.Thread(target=self._beat, name="seqmill-beat", daemon=True).start()

    def say(self, **changes: Any) -> None:
        """Says something else from now on, if it is something else."""
        with self._lock:
            changed = replace(self._said, **changes)
        if changed != self._said:
            self._write(**changes)

    def close(self, remove: bool = False) -> None:
        """Says no more; ``remove``: and takes back what was said."""
        self._ended.set()
        with self._lock, suppress(OSError):
            if remove:
                files.remove(self._path)

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(OSError):  # a full disk, say; the next may get through
                self._write(**self._refresh())

    def _write(self, **changes: Any) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._said = replace(self._said, beat=self._said.beat + 1, **changes)
                write_sealed(self._path, _ADAPTERS[type(self._said)], self._said)


class Hearing(Generic[Said]):
    """Hears what the other says, and whether it is still there.

    Args:
        folder: The corpus' folder of epochs.
        kind: ``Consumed`` or ``Writing``.
        clock: Seconds, from anywhere.

    Attributes:
        last: What was said last, whoever said it and whether they are gone; None where nothing was.
    """

    def __init__(self, folder: str, kind: type[Said], clock: Callable[[], float] = time.monotonic):
        self._path = _path(folder, kind)
        self._kind: type[Said] = kind
        self._clock = clock
        self._heard_at = clock()
        self.last: Said | None = None

    def hear(self) -> Said | None:
        """What the other says; None where it has said nothing, or is gone."""
        found = self._read()
        if found != self.last:
            self.last, self._heard_at = found, self._clock()
        if found is None or found.speaker.is_gone or self._clock() - self._heard_at > SILENT_SECONDS:
            return None
        return found

    def _read(self) -> Said | None:
        with suppress(SeqmillError, OSError):
            said: Said = read_sealed(self._path, _ADAPTERS[self._kind], self._kind.format, "nothing was said")
            return said
        return None


def _path(folder: str, kind: type) -> str:
    return output_folder.consumed_path(folder) if kind is Consumed else output_folder.writer_path(folder)


def _here() -> str:
    """This machine; in a container of its own processes another than outside."""
    with suppress(OSError):
        return f"{this_machine()} {Path('/proc/self/ns/pid').readlink()}"
    return this_machine()
