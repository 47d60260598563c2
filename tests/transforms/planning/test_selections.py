"""What takes part in some epochs of a schedule, and what in none."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_options import plain_options

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.corpus_order import CorpusOrder
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.plan import select
from seqmill.transforms.planning.schedule import Schedule, Stretch
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.planning.subset import subset

BASE = plain_options("x", BatchLimits({"x": 40}))
LENGTHS = {"x": np.array([3, 9, 5, 20, 2, 12]), "y": np.array([3, 9, 2, 20, 2, 5])}
CHUNKED = {"x": KeyChunking(4, 4), "y": KeyChunking(4, 4)}


def of(longest=None, shortest=None, chunking=None, num_seqs=None):
    limits = LengthLimits({"x": longest} if longest else {}, {"x": shortest} if shortest else {})
    return replace(BASE, length_limits=limits, chunking=chunking or {}, num_seqs=num_seqs)


def selections(base, *changes):
    return Selections(
        CorpusOrder(LENGTHS), Schedule(base, 6, None, tuple(Stretch(*change) for change in changes))
    )


def test_each_epoch_has_its_own():
    found = selections(of(longest=12), (1, 2, of(longest=5)))
    assert [found.at(epoch).rows.tolist() for epoch in (1, 2, 3)] == [[0, 2, 4], [0, 2, 4], [0, 1, 2, 4, 5]]
    assert found.at(1).dropped == {"max_seq_length:x": 3}
    assert found.at(6) is found.at(5)
    assert found.of(Schedule(of(longest=12), 1)).at(1) is found.at(6)


def test_what_no_epoch_takes_is_counted_as_the_first_leaves_it_out():
    found = selections(of(longest=12), (1, 2, of(longest=5, shortest=3)), (3, 3, of(shortest=3))).in_any
    assert (found.rows.tolist(), found.dropped) == ([0, 1, 2, 3, 4, 5], {})
    found = selections(of(longest=9, shortest=3), (1, 2, of(longest=5, shortest=3))).in_any
    assert found.rows.tolist() == [0, 1, 2]
    assert found.dropped == {"max_seq_length:x": 2, "min_seq_length:x": 1}
    assert found.lengths["y"].tolist() == [3, 9, 2]


def test_chunks_may_disagree_in_some_epochs_only():
    whole = of(longest=12)
    found = selections(whole, (1, 1, of(chunking=CHUNKED)))
    assert found.at(1).disagreeing.tolist() == [2, 5]
    assert (found.in_any.disagreeing.tolist(), len(found.in_any.rows)) == ([], 6)
    found = selections(of(longest=3), (1, 1, of(chunking=CHUNKED)))
    assert found.in_any.rows.tolist() == [0, 1, 3, 4]
    assert found.in_any.disagreeing.tolist() == [2, 5]


def test_a_part_is_chosen_before_all_else():
    chosen = np.flatnonzero(subset(6, 4, BASE.seed)).tolist()
    found = selections(of(num_seqs=4), (1, 2, of(longest=5, num_seqs=4)))
    assert (found.at(3).rows.tolist(), found.at(3).dropped) == (chosen, {"num_seqs": 2})
    too_long = [row for row in chosen if LENGTHS["x"][row] > 5]
    assert found.at(1).rows.tolist() == [row for row in chosen if row not in too_long]
    assert found.at(1).dropped == {"num_seqs": 2, "max_seq_length:x": len(too_long)}
    assert (found.in_any.rows.tolist(), found.in_any.dropped) == (chosen, {"num_seqs": 2})
    assert selections(of(num_seqs=6)).at(1).dropped == {}


_RULES = st.builds(
    of,
    st.none() | st.integers(1, 20),
    st.none() | st.integers(1, 20),
    st.sampled_from([None, CHUNKED]),
)


@given(_RULES, _RULES, _RULES, st.none() | st.integers(1, 7))
@settings(deadline=None, max_examples=100)
def test_every_sequence_is_accounted_for_in_every_epoch_and_in_all(base, first, second, num_seqs):
    base, first, second = (replace(options, num_seqs=num_seqs) for options in (base, first, second))
    found = selections(base, (1, 2, first), (4, 5, second))
    each = [found.at(epoch) for epoch in range(1, 7)]
    for selection in (*each, found.in_any):
        counted = len(selection.rows) + sum(selection.dropped.values()) + len(selection.disagreeing)
        assert counted == len(LENGTHS["x"])
    assert set(found.in_any.rows) == {row for selection in each for row in selection.rows}
    if base == first == second:
        assert found.in_any.dropped == select(LENGTHS, base).dropped
