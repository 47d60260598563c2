"""Numbers in words, for messages."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(numbers: Iterable[int]) -> str:
    """Rising numbers, runs of them as their ends.

    >>> ranges([1, 2, 3, 5, 7, 8])
    '1 to 3, 5, 7 to 8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs)


def numbered(noun: str, numbers: Iterable[int]) -> str:
    """Rising numbers of things, with what they are.

    >>> numbered("epoch", [1]), numbered("epoch", [1, 2])
    ('epoch 1', 'epochs 1 to 2')
    """
    text = ranges(numbers)
    return f"{noun}{'' if text.isdigit() else 's'} {text}"


def counted(number: int, one: str, several: str | None = None) -> str:
    """How many there are of something.

    Args:
        number: How many.
        one: What one of them is called, or what is said of it.
        several: What is said of several; default: ``one`` with an s.

    >>> counted(1, "epoch"), counted(2000, "epoch"), counted(3, "shard is", "shards are")
    ('1 epoch', '2,000 epochs', '3 shards are')
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
