"""Which options every epoch is planned by: those of the corpus, and what ``[[schedule]]`` changes of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.plan import EpochOptions


@dataclass(frozen=True)
class EpochRange:
    """Epochs ``first`` … ``last``, both included; ``last`` is None where there is no end.

    >>> str(EpochRange(1, 5)), str(EpochRange(7, 7)), str(EpochRange(6, None))
    ('1-5', '7', '6-')
    """

    first: int
    last: int | None

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{'' if self.last is None else self.last}"


@dataclass(frozen=True)
class Stretch:
    """Consecutive epochs that have the same options.

    Attributes:
        first: The first of them, from 1.
        last: The last of them.
        options: What they are planned by.

    >>> import seqmill
    >>> schedule = seqmill.load_config("config.toml").schedule_of("train")
    >>> [(stretch.first, stretch.last, len(stretch)) for stretch in schedule.stretches]
    [(1, 2, 2)]
    """

    first: int
    last: int
    options: EpochOptions

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Schedule:
    """The epochs of a corpus and the options of each.

    A *pass* is ``partition_epoch`` epochs that together are one full order. Where an option changes that says
    which sequences take part or in what order, a new pass begins, whether the one before is complete or not;
    ``batch_size`` and ``max_seqs`` may change within a pass.

    Attributes:
        options: What an epoch is planned by that ``changes`` does not name.
        num_epochs: Epochs of the training.
        distinct_epochs: The most epochs that are stored of each stretch, which goes round in them; None: as
            many as differ.
        changes: Epochs with other options, ascending and apart; what is behind ``num_epochs`` is left out.

    >>> import seqmill
    >>> schedule = seqmill.load_config("config.toml").schedule_of("train")
    >>> schedule.at(2) == schedule.options, list(schedule.stored_epochs)
    (True, [1, 2])
    """

    options: EpochOptions
    num_epochs: int
    distinct_epochs: int | None = None
    changes: tuple[Stretch, ...] = ()

    def at(self, epoch: int) -> EpochOptions:
        """What an epoch is planned by. Raises ValueError where there is no such epoch."""
        return self._stretch(epoch).options

    def stored(self, epoch: int) -> int:
        """The stored epoch that a training reads as its epoch ``epoch``. Raises ValueError."""
        stretch = self._stretch(epoch)
        return stretch.first + (epoch - stretch.first) % self._num_stored(stretch)

    def is_stored(self, epoch: int) -> bool:
        """Whether there is a stored epoch of that number."""
        return 1 <= epoch <= self.num_epochs and self.stored(epoch) == epoch

    @property
    def times_read(self) -> Iterator[tuple[int, int]]:
        """Every stored epoch, ascending, and how many epochs of the training read it."""
        for stretch in self.stretches:
            distinct = self._num_stored(stretch)
            for place in range(distinct):
                yield stretch.first + place, -(-(len(stretch) - place) // distinct)

    @property
    def stored_runs(self) -> list[range]:
        """The stored epochs of every stretch."""
        return [range(one.first, one.first + self._num_stored(one)) for one in self.stretches]

    @property
    def stored_epochs(self) -> Iterator[int]:
        """Numbers of the epochs that are stored, ascending."""
        return chain.from_iterable(self.stored_runs)

    @property
    def num_stored(self) -> int:
        """How many epochs are stored."""
        return sum(map(self._num_stored, self.stretches))

    @property
    def has_buckets(self) -> bool:
        """Whether any epoch has ``length_buckets``."""
        every = (self.options, *(one.options for one in self.changes))
        return any(options.batch_limits.length_buckets for options in every)

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """All epochs in turn, with the ``order_shift`` by which their passes follow one another."""
        found: list[Stretch] = []
        for first, last, options in self._pieces():
            before = found[-1].options if found else options
            options = replace(options, order_shift=before.order_shift)
            if _order(options) != _order(before):
                passes = before.place(first - 1)[0] + 1
                options = replace(options, order_shift=passes * options.partition_epoch + 1 - first)
            if options == before and found:
                first = found.pop().first
            found.append(Stretch(first, last, options))
        return tuple(found)

    def _pieces(self) -> Iterator[tuple[int, int, EpochOptions]]:
        """The changes, and what lies before, between and behind them."""
        first = 1
        for change in self.changes:
            if change.first > self.num_epochs:
                break
            if first < change.first:
                yield first, change.first - 1, self.options
            yield change.first, min(change.last, self.num_epochs), change.options
            first = change.last + 1
        if first <= self.num_epochs:
            yield first, self.num_epochs, self.options

    @cached_property
    def _firsts(self) -> list[int]:
        return [stretch.first for stretch in self.stretches]

    def _stretch(self, epoch: int) -> Stretch:
        if not 1 <= epoch <= self.num_epochs:
            raise ValueError(f"no epoch {epoch}; expected 1 to {self.num_epochs}")
        return self.stretches[bisect_right(self._firsts, epoch) - 1]

    def _num_stored(self, stretch: Stretch) -> int:
        options = stretch.options
        changes = (options.ordering.is_random and options.fixed_random_seed is None) or options.mix
        distinct = self.distinct_epochs or (len(stretch) if changes else options.partition_epoch)
        return min(distinct, len(stretch))


def parse_epochs(text: str) -> tuple[EpochRange, ...]:
    """Parses epochs, from 1: ``"1-5"``, ``"7"``, ``"6-"`` (to the end), or several: ``"1-2,5"``.

    Raises:
        ValueError: It is not of that form, or epochs are not in rising order.

    >>> parse_epochs("1-2,5")
    (EpochRange(first=1, last=2), EpochRange(first=5, last=5))
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(-\s*(\d{1,18})?)?\s*", part)
        if not match:
            raise ValueError(f'{text!r} names no epochs; expected such as "1-5", "7", "6-" or "1-2,5"')
        first = int(match[1])
        last = int(match[3]) if match[3] else (None if match[2] else first)
        ranges.append(EpochRange(first, last))
    _check_rising(text, ranges)
    return tuple(ranges)


def _check_rising(text: str, ranges: Sequence[EpochRange]) -> None:
    end: int | None = 0
    for one in ranges:
        if end is None or one.first <= end or (one.last is not None and one.last < one.first):
            raise ValueError(f"{text!r}: expected epochs from 1 in rising order, each once")
        end = one.last


def _order(options: EpochOptions) -> EpochOptions:
    """What says which sequences take part in a pass, and in what order: all but the size of batches."""
    return replace(options, batch_limits=BatchLimits({}), order_shift=0)
