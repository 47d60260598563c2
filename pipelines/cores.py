"""How many cores there are, and how many processes work is worth."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_CONTAINER_SHARE = Path("/sys/fs/cgroup/cpu.max")
_LEAST_SECONDS = 0.2  # of work for a process


def num_processes(seconds: float, num_items: int, cores: int, start_seconds: float) -> int:
    """How many processes work of a known length is worth; one where more would not be done sooner.

    Args:
        seconds: What the work takes one process.
        num_items: Parts that it can be cut into.
        cores: That may be used.
        start_seconds: Until processes are there.

    >>> num_processes(60.0, num_items=200, cores=8, start_seconds=0.5)
    8
    >>> num_processes(0.6, num_items=200, cores=8, start_seconds=0.5)
    1
    """
    number = max(1, min(cores, num_items, math.ceil(seconds / _LEAST_SECONDS)))
    return number if seconds - seconds / number > start_seconds else 1


def num_cores() -> int:
    """Cores that this process may use, by its affinity and by its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or "max"
        quota, period = map(int, _CONTAINER_SHARE.read_text().split())
        cores = min(cores, math.ceil(quota / period))
    return cores
