"""A worker process of the local runner: Beam's, but quiet, deaf to Ctrl-C and never without its driver."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import traceback

_PR_SET_PDEATHSIG = 1
_LIFELINE = 0  # standard input: a pipe that nobody writes to and that ends with the driver


def main() -> None:
    """Works for the driver that started this process, until told to stop or until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver alone answers
    _end_with_driver(int(sys.argv[1]))
    # Beam's own entry point logs its start and end at level INFO, whatever level the pipeline's options name.
    logging.disable(logging.WARNING)
    code = 0
    try:
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main([])
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)  # threads of gRPC may abort an interpreter that ends


def _end_with_driver(driver: int) -> None:
    """An orphan must not write: the next run may be at work on the same files."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # at once, by the kernel
    threading.Thread(target=_wait_for_end_of_driver, daemon=True).start()
    if os.getppid() != driver:
        os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_end_of_driver() -> None:
    while os.read(_LIFELINE, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
