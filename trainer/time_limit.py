"""How long a training may run: reading ``stop_after``, and when to save so that it ends in time."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.storage.checked_options import is_absence

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms])")
_NO_TIME = re.compile(r" *(0+(\.0+)?[dhms] *)+")
_BYTES_PER_SECOND = 50e6  # until a checkpoint was written and timed
_SECONDS_TO_END = 1.0


def seconds_of(value: Any) -> float:
    """The seconds that ``"3h50m"``, ``"90m"``, ``"45s"`` or a number of seconds means.

    Raises:
        ValueError: It means none.

    >>> seconds_of("3h50m"), seconds_of("1.5h"), seconds_of(90)
    (13800.0, 5400.0, 90.0)
    """
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and value and not _PART.sub("", value.replace(" ", "")):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if not 0 < seconds < math.inf:
        raise ValueError('expected a time such as "3h50m", "90m" or "45s", or a number of seconds above 0')
    return seconds


def is_no_time(value: Any) -> bool:
    """Whether a value says that there is to be no time: absence, or 0 of any unit.

    >>> is_no_time("0s"), is_no_time(0.0), is_no_time("none"), is_no_time("10s")
    (True, True, True, False)
    """
    return is_absence(value) or value == 0.0 or (isinstance(value, str) and bool(_NO_TIME.fullmatch(value)))


@dataclass
class TimeLimit:
    """Says when a training must save and end.

    Args:
        seconds: From the beginning on; ``None`` for no limit.
        begun: When that was, by the clock.
        bytes: Roughly what a checkpoint holds.
        clock: Seconds, from anywhere.

    Attributes:
        longest_step: Seconds of the longest step so far, but the first, in which graphs are compiled.
        longest_save: Seconds of the longest save, 0 before the first.
        longest_evaluation: Seconds of the longest evaluation of all corpora, ``None`` before the first.
    """

    seconds: float | None
    begun: float
    bytes: int = 0
    clock: Callable[[], float] = time.monotonic
    longest_step: float = 0.0
    longest_save: float = 0.0
    longest_evaluation: float | None = None

    def evaluated(self, seconds: float) -> None:
        """An evaluation of all corpora took so long."""
        self.longest_evaluation = max(self.longest_evaluation or 0.0, seconds)

    def is_near(self, more: float = 0.0) -> bool:
        """Whether another step, after which is saved, might end too late.

        Args:
            more: Seconds of something else that is to come before.
        """
        if self.seconds is None:
            return False
        save = 2 * (self.longest_save or self.bytes / _BYTES_PER_SECOND)
        reserve = min(self.longest_step + save + _SECONDS_TO_END, self.seconds / 2)
        return self.clock() - self.begun + more + reserve >= self.seconds

    def is_near_after_evaluation(self) -> bool:
        """Whether an evaluation might end too late; before the first one nobody knows."""
        if self.seconds is None:
            return False
        return self.longest_evaluation is None or self.is_near(1.5 * self.longest_evaluation)
