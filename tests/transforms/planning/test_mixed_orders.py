"""Orders of mixed epochs against their definitions: what ``mixed`` takes, ordered as one corpus."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_options import plain_options

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.mix import mixed, windows
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import Selection, plan_epoch, seqs_of_sources

MIXES = st.tuples(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=2, max_size=3),
    st.integers(1, 3),
    st.integers(0, 9),
).map(
    lambda given: (
        {f"s{n}": size for n, (size, _) in enumerate(given[0])},
        {f"s{n}": share for n, (_, share) in enumerate(given[0])},
        *given[1:],
    )
)
ORDERINGS = [
    "default",
    "reverse",
    "sorted",
    "sorted_reverse",
    "random",
    "random:5",
    "laplace:3",
    "laplace:.2",
]


def plan(sizes, shares, parts, seed, ordering, epoch, is_fixed=False):
    """The rows of an epoch, their lengths, and how many are of each source."""
    total = sum(sizes.values())
    lengths = np.array([1 + row * 7 % 5 for row in range(total)], np.int32)
    options = plain_options(
        "x",
        BatchLimits({}, max_seqs=3),
        ordering=parse_ordering(ordering),
        partition_epoch=parts,
        seed=seed,
        mix=shares,
        fixed_random_seed=seed if is_fixed else None,
    )
    rows = 10 + np.arange(total)  # in the store
    selection = Selection(rows, {"x": lengths}, {}, np.empty(0, np.int64), sizes)
    planned = plan_epoch(selection, options, epoch)
    assert planned.lengths["x"].tolist() == lengths[planned.seq_index - 10].tolist()
    return (planned.seq_index - 10).tolist(), lengths, seqs_of_sources(selection, options, epoch)


@given(MIXES, st.integers(1, 9), st.sampled_from(ORDERINGS))
@settings(max_examples=150, deadline=None)
def test_every_ordering_means_what_it_says_of_what_an_epoch_takes(mix, epoch, ordering):
    sizes, shares, parts, seed = mix
    if not mixed(sizes, shares, parts, epoch - 1, seed).size:
        return
    found, lengths, of_sources = plan(sizes, shares, parts, seed, ordering, epoch)
    of_seed = 5 if ordering == "random:5" else seed
    taken = mixed(sizes, shares, parts, epoch - 1, of_seed).tolist()
    length = lengths.tolist().__getitem__
    expected = {
        "default": taken,
        "reverse": taken[::-1],
        "sorted": sorted(taken, key=length),
        "sorted_reverse": sorted(taken, key=lambda row: -length(row)),
    }
    assert sorted(found) == taken == sorted(taken)
    if ordering in expected:
        assert found == expected[ordering]
    if ordering.startswith("laplace"):
        bins = 3 if ordering == "laplace:3" else max(len(taken) // 2, 2)
        edges = [number * len(taken) // bins for number in range(bins + 1)]
        for number in range(bins):
            part = [length(row) * (-1) ** number for row in found[edges[number] : edges[number + 1]]]
            assert part == sorted(part)
    source = np.searchsorted(np.cumsum([*sizes.values()]), found, "right").tolist()
    assert {name: source.count(number) for number, name in enumerate(sizes)} == of_sources
    assert plan(sizes, shares, parts, seed, ordering, epoch)[0] == found


@given(MIXES)
@settings(max_examples=30, deadline=None)
def test_over_all_epochs_of_a_round_every_sequence_of_a_source_is_met_equally_often(mix):
    sizes, shares, parts, seed = mix
    pace = next(iter(sizes))
    num_epochs = shares[pace] * parts * int(np.lcm.reduce([*sizes.values()]))
    found = Counter()
    for number in range(num_epochs):
        of_epoch = mixed(sizes, shares, parts, number, seed)
        found.update(of_epoch.tolist())
        for name, (start, end) in windows(sizes, shares, parts, number).items():
            exact = sizes[pace] * shares[name] / (shares[pace] * parts)
            assert abs(end - start - exact) < 1
    first = 0
    for name, size in sizes.items():
        times = {found[row] for row in range(first, first + size)}
        assert times == {num_epochs * sizes[pace] * shares[name] // (shares[pace] * parts * size)}
        first += size


@pytest.mark.parametrize("ordering", ["random", "laplace:3"])
def test_seeds_give_other_orders_and_a_fixed_one_the_same_passes(ordering):
    sizes, shares = {"own": 40, "other": 7}, {"own": 2, "other": 1}
    found = {
        tuple(plan(sizes, shares, 2, seed, ordering, epoch)[0]) for seed in range(3) for epoch in (1, 2, 3)
    }
    assert len(found) == 9
    own = [
        [row for row in plan(sizes, shares, 2, 1, ordering, epoch, is_fixed=True)[0] if row < 40]
        for epoch in (1, 2, 3)
    ]
    assert own[0] == own[2]
    assert {*own[0]} | {*own[1]} == {*range(40)}
    # How large another source is changes nothing in what is taken of this one.
    grown = {**sizes, "other": 9}
    for epoch in (1, 2):
        taken = mixed(sizes, shares, 2, epoch, 3)
        assert taken[taken < 40].tolist() == [row for row in mixed(grown, shares, 2, epoch, 3) if row < 40]
