"""Parts, weights and mixes with every other option that decides epochs: valid, or refused by name."""

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.batches.corpus_epochs import ask_epochs
from seqmill.transforms.planning.ahead import needed
from seqmill.transforms.planning.corpus_order import as_listed
from seqmill.transforms.planning.length_buckets import with_buckets
from seqmill.transforms.planning.plan import plan_epoch
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage.errors import UsageError

KEYS = ("x", "y")

LIMITS = st.fixed_dictionaries(
    {"batch_size": st.sampled_from([1, 12, 40, {"x": 30}, {"x": 12, "y": 50}])},
    optional={
        "max_seqs": st.integers(1, 5),
        "max_seq_length": st.sampled_from([6, {"y": 5}]),
        "min_seq_length": st.sampled_from([2, {"x": 3}]),
        "packed": st.booleans(),
        "length_buckets": st.sampled_from([1, 2, 3]),
        "pad_batch": st.booleans(),
    },
)
OPTIONS = st.fixed_dictionaries(
    {
        "seq_ordering": st.sampled_from(
            ["default", "reverse", "sorted", "random", "random:7", "laplace:2", "laplace:.3"]
        ),
        "num_epochs": st.integers(1, 6),
        "seed": st.integers(0, 3),
    },
    optional={
        "num_seqs": st.integers(1, 25),
        "partition_epoch": st.integers(1, 3),
        "distinct_epochs": st.integers(1, 4),
        "fixed_random_seed": st.integers(0, 3),
        "chunking": st.sampled_from(["3", "3:2", "2:3", {"x": "4:2"}, {"x": "2", "y": "3"}]),
        "min_chunk_size": st.sampled_from([1, {"x": 1}]),
        "num_shards": st.integers(1, 3),
    },
)
SCHEDULES = st.sampled_from(
    [
        {},
        {"schedule": [{"epochs": "2-3", "max_seqs": 2}]},
        {"schedule": [{"epochs": "3-", "max_seq_length": 4, "partition_epoch": 2}]},
        {"schedule": [{"epochs": "1", "seq_ordering": "sorted"}, {"epochs": "2", "length_buckets": 2}]},
    ]
)
# Per file its sequences, and how often it is listed; the second half is another source where one is mixed.
FILES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=2, max_size=4)


@given(
    FILES, st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)), OPTIONS, LIMITS, SCHEDULES, st.data()
)
@settings(max_examples=120, deadline=None)
def test_every_epoch_is_what_its_options_say_or_an_option_is_refused(
    files, shares, options, limits, schedule, data
):
    asked = {**options, **limits, **schedule}
    try:
        planned = ask_epochs(asked, KEYS).schedule
    except UsageError as error:
        names = re.findall(r"[a-z_]{4,}", str(error))
        assert {*asked, *schedule.get("schedule", [{}])[0]} & {*names}, error
        return
    sizes = [size for size, _ in files]
    draw = st.lists(st.integers(1, 8), min_size=sum(sizes), max_size=sum(sizes))
    lengths = {key: np.array(data.draw(draw), np.int32) for key in KEYS}
    # Each file as often as it is listed, sources one after the other.
    listed = [number for number, (_, times) in enumerate(files) for _ in range(times)]
    own = len(files) // 2
    mix = {"train": own, "other": len(files) - own} if shares else {}
    order = as_listed(lengths, np.cumsum([0, *sizes]), listed, mix)
    if shares:
        mixing = dict(zip(mix, shares, strict=True))
        changes = tuple(replace(one, options=replace(one.options, mix=mixing)) for one in planned.changes)
        planned = replace(planned, options=replace(planned.options, mix=mixing), changes=changes)
    check(order, planned)


def check(order, schedule):
    selections = Selections(order, schedule)
    chosen = [selections.at(epoch) for epoch in schedule.stored_epochs]
    for selection in chosen:
        left_out = sum(selection.left_out.values())
        assert order.num_seqs == len(selection.rows) + left_out
    of_any = selections.in_any
    assert order.num_seqs == len(of_any.rows) + sum(of_any.left_out.values())
    if any(not size for one in chosen for size in one.sources.values()) or not all(
        len(one.rows) for one in chosen
    ):
        return  # which ends a run by a message of its own
    bucketed = with_buckets(selections)
    passes: dict[object, Counter] = {}
    for epoch, selection in zip(schedule.stored_epochs, chosen, strict=True):
        options = schedule.at(epoch)
        taken = check_epoch(plan_epoch(selection, bucketed.at(epoch), epoch), selection, bucketed.at(epoch))
        number, part = options.place(epoch)
        parts = options.partition_epoch
        if options.mix:
            assert_shares(taken, selection, options, number * parts + part)
            continue
        assert len(selection.rows) // parts <= taken.total() <= -(-len(selection.rows) // parts)
        whole = passes.setdefault((number, options.order_shift), Counter())
        whole.update(taken)
        if part == parts - 1 and is_whole(schedule, epoch):
            assert whole == Counter(selection.rows.tolist())
    assert {schedule.stored(e) for e in range(1, schedule.num_epochs + 1)} == {*schedule.stored_epochs}
    for epoch in range(1, schedule.num_epochs + 1):
        ahead = needed(epoch, epoch - 1, schedule.num_epochs, 2, schedule.stored)
        assert ahead.to_write[0] == schedule.stored(epoch) and {*ahead.to_write} <= {*schedule.stored_epochs}


def is_whole(schedule, epoch):
    """Whether all epochs of a pass are stored, and of the same options."""
    first = epoch - schedule.at(epoch).partition_epoch + 1
    return first >= 1 and all(
        schedule.is_stored(one) and schedule.at(one) == schedule.at(epoch) for one in range(first, epoch)
    )


def check_epoch(plan, selection, options):
    """Checks batches and chunks of an epoch; returns how often it has each row."""
    limits = options.batch_limits
    assert plan.batch_starts[0] == 0 and plan.batch_starts[-1] == len(plan.seq_index)
    assert (plan.batch_seqs > 0).all()
    for first, last in pairwise(plan.batch_starts):
        assert limits.max_seqs is None or last - first <= limits.max_seqs
        for key, most in limits.batch_size.items():
            part = plan.lengths[key][first:last]
            frames = part.sum() if limits.packed else limits.time_axis(key, part.max()) * len(part)
            assert most is None or last - first == 1 or frames <= most
    of_row = {int(row): place for place, row in enumerate(selection.rows)}
    starts_at = np.flatnonzero(plan.chunk == 0) if plan.chunk is not None else np.arange(len(plan.seq_index))
    taken: Counter = Counter()
    for first, last in pairwise([*starts_at, len(plan.seq_index)]):
        row = int(plan.seq_index[first])
        assert set(plan.seq_index[first:last].tolist()) == {row}
        taken[row] += 1
        for key in KEYS:
            whole = int(selection.lengths[key][of_row[row]])
            rule = options.chunking.get(key)
            found = plan.lengths[key][first:last].tolist()
            # A single number is in every chunk of the other keys.
            is_chunked = rule and whole > 1
            assert found == (chunks(whole, rule) if is_chunked else [whole] * len(found))
    return taken


def chunks(length, rule):
    """Lengths of the chunks of a sequence, as docs/configuration.md defines them."""
    found, start = [], 0
    while start < length:
        if start == 0 or length - start > rule.min_size:
            found.append(min(rule.size, length - start))
        start += rule.step
    return found


def assert_shares(taken, selection, options, number):
    """An epoch has of each source what its share says, and of its sequences equally many, but for one."""
    (pace, own), *_ = selection.sources.items()
    first = 0
    for name, size in selection.sources.items():
        step = Fraction(own * options.mix[name], options.mix[pace] * options.partition_epoch)
        expected = floor((number + 1) * step) - floor(number * step)
        rows = Counter(selection.rows[first : first + size].tolist())
        first += size
        found = {row: taken[row] for row in rows}
        assert sum(found.values()) == expected
        each = expected // size
        assert all(times * (each - 1) <= found[row] <= times * (each + 2) for row, times in rows.items())
