"""The process that writes epochs beside the training of ``seqmill run``: ``seqmill preprocess --follow``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from seqmill.pipelines import console
from seqmill.pipelines.options import TRAIN, Config
from seqmill.transforms.batches.beside import Consumed, Hearing, Writing
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError

_POLL_SECONDS = 0.05
_SECONDS_TO_BEGIN = 300.0
_SECONDS_TO_END = 10.0
_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def writing_beside(config: Config, arguments: Sequence[str]) -> Iterator[None]:
    """Has epochs written ahead by a process of its own, until the block ends.

    The process ends with this one, however that ends: it reads from a pipe that closes then.

    Args:
        config: The configuration.
        arguments: Of ``seqmill run``, the command itself first.

    Raises:
        SeqmillError: It did not come as far as writing.
    """
    given = [argument for argument in arguments[1:] if argument != "--check"]
    preprocess = [sys.executable, "-P", "-m", "seqmill.pipelines.main", "preprocess"]
    # A session of its own: Ctrl-C is for the training, which may still save.
    child = subprocess.Popen(
        [*preprocess, *given, "--follow", "--beside"], stdin=subprocess.PIPE, start_new_session=True
    )
    folder = output_folder.epochs_folder(config.output, TRAIN)
    try:
        _wait_until_it_writes(child, Hearing(folder, Writing))
        threading.Thread(target=_watch, args=(child,), daemon=True).start()
        yield
    finally:
        _end(child, folder)


def end_with_standard_input() -> None:
    """Ends this process, as SIGTERM does and without a word, when its standard input ends."""
    threading.Thread(target=_end_at_its_end, daemon=True).start()


def _end_at_its_end() -> None:
    with suppress(OSError, ValueError):
        while os.read(0, 1024):
            pass
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_until_it_writes(child: subprocess.Popen[bytes], writer: Hearing[Writing]) -> None:
    end = time.monotonic() + _SECONDS_TO_BEGIN
    while child.poll() is None and time.monotonic() < end:
        said = writer.hear()
        if said is not None and said.speaker.process == child.pid:
            return
        time.sleep(_POLL_SECONDS)
    if child.poll() != 0:  # else the training was over at once
        what = "does not begin" if child.poll() is None else f"ended with exit code {child.returncode}"
        raise SeqmillError(f"what writes epochs ahead of the training (process {child.pid}) {what}")


def _watch(child: subprocess.Popen[bytes]) -> None:
    """Says when the process ends by itself; the training notices where it needs an epoch."""
    if (code := child.wait()) not in (0, _TERMINATED):
        console.say(f"what writes epochs ahead of the training ended (exit code {code})")


def _is_over(folder: str) -> bool:
    training: Hearing[Consumed] = Hearing(folder, Consumed)
    said = training.hear()
    return said is not None and said.is_over


def _end(child: subprocess.Popen[bytes], folder: str) -> None:
    if _is_over(folder):  # then it ends by itself
        with suppress(subprocess.TimeoutExpired):
            child.wait(_SECONDS_TO_END)
    assert child.stdin is not None
    with suppress(OSError):
        child.stdin.close()
    try:
        child.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
