"""Which stored epochs must be there while epochs are written beside the training that reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Needed:
    """Stored epochs that a training needs.

    Attributes:
        to_write: Those that must be written, the most urgent first.
        to_keep: Those that must not be deleted, ``to_write`` included.
    """

    to_write: Collection[int]
    to_keep: Collection[int]


NONE_TO_WRITE = Needed((), range(1, sys.maxsize))
"""For a training that reads none of them: what is there may stay."""


def needed(epoch: int, done: int, num_epochs: int, ahead: int, stored: Callable[[int], int]) -> Needed:
    """What a training needs now.

    An epoch is needed until a checkpoint behind its end is complete: a training that was interrupted reads it
    again.

    Args:
        epoch: The epoch in training, or that training goes on with, from 1; it is the next one after ``done``
            at least.
        done: The last epoch behind whose end a checkpoint is complete, 0 before the first.
        num_epochs: Epochs of the training.
        ahead: How many epochs are to be there beyond the one in training.
        stored: Of an epoch of the training the stored one that it reads.

    >>> needed(epoch=4, done=2, num_epochs=12, ahead=2, stored=lambda epoch: (epoch - 1) % 5 + 1)
    Needed(to_write=(4, 5, 1), to_keep=frozenset({1, 3, 4, 5}))
    """
    epoch = max(epoch, done + 1)
    coming = range(epoch, min(epoch + ahead, num_epochs) + 1)
    passed = range(done + 1, min(epoch, num_epochs + 1))
    to_write = tuple(dict.fromkeys(map(stored, coming)))
    return Needed(to_write, frozenset([*to_write, *map(stored, passed)]))
