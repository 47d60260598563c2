"""Which sequences a mixed epoch has of each source: exact shares, pass after pass."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.planning.mix import mixed, windows


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, [2, 3, 5, 7, 8, 10, 11, 12]), (2, [2, 3, 4, 7, 9, 11, 11])],
)
def test_the_choice_is_part_of_the_format(number, expected):
    """A change here changes epochs that are written, without a word."""
    found = mixed({"own": 10, "other": 3}, {"own": 2, "other": 1}, 2, number, seed=7)
    assert found.tolist() == expected


def test_large_sources_too():
    found = mixed({"own": 100_000, "other": 4}, {"own": 10_000, "other": 1}, 10_000, 3, seed=0)
    assert found.tolist() == [4855, 8657, 15539, 16817, 23505, 28219, 33915, 62741, 80004, 99285]


NAMES = ["own", "b", "c"]
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=3).map(lambda n: dict(zip(NAMES, n, strict=False)))
SHARES = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(lambda n: dict(zip(NAMES, n, strict=True)))


@given(SIZES, SHARES, st.integers(1, 4), st.integers(0, 50), st.integers(1, 9), st.booleans())
@settings(max_examples=100, deadline=None)
def test_shares_are_exact_and_every_pass_has_every_sequence_once(sizes, shares, parts, first, num, is_fixed):
    of_epochs = [windows(sizes, shares, parts, number) for number in range(first, first + num)]
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    epochs = [mixed(sizes, shares, parts, number, 3, is_fixed) for number in range(first, first + num)]
    for name, size in sizes.items():
        # Window follows window, and a run of epochs has its share but for less than one sequence.
        assert all(a[name][1] == b[name][0] for a, b in pairwise(of_epochs))
        exact = num * sizes["own"] * shares[name] / (shares["own"] * parts)
        assert abs(of_epochs[-1][name][1] - of_epochs[0][name][0] - exact) < 1
        found = Counter()
        for epoch, window in zip(epochs, of_epochs, strict=True):
            own = epoch[(epoch >= starts[name]) & (epoch < starts[name] + size)] - starts[name]
            assert len(own) == window[name][1] - window[name][0]
            assert np.all(np.diff(own) >= 0)
            found.update(own.tolist())
        # A run of epochs begins within a pass and ends within one.
        times = [found[number] for number in range(size)]
        assert max(times) - min(times) <= 2
        if of_epochs[0][name][0] % size == 0:
            assert max(times) - min(times) <= 1
    if first % parts == 0 and num >= parts:
        whole = np.concatenate(epochs[:parts])
        assert sorted(whole[whole < sizes["own"]].tolist()) == [*range(sizes["own"])]
