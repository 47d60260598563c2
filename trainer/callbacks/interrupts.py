"""Ctrl-C that is never lost, and SIGTERM that waits until all is saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

import keras

from seqmill.transforms.storage import signals


class Interrupts(keras.callbacks.Callback):
    """Raises ``KeyboardInterrupt`` after the step in which Ctrl-C was pressed, if it was lost before.

    Python drops an exception that is raised while an object is being deleted, and TensorFlow deletes much.
    SIGTERM, which queues send before they kill, is only noted; a second one ends the process.
    Works inside a ``with`` block, in the main thread, where nobody else has handlers of these signals.

    Attributes:
        is_terminated: SIGTERM has arrived.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was_pressed = False
        self._before: dict[int, Any] = {}
        self._process = os.getpid()
        self.is_terminated = False

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGINT, self._handle), (signal.SIGTERM, self._note)):
                if signals.is_untouched(number):
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Raises what was lost."""
        self._raise_lost()

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Raises what was lost."""
        self._raise_lost()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._was_pressed = True
        raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != self._process:  # one that was forked meanwhile, by a library
            os.kill(os.getpid(), number)
            return
        self.is_terminated = True
        os.write(2, b"\nSIGTERM: saving, then ending; another one ends at once\n")

    def _raise_lost(self) -> None:
        if self._was_pressed:
            raise KeyboardInterrupt
