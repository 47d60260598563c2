"""The lengths to pad to are the best there are."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.planning.best_buckets import best_buckets, rounded_up

LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 1000)), min_size=1, max_size=9)


def padded_frames(lengths, weights, buckets):
    return int((rounded_up(lengths, buckets) * weights).sum())


@given(LENGTHS, st.integers(1, 6))
def test_no_other_choice_pads_less(pairs, most):
    lengths, weights = (np.array(column) for column in zip(*pairs, strict=True))
    found = best_buckets(lengths, weights, most)
    values = np.unique(lengths)
    assert len(found) == min(most, len(values)) and set(found) <= set(values.tolist())
    others = itertools.combinations(values[:-1].tolist(), len(found) - 1)
    least = min(padded_frames(lengths, weights, (*other, values[-1])) for other in others)
    assert padded_frames(lengths, weights, found) == least


def test_many_lengths_and_costs_over_64_bits():
    lengths = np.arange(1, 3001)
    found = np.array(best_buckets(lengths, np.ones(3000, np.int64), 4))
    assert np.abs(found - [750, 1500, 2250, 3000]).max() <= 1
    assert best_buckets(lengths * 10**9, np.full(3000, 10**7), 4) == tuple((found * 10**9).tolist())


def test_every_length_is_rounded_up_to_the_next_bucket():
    lengths = np.array([[1, 3, 4], [7, 8, 9]], np.int32)
    assert rounded_up(lengths, (3, 8)).tolist() == [[3, 3, 8], [8, 8, 9]]
    assert rounded_up(lengths, ()).tolist() == lengths.tolist()
