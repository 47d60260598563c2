"""Which options an epoch has, to which pass it belongs, and where it is stored."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_options import plain_options

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import plan_epoch, select
from seqmill.transforms.planning.schedule import EpochRange, Schedule, Stretch, parse_epochs

BASE = plain_options("x", BatchLimits({"x": 40}))
LENGTHS = {"x": np.arange(30) * 7 % 13 + 1}


def of(ordering="random", parts=1, size=40, longest=None):
    limits = LengthLimits({"x": longest} if longest else {}, {})
    return replace(
        BASE,
        ordering=parse_ordering(ordering),
        partition_epoch=parts,
        batch_limits=BatchLimits({"x": size}),
        length_limits=limits,
    )


def schedule(num_epochs, base, *changes, distinct=None):
    return Schedule(base, num_epochs, distinct, tuple(Stretch(*change) for change in changes))


def planned(schedule, epoch):
    options = schedule.at(epoch)
    return plan_epoch(select(LENGTHS, options), options, epoch)


def places(schedule):
    return [schedule.at(epoch).place(epoch) for epoch in range(1, schedule.num_epochs + 1)]


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("1-5", [(1, 5)]),
        ("7", [(7, 7)]),
        ("6-", [(6, None)]),
        (" 1 - 2 , 5,7- ", [(1, 2), (5, 5), (7, None)]),
    ],
)
def test_epochs_are_parsed(text, ranges):
    assert parse_epochs(text) == tuple(EpochRange(*one) for one in ranges)
    assert parse_epochs(",".join(map(str, parse_epochs(text)))) == parse_epochs(text)


@pytest.mark.parametrize("text", ["", "-", "-3", "1--2", "a", "1,", "1 2", "1-2-3", "²", "1" * 30])
def test_what_names_no_epochs(text):
    with pytest.raises(ValueError, match="names no epochs"):
        parse_epochs(text)


@pytest.mark.parametrize("text", ["0", "0-3", "5-3", "1-5,5", "5,1", "3-,7", "1,1"])
def test_epochs_rise_from_1(text):
    with pytest.raises(ValueError, match="in rising order"):
        parse_epochs(text)


def test_epochs_have_the_options_of_their_table():
    found = schedule(7, of(size=40), (2, 3, of(size=10)), (4, 4, of(size=20)))
    sizes = [found.at(epoch).batch_limits.batch_size["x"] for epoch in range(1, 8)]
    assert sizes == [40, 10, 10, 20, 40, 40, 40]
    for epoch in (0, 8):
        with pytest.raises(ValueError, match=f"no epoch {epoch}; expected 1 to 7"):
            found.at(epoch)


def test_without_a_change_passes_are_those_of_the_epochs_numbers():
    assert places(schedule(7, of(parts=3))) == [divmod(epoch, 3) for epoch in range(7)]


def test_the_size_of_batches_may_change_within_a_pass():
    changed = schedule(8, of(parts=4), (2, 3, of(parts=4, size=10)), (6, 8, of(parts=4, size=80)))
    same = schedule(8, of(parts=4))
    assert places(changed) == places(same)
    for epoch in range(1, 9):
        assert planned(changed, epoch).seq_index.tolist() == planned(same, epoch).seq_index.tolist()


def test_another_order_begins_a_pass():
    found = schedule(9, of(parts=4), (4, 6, of(parts=2)), (7, 7, of("sorted", parts=2)))
    assert places(found) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (3, 0), (4, 0), (4, 1)]


def test_another_limit_of_lengths_begins_a_pass():
    found = schedule(4, of(parts=2), (2, 2, of(parts=2, longest=5)))
    assert places(found) == [(0, 0), (1, 0), (2, 0), (2, 1)]


def test_tables_of_equal_options_are_one_stretch():
    found = schedule(6, of(), (2, 3, of(size=10)), (4, 5, of(size=10)))
    assert [(one.first, one.last) for one in found.stretches] == [(1, 1), (2, 5), (6, 6)]
    assert len(schedule(6, of(), (2, 3, of())).stretches) == 1


@pytest.mark.parametrize(
    ("found", "stored"),
    [
        (schedule(5, of()), [1, 2, 3, 4, 5]),
        (schedule(5, of(), distinct=2), [1, 2, 1, 2, 1]),
        (schedule(5, of("sorted")), [1, 1, 1, 1, 1]),
        (schedule(5, of("sorted", parts=2)), [1, 2, 1, 2, 1]),
        (schedule(6, of("sorted"), (3, 4, of("sorted", size=9))), [1, 1, 3, 3, 5, 5]),
        (schedule(6, of(), (1, 2, of("sorted"))), [1, 1, 3, 4, 5, 6]),
        (schedule(9, of(), (1, 2, of(longest=4)), distinct=3), [1, 2, 3, 4, 5, 3, 4, 5, 3]),
        # The second half of a pass is stored with its own size of batches, and goes on with the first half.
        (schedule(6, of("sorted", parts=2, size=9), (1, 1, of("sorted", parts=2))), [1, 2, 3, 2, 3, 2]),
    ],
)
def test_each_stretch_goes_round_in_its_own_stored_epochs(found, stored):
    assert [found.stored(epoch) for epoch in range(1, found.num_epochs + 1)] == stored
    assert list(found.stored_epochs) == sorted(set(stored))
    assert found.num_stored == len(set(stored))


def test_many_epochs_cost_nothing():
    found = schedule(10**15, of("sorted"), (5, 10**9, of("reverse")))
    assert (list(found.stored_epochs), found.stored(10**14)) == ([1, 5, 10**9 + 1], 10**9 + 1)


_OPTIONS = st.builds(
    of,
    st.sampled_from(["random", "laplace:3", "sorted"]),
    st.integers(1, 4),
    st.sampled_from([9, 40]),
    st.sampled_from([None, 5, 9]),
)


@st.composite
def schedules(draw):
    edges = sorted(draw(st.sets(st.integers(1, 20), max_size=8)))
    changes = [(a, b - 1, draw(_OPTIONS)) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return schedule(draw(st.integers(20, 24)), draw(_OPTIONS), *changes)


@given(schedules())
@settings(deadline=None, max_examples=60)
def test_no_sequence_occurs_twice_in_a_pass_and_whole_passes_have_all(found):
    numbers = range(1, found.num_epochs + 1)
    by_pass = groupby(numbers, lambda epoch: found.at(epoch).place(epoch)[0])
    for expected, (number, epochs) in enumerate(by_pass):
        epochs = list(epochs)
        options = found.at(epochs[0])
        assert number == expected
        assert [found.at(epoch).place(epoch)[1] for epoch in epochs] == list(range(len(epochs)))
        rows = np.concatenate([planned(found, epoch).seq_index for epoch in epochs]).tolist()
        assert len(set(rows)) == len(rows)
        if len(epochs) == options.partition_epoch:
            assert sorted(rows) == select(LENGTHS, options).rows.tolist()


@given(schedules(), st.integers(1, 20), _OPTIONS)
@settings(deadline=None, max_examples=60)
def test_later_changes_leave_earlier_epochs_alone(found, epoch, options):
    before = [change for change in found.changes if change.last <= epoch]
    cut = [replace(change, last=epoch) for change in found.changes if change.first <= epoch < change.last]
    rest = Stretch(epoch + 1, found.num_epochs + 7, options)
    other = replace(found, num_epochs=rest.last, changes=(*before, *cut, rest))
    for number in range(1, epoch + 1):
        assert other.at(number) == found.at(number)


@given(schedules())
@settings(deadline=None, max_examples=60)
def test_a_stored_epoch_is_planned_as_those_that_read_it(found):
    for epoch in range(1, found.num_epochs + 1):
        ours, stored = planned(found, epoch), planned(found, found.stored(epoch))
        assert ours.seq_index.tolist() == stored.seq_index.tolist()
        assert ours.batch_starts.tolist() == stored.batch_starts.tolist()
