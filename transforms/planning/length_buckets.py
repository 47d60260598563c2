"""Which time axes batches may have, where ``length_buckets`` says how many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.best_buckets import best_buckets
from seqmill.transforms.planning.entries import Entries
from seqmill.transforms.planning.plan import (
    EpochOptions,
    EpochPlan,
    Selection,
    cut_entries,
    order_epoch,
)
from seqmill.transforms.planning.schedule import Schedule, Stretch
from seqmill.transforms.planning.selections import Selections


def with_buckets(selections: Selections) -> Schedule:
    """The schedule of selections with the time axes chosen that its ``length_buckets`` allow.

    They are the same for all epochs of equal options, so that a compiler sees few shapes in a whole training.
    The lengths that pad least are found exactly, for each data key by itself, twice: for all sequences (or
    chunks), which is best where those of a batch are alike, and for the longest of each batch as batches
    would be without buckets, which is best where they are not. The first pass over the corpus is then cut
    into batches both ways, and what really pads less is taken.

    Args:
        selections: The sequences of the corpus that take part in its epochs.

    >>> import seqmill
    >>> schedule = seqmill.load_config("config.toml", {"length_buckets": "2"}).schedule_of("train")
    >>> store = seqmill.Store("work/store/train")
    >>> with_buckets(Selections(store.order, schedule)).at(1).batch_limits.padded_lengths["data"]
    (4, 8)
    """
    known: dict[str, dict[str, tuple[int, ...]]] = {}

    def chosen(options: EpochOptions) -> EpochOptions:
        if not options.batch_limits.length_buckets:
            return options
        name = repr(replace(options, order_shift=0))
        if name not in known:
            known[name] = _choose(selections.by(options), options)
        return replace(options, batch_limits=replace(options.batch_limits, padded_lengths=known[name]))

    schedule = selections.schedule
    changes = tuple(Stretch(one.first, one.last, chosen(one.options)) for one in schedule.changes)
    return replace(schedule, options=chosen(schedule.options), changes=changes)


def without_buckets(schedule: Schedule) -> Schedule:
    """A schedule as it was before ``with_buckets``."""

    def asked(options: EpochOptions) -> EpochOptions:
        return replace(options, batch_limits=replace(options.batch_limits, padded_lengths={}))

    changes = tuple(Stretch(one.first, one.last, asked(one.options)) for one in schedule.changes)
    return replace(schedule, options=asked(schedule.options), changes=changes)


def _choose(selection: Selection, options: EpochOptions) -> dict[str, tuple[int, ...]]:
    if not len(selection.rows) or not all(selection.sources.values()):  # no epoch can be planned of it
        return dict.fromkeys(options.batch_limits.length_buckets, ())
    return time_axes(first_pass(selection, options), options.batch_limits)


def first_pass(selection: Selection, options: EpochOptions) -> Entries:
    """All that the epochs of the first pass consist of, in order."""
    return order_epoch(selection, replace(options, partition_epoch=1, order_shift=0), 1)


def time_axes(whole: Entries, limits: BatchLimits) -> dict[str, tuple[int, ...]]:
    """Per data key with ``length_buckets`` the time axes that are chosen for it.

    Args:
        whole: What ``first_pass`` gave.
        limits: Limits of the batches.
    """
    if not limits.length_buckets:
        return {}
    plain = cut_entries(whole, BatchLimits(limits.batch_size, limits.max_seqs), 1)
    candidates = []
    for lengths_of, weights in (
        (whole.lengths, np.ones(len(whole.seq_index), np.int64)),
        (plain.longest, plain.batch_seqs),
    ):
        found = {k: best_buckets(lengths_of[k], weights, most) for k, most in limits.length_buckets.items()}
        candidates.append(replace(limits, padded_lengths=found))
    return dict(min(candidates, key=lambda one: _padding(cut_entries(whole, one, 1))).padded_lengths)


def _padding(plan: EpochPlan) -> float:
    """How many times as large as its frames the arrays of an epoch are, added up over keys with buckets."""
    frames = plan.num_frames
    return sum(int(plan.step_frames[key].sum()) / frames[key] for key in plan.limits.length_buckets)
