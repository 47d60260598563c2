"""Orders equal RETURNN's, epoch by epoch; the random ones once RETURNN permutes as seqmill does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from returnn_corpus import random_lengths, returnn_order, returnn_permutes_like_seqmill

from seqmill.transforms.planning.order import epoch_order, parse_ordering

BY_LENGTH = ["default", "reverse", "sorted", "sorted_reverse"]
SHUFFLED = [
    "random",
    "laplace",
    "laplace:1",
    "laplace:2",
    "laplace:7",
    "laplace:.1",
    "laplace:.100",
    "laplace:.9999",
]


def check(text, num_seqs, partition_epoch, epoch, seed):
    lengths = random_lengths(num_seqs + epoch, num_seqs)
    with returnn_permutes_like_seqmill(run_seed=seed):
        expected = returnn_order(lengths, epoch, seq_ordering=text, partition_epoch=partition_epoch)
    got = epoch_order(parse_ordering(text), lengths["data"], epoch, seed, partition_epoch)
    assert got.tolist() == expected


@pytest.mark.parametrize("text", BY_LENGTH + SHUFFLED)
@pytest.mark.parametrize("num_seqs", [1, 2, 101, 3000])
def test_whole_epochs(text, num_seqs):
    for epoch in (1, 2, 9):
        check(text, num_seqs, 1, epoch, seed=5)


@pytest.mark.parametrize("text", BY_LENGTH + SHUFFLED)
def test_every_part_of_two_passes(text):
    for epoch in range(1, 9):
        check(text, 2001 + 1, 4, epoch, seed=5)


@given(
    text=st.sampled_from(BY_LENGTH + SHUFFLED),
    num_seqs=st.integers(1, 300),
    partition_epoch=st.integers(1, 12),
    epoch=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
)
@settings(deadline=None, max_examples=150)
def test_any_small_corpus(text, num_seqs, partition_epoch, epoch, seed):
    check(text, num_seqs, partition_epoch, epoch, seed)


@pytest.mark.parametrize("text", ["random", "laplace:3"])
def test_fixed_random_seed_keeps_one_permutation_for_all_epochs(text):
    lengths = random_lengths(1, 500)
    for epoch in (1, 2, 3):
        with returnn_permutes_like_seqmill(run_seed=42, first_seed=42):
            expected = returnn_order(lengths, epoch, seq_ordering=text, fixed_random_seed=42)
        got = epoch_order(parse_ordering(text), lengths["data"], epoch, seed=1, fixed_random_seed=42)
        assert got.tolist() == expected


def test_a_number_after_random_is_a_seed_here_and_a_count_of_epochs_there():
    lengths = random_lengths(1, 500)
    theirs = [returnn_order(lengths, epoch, seq_ordering="random:2") for epoch in (1, 2, 3)]
    assert theirs[0] == theirs[1] != theirs[2]
    ours = [
        epoch_order(parse_ordering("random:2"), lengths["data"], epoch, seed=1).tolist()
        for epoch in (1, 2, 3)
    ]
    assert ours[0] != ours[1] != ours[2]
    assert ours[0] == epoch_order(parse_ordering("random"), lengths["data"], 1, seed=2).tolist()
