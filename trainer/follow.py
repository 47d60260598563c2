"""Windows of a stream as the epochs of a training, each as it appears."""

from __future__ import annotations

import time
from collections.abc import Callable

from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.corpus import Corpus, open_corpus
from seqmill.trainer.options import ENDLESS, TrainOptions
from seqmill.trainer.progress import duration
from seqmill.trainer.resume import Start, why_not_inside
from seqmill.trainer.supply import EpochData
from seqmill.trainer.wait_timer import WaitTimer
from seqmill.transforms.batches.beside import Hearing, Writing
from seqmill.transforms.batches.stream import (
    check_same_data,
    clear_stream,
    consume,
    is_stream,
    is_there,
    read_stream,
    stream_of,
    windows_but,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError

_POLL_SECONDS = 0.2
_POLL_SECONDS_REMOTE = 5.0
_PAUSES = 20  # times as long as looking takes, where that is more

Say = Callable[[str], None]


def open_stream(folder: str, idle: float | None = None, say: Say = print) -> Corpus:
    """Opens a stream's folder, as a corpus without epochs; waits for its first window where none was there.

    Args:
        folder: ``epochs/<corpus>``: path or URL.
        idle: Seconds after which it waits no more.
        say: Takes a line about what is waited for.

    Raises:
        SeqmillError: Nothing has appeared in time, or ``stream.json`` is not valid.
    """
    waiting = _Waiting(folder, idle, say)
    while not is_stream(folder):
        waiting.for_first_window()
    return Corpus(folder, read_stream(folder).manifest)


class FollowedWindows:
    """The windows of a stream, in order of their names, as they appear; a ``Supply``.

    Args:
        stream: From ``open_stream``.
        options: Of the training: ``follow_idle`` and ``remove_windows`` concern windows.
        say: Takes lines about what is waited for.
        clock: Seconds, from anywhere.

    Attributes:
        common: The stream.
        is_over: No window has appeared for ``follow_idle``.

    Raises:
        UsageError: The options are those of epochs that are planned.
    """

    def __init__(
        self, stream: Corpus, options: TrainOptions, say: Say, clock: Callable[[], float] = time.monotonic
    ):
        for name in ("epochs_ahead", "distinct_epochs", "store"):
            if getattr(options, name) is not None:
                raise UsageError(f"{name}: not an option of a training that follows windows as they appear")
        if options.read_from == "store":
            raise UsageError('read_from = "store": windows have shards and no store')
        self.common, self.is_over = stream, False
        self._folder, self._options, self._say, self._clock = stream.folder, options, say, clock
        self._common = stream_of(stream.manifest)
        self._trained: dict[int, str] = {}  # the window of every epoch that was trained
        self._taken: set[str] = set()
        self._to_remove: dict[int, str] = {}
        self._opened: dict[int, EpochData] = {}
        self._behind = 0
        self._newest: Callable[[], int] = lambda: 0
        self._must_end: Callable[[], bool] = lambda: False

    def watch(self, newest: Callable[[], int], must_end: Callable[[], bool]) -> None:
        """See ``Supply``; so for what follows."""
        self._newest, self._must_end = newest, must_end

    def begin(self, start: Start) -> None:
        """Takes up which windows were trained, as the checkpoint knows it."""
        self._behind = start.epoch - 1
        self._trained = {e: name for e, name in start.history.windows.items() if e < start.epoch}
        self._taken, self._opened = {*self._trained.values()}, {}
        self._to_remove = {}
        if self._options.remove_windows:
            there = {*files.list_names(self._folder)}
            self._to_remove = {epoch: name for epoch, name in self._trained.items() if name in there}
        if start.checkpoint is not None and start.first_batch:
            name = start.checkpoint.content["batches_of"].get("window")
            if name is not None and is_there(self._folder, name):
                self._take(start.epoch, name)

    def why_not_inside(self, inside: Checkpoint) -> str:  # noqa: D102
        name = inside.content.get("batches_of", {}).get("window")
        if name is None:
            return f"epoch {inside.epoch} was no window of a stream"
        if not is_there(self._folder, name):
            return f"window {name} is gone, and the next is trained from its beginning"
        return why_not_inside(inside, self._open(name).facts)

    def any(self, is_needed: bool) -> EpochData | None:
        """Any window that is there, trained or not; where it is needed, it is waited for."""
        waiting = self._waiting()
        while (first := next(windows_but((), self._folder), None)) is None:
            if not is_needed:
                return None
            if self._options.num_epochs <= len(self._trained):
                raise SeqmillError(
                    f"{self._folder}: nothing is left to train, and no window is there to build the model by"
                )
            waiting.for_first_window()
        return self._open(first)

    def is_there(self, epoch: int) -> bool:  # noqa: D102
        return epoch in self._opened or epoch > self._options.num_epochs or self._next() is not None

    def wait_for(self, epoch: int) -> bool:
        """Removes what is done with, and waits for the next window."""
        self._remove()
        if epoch in self._opened:
            return True
        waiting = self._waiting()
        while (name := self._next()) is None:
            if self._must_end():
                return False
            if waiting.is_over(f"window {epoch}"):
                self.is_over = True
                self._say(f"{self._folder}: no window for {duration(waiting.seconds)}, as follow_idle allows")
                return False
            waiting.pause()
        self._opened.clear()
        self._take(epoch, name)
        return True

    def of(self, epoch: int) -> EpochData:  # noqa: D102
        return self._opened[epoch] if epoch in self._opened else self._open(self._trained[epoch])

    def close(self, is_over: bool = False) -> None:  # noqa: D102
        self._remove()

    def _take(self, epoch: int, name: str) -> None:
        self._opened[epoch] = self._open(name)
        self._trained[epoch] = name
        self._taken.add(name)
        if self._options.remove_windows:
            self._to_remove[epoch] = name

    def _next(self) -> str | None:
        return next(windows_but(self._taken, self._folder), None)

    def _open(self, name: str) -> EpochData:
        """A window, which must be of the stream's data. Raises SeqmillError."""
        corpus = open_corpus(files.join(self._folder, name))
        found = stream_of(corpus.manifest)
        check_same_data(corpus.folder, found, self._common)
        if corpus.num_epochs != 1 or corpus.manifest.packed != self.common.manifest.packed:
            raise SeqmillError(
                f"{corpus.folder}: expected a window of one epoch, packed as others are; remove it"
            )
        return EpochData(corpus, 1, name)

    def _remove(self) -> None:
        """Removes windows whose epochs are in a checkpoint, with what earlier runs have left of such."""
        newest = max(self._behind, self._newest())
        done = [epoch for epoch in self._to_remove if epoch <= newest]
        for epoch in done:
            name = self._to_remove.pop(epoch)
            if files.exists(files.join(self._folder, name)):
                consume(self._folder, name)
        if done:
            clear_stream(self._folder)

    def _waiting(self) -> _Waiting:
        trained = len(self._trained)
        total = "" if self._options.num_epochs == ENDLESS else f" of {self._options.num_epochs}"
        so_far = f"{trained}{total} trained"
        return _Waiting(self._folder, self._options.follow_idle, self._say, self._clock, so_far)


class _Waiting:
    """Waits for something in a stream's folder, and says so from time to time."""

    def __init__(
        self,
        folder: str,
        idle: float | None,
        say: Say,
        clock: Callable[[], float] = time.monotonic,
        so_far: str = "none trained",
    ):
        self._folder, self._idle, self._say, self._so_far = folder, idle, say, so_far
        self._timer, self._paused = WaitTimer(clock), time.monotonic()
        self._writer: Hearing[Writing] = Hearing(folder, Writing, clock)

    @property
    def seconds(self) -> float:
        """How long it was when ``is_over`` was asked last."""
        return self._timer.seconds

    def is_over(self, what: str) -> bool:
        """Whether it has been waited for long enough; says what is waited for."""
        is_line_due = self._timer.is_line_due()
        said = self._writer.hear()
        if is_line_due:
            doing = f"{said.doing} ({said.speaker})" if said else "nobody says that more will come"
            self._say(
                f"waiting for {what} in {self._folder}, {self.seconds:.0f} s so far, {self._so_far}: {doing}"
            )
        return self._idle is not None and self.seconds >= self._idle

    def for_first_window(self) -> None:
        """Waits a little. Raises SeqmillError where it has been waited for long enough."""
        if self.is_over("the first window"):
            raise SeqmillError(f"{self._folder}: no window has appeared in {duration(self.seconds)}")
        self.pause()

    def pause(self) -> None:
        """Waits a little, longer where looking takes long."""
        least = _POLL_SECONDS if files.is_local(self._folder) else _POLL_SECONDS_REMOTE
        time.sleep(max(least, _PAUSES * (time.monotonic() - self._paused)))
        self._paused = time.monotonic()
