"""The measure of how random an order is."""

import numpy as np
import pytest

from seqmill.transforms.planning.order import epoch_order, parse_ordering
from seqmill.transforms.planning.randomness import randomness

LENGTHS = np.random.default_rng(1).gamma(4, 8, 20_000).astype(np.int32) + 1


def of(ordering, lengths=LENGTHS):
    return randomness(lengths[epoch_order(parse_ordering(ordering), lengths, 1, seed=1)])


def test_it_is_1_of_a_random_order_and_0_of_a_sorted_one():
    assert of("random") == pytest.approx(1, abs=0.02)
    assert of("random", LENGTHS[:19_999]) == pytest.approx(1, abs=0.02)
    assert max(of("sorted"), of("sorted_reverse")) < 0.02
    assert of("laplace:2") < 0.1


def test_it_falls_with_the_size_of_bins_as_the_scales_do_that_are_mixed():
    for size in (10, 100, 1000):
        assert of(f"laplace:.{size}") == pytest.approx(1 - np.log(size) / np.log(len(LENGTHS)), abs=0.1)


def test_lengths_themselves_do_not_matter_but_their_ranks_do():
    assert of("laplace:.100", LENGTHS * 100_000) == pytest.approx(of("laplace:.100"))
    assert randomness(np.full(9, 3)) == randomness(np.array([1, 2, 3])) == 1.0
