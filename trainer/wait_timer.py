"""How long something has been waited for, and when to say so."""

from __future__ import annotations

from collections.abc import Callable

_QUIET_SECONDS = 1.0  # waits that are shorter are not spoken of
_SECONDS_TO_NEXT_LINE = 60.0


class WaitTimer:
    """For how long something has been waited for, and whether it is time to say so.

    Args:
        clock: Seconds, from anywhere.

    Attributes:
        seconds: How long it was when ``is_line_due`` was asked last.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock, self._begun = clock, clock()
        self._next_line = self._begun + _QUIET_SECONDS
        self.seconds = 0.0

    def is_line_due(self) -> bool:
        """Whether a line is to be said now: the first after a second, then one a minute."""
        now = self._clock()
        self.seconds = now - self._begun
        if now < self._next_line:
            return False
        self._next_line = now + _SECONDS_TO_NEXT_LINE
        return True
