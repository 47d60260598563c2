"""Ctrl-C and SIGTERM while nobody has anything to unwind: one line, and the process is over.

Imports next to nothing: it is in place before anything else of a command is loaded.
"""

from __future__ import annotations

import os
import signal

INTERRUPTED = "seqmill: interrupted; what is done is kept, run the same command again to go on"

_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it
_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class _State:
    process: int | None = None  # whose handlers these are
    is_said = False


def end_at_first_signal() -> None:
    """From now on Ctrl-C and SIGTERM end this process, without an exception, which breaks modules that load.

    Heeds only signals whose handling nobody has changed: a shell's background ignores Ctrl-C.
    """
    _State.process = os.getpid()
    for number in filter(is_untouched, _DEFAULTS):
        signal.signal(number, end_process_by)


def back_to_default() -> None:
    """Undoes ``end_at_first_signal``: when Python itself ends, it cannot call handlers any more."""
    for number in _DEFAULTS:
        if signal.getsignal(number) is end_process_by:
            signal.signal(number, signal.SIG_DFL)


def is_untouched(number: int) -> bool:
    """Whether a signal does what it does by default, or ends this process as ``end_at_first_signal`` asks."""
    return signal.getsignal(number) in (end_process_by, _DEFAULTS[signal.Signals(number)])


def say_interrupted() -> None:
    """Says once what an interrupted command leaves.

    Past Python's streams: somebody may be in the midst of writing to them.
    """
    if not _State.is_said:
        _State.is_said = True
        try:  # noqa: SIM105 - contextlib would have to be loaded
            os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}{INTERRUPTED}\n".encode())
        except OSError:
            pass


def end_process_by(number: int, frame: object = None) -> None:
    """Ends this process by a signal, with the exit code that shells expect: 130 or 143."""
    if _State.process not in (None, os.getpid()):  # one that a library has forked
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    say_interrupted()
    os._exit(128 + number)
