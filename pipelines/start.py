"""The first and last moments of the ``seqmill`` command: what must hold before modules are imported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_INTERRUPTED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


def command() -> None:
    """Runs the command line of this process; Ctrl-C ends it without a trace while modules load, too."""
    from seqmill.pipelines import interrupts

    _forget_current_folder()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failures of Beam's connections come as exceptions
    try:
        with interrupts.ending_the_process():
            from seqmill.pipelines.main import main

        main()
    except KeyboardInterrupt as error:
        interrupts.say_interrupted()
        interrupts.end_process(interrupts.exit_code(error))
    except SystemExit as end:
        if end.code in _INTERRUPTED or (end.code == 1 and "apache_beam" in sys.modules):
            interrupts.end_process(int(end.code))  # threads of a runner's may still be at work
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise


def _forget_current_folder() -> None:
    """``python -m`` looks there first: a user's random.py or transforms.py would be taken for ours."""
    with contextlib.suppress(OSError):
        if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109
            del sys.path[0]
