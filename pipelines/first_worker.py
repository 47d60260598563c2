"""For how long a job waits for its workers to begin: nobody else notices that none does.

A worker that is killed as it starts, by a pool that lives on, leaves Beam's own job service waiting for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from seqmill.transforms.beam.step import Step
from seqmill.transforms.storage import files, output_folder, progress
from seqmill.transforms.storage.errors import SeqmillError, UsageError

VARIABLE = "SEQMILL_WORKER_SECONDS"

_SECONDS = 60
_LOOK_SECONDS = 1.0  # between two looks at what workers have reported


def seconds_for_workers() -> int:
    """How long the first worker may take to begin, as ``SEQMILL_WORKER_SECONDS`` says.

    Raises:
        UsageError: That is no number of seconds.
    """
    given = os.environ.get(VARIABLE) or str(_SECONDS)
    if not given.isascii() or not given.isdigit():
        raise UsageError(f"{VARIABLE}: found {given!r}; expected a number of seconds")
    return int(given)


def watch_first_worker(step: Step, where: str) -> Callable[[], None]:
    """What raises SeqmillError once no worker has begun any task of a step for too long.

    Of results on other machines' disks, which tell of a beginning only after a while, nothing is looked at.

    Args:
        step: What is done; its tasks report where they begin.
        where: Where, in words.
    """
    folders = [output_folder.progress_folder(part.folder) for part in step.parts]
    seconds, begun = seconds_for_workers(), time.monotonic()
    next_look, is_over = 0.0, not all(map(files.is_local, folders))

    def watch() -> None:
        nonlocal next_look, is_over
        now = time.monotonic()
        if is_over or now < next_look:
            return
        next_look, is_over = now + _LOOK_SECONDS, any(progress.has_begun(one, step.run_id) for one in folders)
        if not is_over and now - begun > seconds:
            raise SeqmillError(
                f"no worker has begun in {seconds} s on {where}; the log of the pool may say why; "
                f"where workers need longer, set {VARIABLE}"
            )

    return watch
