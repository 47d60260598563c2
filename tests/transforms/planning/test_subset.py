"""Which sequences ``num_seqs`` takes: always the same, and a larger part holds a smaller one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.planning.subset import subset


@pytest.mark.parametrize(
    ("total", "num_seqs", "seed", "expected"),
    [
        (10, 3, 1, [2, 7, 9]),
        (100_000, 8, 7, [34441, 36325, 44629, 48327, 53033, 54814, 92668, 99241]),
        (2_000_000, 3, 0, [451720, 559891, 1859906]),
    ],
)
def test_the_choice_is_part_of_the_format(total, num_seqs, seed, expected):
    """A change here changes epochs that are written, without a word."""
    assert np.flatnonzero(subset(total, num_seqs, seed)).tolist() == expected


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_parts_hold_smaller_ones_and_stay_where_a_corpus_grows(total, more, num_seqs, seed):
    taken = subset(total, num_seqs, seed)
    assert np.count_nonzero(taken) == min(num_seqs, total)
    assert np.all(subset(total, num_seqs + more, seed)[taken])
    grown = subset(total + more, num_seqs, seed)
    assert not np.any(grown[:total] & ~taken)


def test_all_have_the_same_chance():
    times = sum(subset(50, 10, seed).astype(int) for seed in range(1000))
    assert times.min() > 140 and times.max() < 260
