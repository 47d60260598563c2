"""Which sequences take part in each epoch of a schedule, and in any of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqmill.transforms.planning.plan import EpochOptions, Selection, select
from seqmill.transforms.planning.schedule import Schedule


class Selections:
    """The selections of a corpus' epochs; the one made last is kept.

    Args:
        lengths: Per data key the length of every sequence in the store.
        schedule: The epochs.

    >>> import seqmill
    >>> store = seqmill.Store("work/store/train")
    >>> schedule = seqmill.load_config("config.toml").schedule_of("train")
    >>> len(Selections(store.lengths, schedule).at(1).rows)
    8
    """

    def __init__(self, lengths: Mapping[str, np.ndarray], schedule: Schedule):
        self._lengths = lengths
        self._schedule = schedule
        self._last: tuple[object, Selection] | None = None

    def at(self, epoch: int) -> Selection:
        """The sequences that take part in an epoch. Raises ValueError where there is no such epoch."""
        return self._selection(self._schedule.at(epoch))

    def in_any(self) -> Selection:
        """The sequences that take part in any epoch.

        The others are counted as the first epoch leaves them out.
        """
        stretches = self._schedule.stretches
        if len({_rules(stretch.options) for stretch in stretches}) == 1:
            return self.at(1)
        taken = np.zeros(len(next(iter(self._lengths.values()))), bool)
        for stretch in stretches:
            taken[self._selection(stretch.options).rows] = True
        left_out = select(self._lengths, stretches[0].options, ~taken)
        rows = np.flatnonzero(taken)
        lengths = {key: column[rows] for key, column in self._lengths.items()}
        return Selection(rows, lengths, left_out.dropped, left_out.disagreeing)

    def _selection(self, options: EpochOptions) -> Selection:
        rules, last = _rules(options), self._last
        if last is None or last[0] != rules:
            last = self._last = rules, select(self._lengths, options)
        return last[1]  # threads may ask at the same time


def _rules(options: EpochOptions) -> tuple[object, ...]:
    """What decides a selection."""
    limits = options.length_limits
    tables = (limits.longest, limits.shortest, options.chunking)
    return (options.num_seqs, options.seed, *(tuple(rules.items()) for rules in tables))
