import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.planning.drop import LengthLimits, drop

KEYS = ("data", "classes")


def lengths_of(rows):
    return {key: np.array([row[i] for row in rows], np.int32) for i, key in enumerate(KEYS)}


def test_both_limits_are_allowed_lengths():
    lengths = lengths_of([(n, 1) for n in range(1, 8)])
    kept, dropped = drop(lengths, LengthLimits({"data": 5}, {"data": 2}))
    assert kept.tolist() == [False, True, True, True, True, False, False]
    assert dropped == {"max_seq_length:data": 2, "min_seq_length:data": 1}


def test_no_limits_keep_everything():
    kept, dropped = drop(lengths_of([(0, 0), (2**31 - 1, 5)]), LengthLimits({}, {}))
    assert kept.dtype == bool
    assert kept.tolist() == [True, True]
    assert dropped == {}


def test_a_sequence_over_several_limits_counts_once():
    lengths = lengths_of([(9, 9), (9, 1), (1, 9)])
    _, dropped = drop(lengths, LengthLimits({"data": 5, "classes": 5}, {"classes": 2}))
    assert dropped == {"max_seq_length:data": 2, "max_seq_length:classes": 1}


LIMITS = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 12))


@given(
    rows=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40),
    longest=LIMITS,
    shortest=LIMITS,
)
def test_like_a_loop(rows, longest, shortest):
    kept, dropped = drop(lengths_of(rows), LengthLimits(longest, shortest))
    expected_kept, expected_dropped = [], {}
    for row in rows:
        row = dict(zip(KEYS, row, strict=True))
        reasons = [f"max_seq_length:{key}" for key, limit in longest.items() if row[key] > limit]
        reasons += [f"min_seq_length:{key}" for key, limit in shortest.items() if row[key] < limit]
        expected_kept.append(not reasons)
        if reasons:
            expected_dropped[reasons[0]] = expected_dropped.get(reasons[0], 0) + 1
    assert kept.tolist() == expected_kept
    assert dropped == expected_dropped
    assert len(rows) == np.count_nonzero(kept) + sum(dropped.values())
