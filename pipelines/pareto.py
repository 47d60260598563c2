"""Which of several choices none of the others beats in both of two respects."""

from __future__ import annotations

from collections.abc import Sequence


def front(choices: Sequence[tuple[float, float]]) -> set[int]:
    """The numbers of choices that no other one is better than.

    Args:
        choices: Of each a cost, which should be low, and a worth, which should be high.

    >>> front([(0.5, 1.0), (0.2, 0.4), (0.3, 0.4), (0.1, 0.1)]) == {0, 1, 3}
    True
    """

    def is_beaten(cost: float, worth: float) -> bool:
        return any(other[0] <= cost and other[1] >= worth and other != (cost, worth) for other in choices)

    return {number for number, choice in enumerate(choices) if not is_beaten(*choice)}
