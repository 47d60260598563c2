"""The first and last moments of the ``seqmill`` command: what must hold before modules are imported."""

from __future__ import annotations

from seqmill.transforms.storage import signals


def command() -> None:
    """Runs the command line of this process; Ctrl-C ends it without a trace while modules load, too."""
    signals.end_at_first_signal()

    import atexit
    import os
    import sys

    atexit.register(signals.back_to_default)
    _forget_current_folder()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failures of Beam's connections come as exceptions

    from seqmill.pipelines import interrupts
    from seqmill.pipelines.main import main

    try:
        main()
    except SystemExit as end:
        if end.code in interrupts.EXIT_CODES or (end.code == 1 and "apache_beam" in sys.modules):
            interrupts.end_process(int(end.code))  # threads of a runner's may still be at work
        raise


def _forget_current_folder() -> None:
    """``python -m`` looks there first: a user's random.py or transforms.py would be taken for ours."""
    import contextlib
    import os
    import sys

    with contextlib.suppress(OSError):
        if not sys.flags.safe_path and sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109
            del sys.path[0]
