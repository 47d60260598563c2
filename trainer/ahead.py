"""Epochs that are written beside the training: it says which it needs, and waits for what is not there."""

from __future__ import annotations

import time
from collections.abc import Callable

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.wait_timer import WaitTimer
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.beside import SILENT_SECONDS, Consumed, Hearing, Saying, Writing
from seqmill.transforms.storage.errors import SeqmillError

_POLL_SECONDS = 0.1


class Ahead:
    """The trainer's side of what ``seqmill preprocess --follow`` does.

    Args:
        corpus: What is trained on.
        is_on: Whether its epochs are written beside the training; else all of them are there.
        say: Takes a line about what is waited for.
        clock: Seconds, from anywhere.

    Attributes:
        is_on: As given.
        behind: The epoch behind whose end this run began.
    """

    def __init__(
        self,
        corpus: Corpus,
        is_on: bool,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        self.is_on, self.behind = is_on, 0
        self._corpus, self._say, self._clock = corpus, say, clock
        self._newest: Callable[[], int] = lambda: 0
        self._must_end: Callable[[], bool] = lambda: False
        self._saying: Saying[Consumed] | None = None
        self._writer: Hearing[Writing] = Hearing(corpus.folder, Writing, clock)
        # What a writer left that is gone already: the next one may be about to start.
        self._left_before = None if self._writer.hear() else self._writer.last

    def watch(self, newest: Callable[[], int], must_end: Callable[[], bool]) -> None:
        """Heeds a training that has begun.

        Args:
            newest: function() → the last epoch behind whose end it has written a checkpoint, or 0.
            must_end: function() → whether it must end, and not wait.
        """
        self._newest, self._must_end = newest, must_end

    def begin(self, behind: int) -> None:
        """Says where the training goes on: behind the end of epoch ``behind``."""
        self.behind = behind
        self.need(behind + 1)

    def need(self, epoch: int) -> None:
        """Says which epoch of the training is the next; all before it are trained."""
        if not self.is_on:
            return
        if self._saying is None:
            said = Consumed(epoch, self._done())
            self._saying = Saying(self._corpus.folder, said, lambda: {"done": self._done()})
        self._saying.say(epoch=epoch, done=self._done())

    def wait_for(self, stored: int) -> bool:
        """Waits until a stored epoch is there; whether it is, or the training must end before.

        Raises:
            SeqmillError: Nobody writes it, or others have planned the epochs anew.
        """
        waiting = WaitTimer(self._clock)
        while self.is_on and not self._corpus.is_complete(stored):
            if self._must_end():
                return False
            is_line_due = waiting.is_line_due()
            said = self._writer.hear()
            if said is None:
                self._check_writer(stored, waiting.seconds)
            if is_line_due:
                self._check_plan()
                doing = f"{said.doing} ({said.speaker})" if said else "no writer is there yet"
                self._say(f"waiting for epoch {stored}, {waiting.seconds:.0f} s so far: {doing}")
            time.sleep(_POLL_SECONDS)
        return True

    def close(self, is_over: bool = False) -> None:
        """Says no more; ``is_over``: and that the training has come to its end."""
        if self._saying is not None:
            if is_over:
                self._saying.say(is_over=True, done=self._done())
            self._saying.close()

    def _done(self) -> int:
        """The last epoch behind whose end a checkpoint is complete, 0 before the first."""
        return max(self.behind, self._newest())

    def _check_writer(self, stored: int, seconds: float) -> None:
        last = self._writer.last
        if last == self._left_before and seconds < SILENT_SECONDS:
            return
        gone = f"{last.speaker}, which wrote ahead, is gone" if last else "nobody writes ahead"
        raise SeqmillError(
            f"{self._corpus.folder}: epoch {stored} is not there, and {gone}; `seqmill run` goes on, or "
            "`seqmill train` beside `seqmill preprocess --follow`"
        )

    def _check_plan(self) -> None:
        if manifest.read(self._corpus.folder).fingerprint != self._corpus.manifest.fingerprint:
            raise SeqmillError(
                f"{self._corpus.folder}: the epochs were planned anew while this training read them; start "
                "it again"
            )
