"""Ctrl-C that is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

import keras


class Interrupts(keras.callbacks.Callback):
    """Raises ``KeyboardInterrupt`` after the step in which Ctrl-C was pressed, if it was lost before.

    Python drops an exception that is raised while an object is being deleted, and TensorFlow deletes much.
    Works inside a ``with`` block, in the main thread, where Python's own handler is in place.
    """

    def __init__(self) -> None:
        super().__init__()
        self._was_pressed = False
        self._is_handled = False

    def __enter__(self) -> Interrupts:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._is_handled = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Raises what was lost."""
        self._raise_lost()

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Raises what was lost."""
        self._raise_lost()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._was_pressed = True
        raise KeyboardInterrupt

    def _raise_lost(self) -> None:
        if self._was_pressed:
            raise KeyboardInterrupt
