"""How far an epoch is, while it is trained or evaluated."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import keras

from seqmill.trainer.progress import duration
from seqmill.trainer.scores import flat_scores

_LIVE_SECONDS = 0.5
_PLAIN_SECONDS = 60.0


class StepProgress(keras.callbacks.Callback):
    """On a terminal a line that is overwritten twice a second, else a line a minute.

    Args:
        say: Takes the lines of where there is no terminal.
        stream: The terminal, if it is one; default: standard error.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self._say, self._stream, self._clock = say, stream or sys.stderr, clock
        self._is_live = self._stream.isatty()
        self._what, self._num_batches, self._first = "", 0, 0
        self._begun = self._shown = 0.0

    @contextmanager
    def showing(self, what: str, num_batches: int, first_batch: int = 0) -> Iterator[None]:
        """For a ``with`` block, in which of ``num_batches`` batches those from ``first_batch`` on are due."""
        self.begin(what, num_batches, first_batch)
        try:
            yield
        finally:
            self.end()

    def begin(self, what: str, num_batches: int, first_batch: int = 0) -> None:
        """Of ``num_batches`` batches those from number ``first_batch`` on are to come."""
        self._what, self._num_batches, self._first = what, num_batches, first_batch
        self._begun = self._shown = self._clock()

    def end(self) -> None:
        """They are through: clears the line."""
        if self._is_live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Shows the step, at times."""
        self._show(batch + 1, logs or {})

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Shows the step, at times."""
        self._show(batch + 1, logs or {})

    def _show(self, done: int, logs: Mapping[str, Any]) -> None:
        now = self._clock()
        if now - self._shown < (_LIVE_SECONDS if self._is_live else _PLAIN_SECONDS):
            return
        self._shown = now
        done = min(done, self._num_batches)  # with steps_per_execution Keras counts beyond
        to_go = (now - self._begun) / (done - self._first) * (self._num_batches - done)
        scores = " ".join(f"{name} {value:.4g}" for name, value in flat_scores(logs).items())
        line = f"{self._what}: {done:,}/{self._num_batches:,} batches  {scores}  {duration(to_go)} to go"
        if self._is_live:
            self._stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            self._stream.flush()
        else:
            self._say(line)
