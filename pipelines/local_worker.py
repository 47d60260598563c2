"""A process that has imported all that work needs, and forks a worker of itself as often as it is asked to.

Started with the numbers of its driver's process and of a socket to it. A request holds one end of a socket
for the worker; where the system cannot fork safely, the process itself becomes that worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

NUMBER = struct.Struct(">q")  # a process, or how one ended
READY = NUMBER.pack(0)
NEW_WORKER = 0  # any other request is the number of a process whose end is asked for

_PR_SET_PDEATHSIG = 1
_LIFELINE = 0  # standard input: a pipe that nobody writes to and that ends with the driver


def main() -> None:
    """Serves the driver that started this process, until it closes the socket or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the driver alone answers
    driver, descriptor, forks = map(int, sys.argv[1:])
    _end_with(driver)
    try:
        _import_all()
        with socket.socket(fileno=descriptor) as control:
            _serve(control, bool(forks))
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)  # the driver has ended them
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _import_all() -> None:
    import seqmill.pipelines.failures
    import seqmill.transforms.batches.finish_epochs
    import seqmill.transforms.batches.write_shards
    import seqmill.transforms.store.count_frames
    import seqmill.transforms.store.count_labels
    import seqmill.transforms.store.finish_store
    import seqmill.transforms.store.ingest  # noqa: F401


def _serve(control: socket.socket, forks: bool) -> None:
    control.sendall(READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, NUMBER.size, 1)
        if not request:
            return
        (process,) = NUMBER.unpack(request)
        if process != NEW_WORKER:
            _, status = os.waitpid(process, 0)
            control.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
            continue
        parent, child = os.getpid(), os.fork() if forks else 0
        if child:
            os.close(descriptors[0])
            control.sendall(NUMBER.pack(child))
            continue
        if forks:
            control.close()
            _end_with(parent)
        else:
            control.sendall(NUMBER.pack(parent))
        threading.Thread(target=_wait_for_end_of_driver, daemon=True).start()
        _work(Connection(descriptors[0]))
        os._exit(0)


def _work(driver: Connection) -> None:
    """Does what the driver sends: the parts of a step and its run, then items of it; answers each item."""
    parts: Any = ()
    run_id = ""
    while True:
        try:
            message = driver.recv_bytes()
        except EOFError:
            return
        try:
            content = pickle.loads(message)
            if isinstance(content, tuple):
                parts, run_id = content
                continue
            answer: Any = (True, content.do(parts, run_id))
        except BaseException as error:
            from seqmill.pipelines.failures import deepest_cause

            answer = (False, (deepest_cause(error), traceback.format_exc()))
        driver.send(answer)


def _end_with(parent: int) -> None:
    """An orphan must not write: the next run may be at work on the same files."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # at once, by the kernel
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _wait_for_end_of_driver() -> None:
    while os.read(_LIFELINE, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
