import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.planning.order import (
    Ordering,
    epoch_order,
    laplace,
    num_bins,
    parse_ordering,
    part_bounds,
    sort_by_length,
)
from seqmill.transforms.planning.permutation import Permutation

GOLDEN = json.loads((Path(__file__).parent / "golden" / "order.json").read_text())
TEXTS = ["default", "reverse", "sorted", "sorted_reverse", "random", "laplace", "laplace:5", "laplace:.10"]
LENGTHS = st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 9), max_size=80).map(
    lambda x: np.array(x, np.int32)
)


def order_of(case, lengths):
    ordering = parse_ordering(case["seq_ordering"])
    return epoch_order(ordering, lengths, case["epoch"], case["seed"], case["partition_epoch"])


@pytest.mark.parametrize(
    "case",
    GOLDEN,
    ids=lambda c: f"{c['seq_ordering']}-{c['epoch']}-of-{c['partition_epoch']}-{c.get('num_seqs', 50)}",
)
def test_orders_are_part_of_the_format(case):
    """A change here changes every written corpus: it needs a new format version."""
    if "order" in case:
        lengths = (np.arange(50) ** 2 * 7 % 31 + 1).astype(np.int32)
        assert order_of(case, lengths).tolist() == case["order"]
    else:
        order = order_of(case, (np.arange(case["num_seqs"], dtype=np.int64) ** 2 % 1009 + 1).astype(np.int32))
        assert order[:8].tolist() == case["first"]
        assert hashlib.sha256(order.astype("<i8").tobytes()).hexdigest() == case["sha256"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", Ordering("default")),
        ("sorted_reverse", Ordering("sorted_reverse")),
        ("random:7", Ordering("random", seed=7)),
        ("random:0", Ordering("random", seed=0)),
        ("laplace", Ordering("laplace", bins=2)),
        ("laplace:12", Ordering("laplace", bins=12)),
        ("laplace:.1000", Ordering("laplace", bin_size=1000)),
    ],
)
def test_parse(text, expected):
    assert parse_ordering(text) == expected
    assert parse_ordering(str(expected)) == expected


NO_ORDERINGS = [
    "",
    "Random",
    "random:",
    "random:-1",
    "random:x",
    "random:1\n",
    " default",
    "default\n",
    "sorted:2",
]
NO_ORDERINGS += ["laplace:", "laplace:0", "laplace:.0", "laplace:1.5", "laplace:-3", "laplace:2:3"]


@pytest.mark.parametrize("text", NO_ORDERINGS)
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="expected default, reverse"):
        parse_ordering(text)


@given(
    text=st.sampled_from(TEXTS),
    lengths=LENGTHS,
    parts=st.integers(1, 9),
    first_pass=st.integers(0, 5),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=200)
def test_a_pass_has_every_sequence_once(text, lengths, parts, first_pass, seed):
    ordering = parse_ordering(text)
    epochs = range(first_pass * parts + 1, (first_pass + 1) * parts + 1)
    orders = [epoch_order(ordering, lengths, epoch, seed, parts) for epoch in epochs]
    assert all(order.dtype == np.int32 for order in orders)
    assert sorted(np.concatenate(orders).tolist()) == list(range(len(lengths)))
    sizes = [len(order) for order in orders]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    whole = epoch_order(ordering, lengths, first_pass + 1, seed)
    assert np.concatenate(orders).tolist() == whole.tolist()


@given(num_seqs=st.integers(0, 10**12), parts=st.integers(1, 1000))
def test_parts_meet(num_seqs, parts):
    bounds = [part_bounds(num_seqs, parts, part) for part in range(parts)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == num_seqs
    assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))


@given(lengths=LENGTHS)
def test_sorted_keeps_ties_in_corpus_order_both_ways(lengths):
    positions = range(len(lengths))
    assert sort_by_length(lengths, False).tolist() == sorted(positions, key=lambda i: lengths[i])
    assert sort_by_length(lengths, True).tolist() == sorted(positions, key=lambda i: -int(lengths[i]))


@given(lengths=LENGTHS, bins=st.integers(1, 200), seed=st.integers(0, 99))
@settings(deadline=None)
def test_laplace_sorts_bins_of_the_random_order_up_and_down(lengths, bins, seed):
    num_seqs = len(lengths)
    permutation = Permutation(num_seqs, seed, 0)
    shuffled = permutation(np.arange(num_seqs)).tolist()
    expected = []
    for b in range(bins):
        part = shuffled[b * num_seqs // bins : (b + 1) * num_seqs // bins]
        expected += sorted(part, key=lambda i: int(lengths[i]) * (-1) ** b)
    assert laplace(permutation, lengths, bins).tolist() == expected


@pytest.mark.parametrize("bins", [1, 2, 3, 601, 300_000])
@pytest.mark.parametrize("longest", [1, 3000, 2**31 - 1])
def test_laplace_of_more_sequences_than_are_sorted_at_once(bins, longest):
    num_seqs = 600_001
    lengths = np.random.default_rng(1).integers(0, longest, num_seqs, endpoint=True).astype(np.int32)
    permutation = Permutation(num_seqs, 4, 2)
    shuffled = permutation(np.arange(num_seqs))
    bin_of = np.repeat(np.arange(bins), np.diff(np.arange(bins + 1) * num_seqs // bins))
    ascending = np.where(bin_of % 2 == 0, 1, -1) * lengths[shuffled].astype(np.int64)
    expected = shuffled[np.lexsort((ascending, bin_of))]
    assert np.array_equal(laplace(permutation, lengths, bins), expected)


def test_number_of_bins():
    assert num_bins(parse_ordering("laplace"), 100) == 2
    assert num_bins(parse_ordering("laplace:7"), 3) == 7
    assert num_bins(parse_ordering("laplace:.10"), 105) == 10
    assert num_bins(parse_ordering("laplace:.1000"), 105) == 2


def test_every_pass_and_seed_has_its_own_random_order():
    lengths = np.ones(100, np.int32)
    random = parse_ordering("random")
    orders = {epoch_order(random, lengths, epoch, seed).tobytes() for epoch in (1, 2, 3) for seed in (1, 2)}
    assert len(orders) == 6
    fixed = {epoch_order(random, lengths, epoch, 1, fixed_random_seed=3).tobytes() for epoch in (1, 2, 3)}
    assert len(fixed) == 1
    own = epoch_order(parse_ordering("random:8"), lengths, 2, seed=1)
    assert own.tolist() == epoch_order(random, lengths, 2, seed=8).tolist()


@pytest.mark.parametrize("text", TEXTS)
def test_no_sequences(text):
    assert epoch_order(parse_ordering(text), np.zeros(0, np.int32), 1, 1, 3).tolist() == []


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_the_type_of_lengths_does_not_matter(text, dtype):
    lengths = np.random.default_rng(2).integers(1, 60_000, 500)
    expected = epoch_order(parse_ordering(text), lengths.astype(np.int32), 3, 1)
    assert epoch_order(parse_ordering(text), lengths.astype(dtype), 3, 1).tolist() == expected.tolist()
