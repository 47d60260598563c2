"""Ctrl-C and SIGTERM: a command ends at the first press, whatever it is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seqmill.transforms.storage import signals

_SECONDS = 3.5  # to unwind in; then the process ends as it is
_SECONDS_TO_NEXT_TRY = 0.05
_FATAL = (signal.SIGINT, signal.SIGTERM)

EXIT_CODES = tuple(128 + number for number in _FATAL)


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: ends what Ctrl-C ends."""


class _State:
    pressed: int | None = None  # the signal that arrived


_state = _State()


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Ends the block by ``KeyboardInterrupt`` or ``Terminated`` at the first signal, the process if need be.

    An exception alone is not enough: it waits for long calls into C, is dropped where an object is being
    deleted, and libraries take it for a failure of their own. What has not ended a few seconds after the
    signal is ended by force. Further presses change nothing. Does nothing outside the main thread, and heeds
    only signals whose handling nobody has changed (a shell's background ignores Ctrl-C).
    """
    heeded = [number for number in _FATAL if signals.is_untouched(number)]
    if not heeded or threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.pressed = None
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_end_by_force, args=(read_end, ended), daemon=True).start()
    handlers = {number: signal.signal(number, _handle) for number in heeded}
    hook, sys.unraisablehook = sys.unraisablehook, _raise_again
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(write_end)


def raise_if_pressed() -> None:
    """Raises the interrupt again that somebody has swallowed since ``ending_at_once`` began."""
    if _state.pressed is not None:
        raise _exception(_state.pressed)


def exit_code(error: KeyboardInterrupt) -> int:
    """What a shell expects of an interrupted command: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def end_process(code: int) -> None:
    """Ends this process without waiting for threads of libraries, which may hang or abort."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _handle(number: int, frame: FrameType | None) -> None:
    if _state.pressed is None:
        if _is_importing(frame):
            _send_again(number)
        else:
            _state.pressed = number
            raise _exception(number)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: extension modules crash where an exception comes in between."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Sends a signal again whose exception Python has dropped, as it does while an object is deleted."""
    number = _state.pressed
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
    elif number is not None:
        _state.pressed = None
        _send_again(number)


def _send_again(number: int) -> None:
    again = threading.Timer(_SECONDS_TO_NEXT_TRY, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _exception(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _end_by_force(read_end: int, ended: threading.Event) -> None:
    # Python writes the number of every signal here at once, also while C code keeps handlers from running.
    while number := os.read(read_end, 1):
        if number[0] in _FATAL and not ended.wait(_SECONDS):
            signals.end_process_by(number[0])
    os.close(read_end)
