"""Which sequences take part in each epoch of a schedule, and in any of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from seqmill.transforms.planning.corpus_order import CorpusOrder
from seqmill.transforms.planning.plan import EpochOptions, Selection, select
from seqmill.transforms.planning.schedule import Schedule


class Selections:
    """The selections of a corpus' epochs; the one made last is kept.

    A command makes one of them for a corpus and hands it on, so that no selection is made twice in a row.

    Args:
        order: The sequences of the corpus.
        schedule: The epochs.

    Attributes:
        schedule: The epochs.

    >>> import seqmill
    >>> store = seqmill.Store("work/store/train")
    >>> schedule = seqmill.load_config("config.toml").schedule_of("train")
    >>> len(Selections(store.order, schedule).at(1).rows)
    8
    """

    def __init__(self, order: CorpusOrder, schedule: Schedule):
        self._order = order
        self.schedule = schedule
        self._last: tuple[object, Selection, Selection] | None = None  # the rules, positions, rows

    def at(self, epoch: int) -> Selection:
        """The sequences that take part in an epoch. Raises ValueError where there is no such epoch."""
        return self._selected(self.schedule.at(epoch))[1]

    def by(self, options: EpochOptions) -> Selection:
        """The sequences that options let take part."""
        return self._selected(options)[1]

    def of(self, schedule: Schedule) -> Selections:
        """The selections of another schedule of the same corpus."""
        other = Selections(self._order, schedule)
        other._last = self._last
        return other

    @cached_property
    def in_any(self) -> Selection:
        """The sequences that take part in any epoch.

        The others are counted as the first epoch leaves them out.
        """
        stretches = self.schedule.stretches
        if len({_rules(stretch.options) for stretch in stretches}) == 1:
            return self.at(1)
        taken = np.zeros(self._order.num_seqs, bool)
        for stretch in stretches:
            taken[self._selected(stretch.options)[0].rows] = True
        lengths = self._order.lengths
        left_out = select(lengths, stretches[0].options, ~taken)
        positions = np.flatnonzero(taken)
        of_taken = {key: column[positions] for key, column in lengths.items()}
        return self._order.in_store(Selection(positions, of_taken, left_out.dropped, left_out.disagreeing))

    def _selected(self, options: EpochOptions) -> tuple[Selection, Selection]:
        """A selection as one of positions, and as one of rows."""
        rules, last = _rules(options), self._last
        if last is None or last[0] != rules:
            positions = select(self._order.lengths, options)
            last = self._last = rules, positions, self._order.in_store(positions)
        return last[1:]  # threads may ask at the same time


def _rules(options: EpochOptions) -> tuple[object, ...]:
    """What decides a selection."""
    limits = options.length_limits
    tables = (limits.longest, limits.shortest, options.chunking)
    return (options.num_seqs, options.seed, *(tuple(rules.items()) for rules in tables))
