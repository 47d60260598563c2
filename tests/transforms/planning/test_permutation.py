import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.planning.permutation import Permutation

GOLDEN = json.loads((Path(__file__).parent / "golden" / "permutation.json").read_text())
SEEDS = st.integers(-(2**63), 2**63 - 1)


def whole(n, seed, number):
    return Permutation(n, seed, number)(np.arange(n))


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"{c['n']}-{c['seed']}-{c['number']}")
def test_values_are_part_of_the_format(case):
    """A change here changes every written corpus: it needs a new format version."""
    permutation = Permutation(case["n"], case["seed"], case["number"])
    positions, values = np.array(case["positions"]), np.array(case["values"])
    np.testing.assert_array_equal(permutation(positions), values)
    np.testing.assert_array_equal(permutation.invert(values), positions)


@given(n=st.integers(1, 5000), seed=SEEDS, number=SEEDS)
@settings(deadline=None, max_examples=100)
def test_every_value_once_and_the_inverse_leads_back(n, seed, number):
    permutation = Permutation(n, seed, number)
    values = permutation(np.arange(n))
    assert np.array_equal(np.sort(values), np.arange(n))
    assert np.array_equal(permutation.invert(values), np.arange(n))
    assert np.array_equal(permutation(permutation.invert(np.arange(n))), np.arange(n))


@pytest.mark.parametrize("n", [2**15 - 1, 2**15, 2**15 + 1, 2**16, 2**16 + 1, 2**17 + 1, 100_003, 2**18])
def test_every_value_once_at_block_and_power_of_two_edges(n):
    permutation = Permutation(n, 3, 1)
    values = permutation(np.arange(n))
    assert np.array_equal(np.bincount(values, minlength=n), np.ones(n))
    assert np.array_equal(permutation.invert(values), np.arange(n))


@given(n=st.integers(1, 2**62), seed=SEEDS, data=st.data())
@settings(deadline=None, max_examples=100)
def test_large_domains_by_samples(n, seed, data):
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20, unique=True)))
    permutation = Permutation(n, seed, 1)
    values = permutation(positions)
    assert values.dtype == np.int64
    assert len(set(values.tolist())) == len(positions)
    assert values.min() >= 0
    assert values.max() < n
    assert np.array_equal(permutation.invert(values), positions)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.uint64])
def test_any_part_in_any_order_of_any_integer_type(dtype):
    everything = whole(100_000, 1, 1)
    positions = np.random.default_rng(0).integers(0, 100_000, 70_000).astype(dtype)
    assert np.array_equal(Permutation(100_000, 1, 1)(positions), everything[positions])


@pytest.mark.parametrize("n", [0, 1, 10, 100_000])
def test_no_positions(n):
    permutation = Permutation(n, 1, 1)
    assert permutation(np.arange(0)).tolist() == permutation.invert(np.arange(0)).tolist() == []


def excess(counts, expected):
    """Chi-square of counts against equal expectation, in standard deviations above its mean."""
    freedom = counts.size - 1
    return float(((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom)


class TestSmall:
    """A corpus of a few sequences must not see some orders much more often than others."""

    @pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
    def test_all_permutations_are_equally_frequent(self, n):
        num_keys = max(2000, 20 * math.factorial(n))
        place = n ** np.arange(n)
        _, counts = np.unique([whole(n, 7, key) @ place for key in range(num_keys)], return_counts=True)
        assert len(counts) == math.factorial(n)
        assert excess(counts, num_keys / len(counts)) < 5

    @pytest.mark.parametrize("n", [7, 8, 11, 16, 20, 33])
    def test_values_at_one_and_two_positions_are_equally_frequent(self, n):
        orders = np.array([whole(n, 7, key) for key in range(4000)])
        for i in range(n):
            assert excess(np.bincount(orders[:, i], minlength=n), 4000 / n) < 5
        for i, j in [(0, 1), (1, 2), (0, 2), (0, n - 1), (n // 2, n // 2 + 1), (0, n // 2)]:
            pairs = np.bincount(orders[:, i] * n + orders[:, j], minlength=n * n).reshape(n, n)
            assert excess(pairs[~np.eye(n, dtype=bool)], 4000 / (n * (n - 1))) < 5

    @pytest.mark.parametrize("n", [4, 5, 8, 16, 17])
    def test_half_are_even(self, n):
        """A Feistel network over a power of two from 16 on can only make even permutations."""
        even = sum(np.linalg.det(np.eye(n)[whole(n, 7, key)]) > 0 for key in range(2000))
        assert abs(even - 1000) < 5 * math.sqrt(500)


def num_distinct(values):
    """How many values there are; counted, as sorting all of them takes most of these tests' time."""
    return np.count_nonzero(np.bincount(values))


def statistics(order):
    """Figures that show structure: each is compared in mean and spread with those of NumPy's permutations."""
    n = len(order)
    steps = np.diff(order)
    cells = np.bincount(np.arange(n) * 8 // n * 8 + order * 8 // n, minlength=64)
    first = np.sort(order[: n // 8])
    return {
        "fixed points": np.count_nonzero(order == np.arange(n)),
        "rises": np.count_nonzero(steps > 0),
        "neighbours": np.count_nonzero(np.abs(steps) == 1),
        "distinct steps": num_distinct(steps + n),
        "distinct steps of 4": num_distinct(order[4:] - order[:-4] + n),
        "distinct exclusive-ors": num_distinct(order[1:] ^ order[:-1]),
        "mean step": np.abs(steps).mean(),
        "product with position": (order * np.arange(n)).mean(),
        "product of neighbours": (order[1:] * order[:-1]).mean(),
        "evenness over 8 by 8 cells": ((cells - n / 64) ** 2).sum(),
        "gaps in the first eighth": np.var(np.diff(first)),
        "equal parity": np.count_nonzero(order % 2 == np.arange(n) % 2),
    }


def like_numpys(orders, n, num_orders):
    """Asserts that figures of ``orders`` differ from those of random ones by chance only."""
    random = np.random.RandomState(0)
    theirs = [statistics(random.permutation(n)) for _ in range(num_orders)]
    ours = [statistics(order) for order in orders]
    for name in theirs[0]:
        a, b = (np.array([row[name] for row in rows], float) for rows in (theirs, ours))
        error = math.sqrt((a.var() + b.var()) / num_orders) + 1e-9
        assert abs(a.mean() - b.mean()) < 5 * error, (name, a.mean(), b.mean(), error)
        assert 0.6 < (b.std() + 1e-9) / (a.std() + 1e-9) < 1.6, (name, a.std(), b.std())


@pytest.mark.parametrize(
    ("n", "num_keys"), [(64, 600), (100, 600), (256, 600), (1000, 400), (4096, 200), (70_000, 40)]
)
def test_middle_sizes_look_random(n, num_keys):
    like_numpys([whole(n, 3, key) for key in range(num_keys)], n, num_keys)


@pytest.mark.parametrize("n", [100, 1000, 70_000])
@pytest.mark.parametrize("step", [(0, 1), (1, 0)], ids=["next number", "next seed"])
def test_successive_permutations_are_unrelated(n, step):
    num_keys = 400 if n <= 1000 else 30
    orders = []
    for key in range(num_keys):
        seed, number = (5, key) if step == (0, 1) else (key, 5)
        after = Permutation(n, seed + step[0], number + step[1])
        orders.append(after(Permutation(n, seed, number).invert(np.arange(n))))
    like_numpys(orders, n, num_keys)


@pytest.mark.parametrize("n", [1024, 4096, 65_537, 10_000_000])
def test_no_key_is_weak(n):
    """Neighbours' distances repeat no more often than by chance, in any of many permutations."""
    random = np.random.default_rng(1)
    num_pairs = 512
    # The most frequent of 512 distances among n: Poisson, far below these for all keys together.
    most = {1024: 12, 4096: 9, 65_537: 6, 10_000_000: 4}[n]
    for key in range(600):
        positions = random.choice(n - 256, num_pairs, replace=False)
        permutation = Permutation(n, 5, key)
        values = permutation(positions)
        for distance in (1, 2, 256):
            others = permutation(positions + distance)
            for differences in (values ^ others, (others - values) % n):
                assert np.unique(differences, return_counts=True)[1].max() <= most, (key, distance)


def test_seed_and_number_are_kept_apart():
    orders = {whole(50, seed, number).tobytes() for seed in range(30) for number in range(30)}
    assert len(orders) == 900
    assert hashlib.sha256(whole(50, 1, 23)).digest() != hashlib.sha256(whole(50, 12, 3)).digest()
