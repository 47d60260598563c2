"""Batches equal RETURNN's ``_generate_batches``: the same sequences, the same frames, batch by batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from returnn_corpus import (
    KEYS,
    random_lengths,
    returnn_batches,
    returnn_dataset,
    returnn_permutes_like_seqmill,
)
from seqmill_epoch import seqmill_batches

from seqmill.transforms.planning.batch import BatchLimits, oversized
from seqmill.transforms.planning.chunk import KeyChunking
from seqmill.transforms.planning.drop import LengthLimits, drop
from seqmill.transforms.planning.order import epoch_order, parse_ordering

SEED = 9


def check(lengths, text="default", chunking=None, batch_size=None, max_seqs=None, epoch=1, partition_epoch=1):
    """Compares one epoch's batches; ``chunking`` is (size, step) of data, classes have a tenth."""
    options = {"seq_ordering": text, "partition_epoch": partition_epoch}
    rules = {}
    if chunking:
        size, step = chunking
        rules = {"data": KeyChunking(size, step), "classes": KeyChunking(size // 10, step // 10)}
        options["chunking"] = tuple({k: getattr(rules[k], name) for k in KEYS} for name in ("size", "step"))
    with returnn_permutes_like_seqmill(SEED):
        dataset = returnn_dataset(lengths, epoch, **options)
    limits = {} if max_seqs is None else {"max_seqs": max_seqs}
    expected = returnn_batches(dataset, batch_size=batch_size, **limits)

    order = epoch_order(parse_ordering(text), lengths["data"], epoch, SEED, partition_epoch)
    per_key = batch_size if isinstance(batch_size, dict) else dict.fromkeys(KEYS, batch_size)
    got = seqmill_batches(lengths, order, rules, BatchLimits(per_key, max_seqs))
    assert got == expected
    return got


LIMITS = [
    {"batch_size": 200},
    {"batch_size": 2000, "max_seqs": 16},
    {"batch_size": {"data": 500}},
    {"batch_size": {"classes": 60}},
    {"batch_size": {"data": 500, "classes": 100}, "max_seqs": 30},
    {"batch_size": 10**9, "max_seqs": 7},
    {"batch_size": 1},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("text", ["default", "sorted_reverse", "random", "laplace:.200"])
def test_whole_sequences(limits, text):
    check(random_lengths(1, 1500), text, **limits)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("chunking", [(100, 100), (100, 50), (50, 70)])
def test_chunks_with_and_without_overlap(limits, chunking):
    classes = random_lengths(2, 500)["data"]
    classes = np.maximum(classes, 2)
    got = check({"data": classes * 10, "classes": classes}, "laplace:.50", chunking, **limits)
    assert sum(map(len, got)) > 500


def test_one_batch_for_all():
    # Few sequences: RETURNN takes quadratic time in those of a batch.
    assert len(check(random_lengths(3, 150), "random", batch_size=10**9)) == 1


def test_parts_of_a_pass():
    for epoch in (1, 2, 3, 4):
        check(random_lengths(3, 1001), "laplace:.100", None, 300, 20, epoch=epoch, partition_epoch=3)


def test_oversized_sequences_are_alone():
    lengths = random_lengths(4, 1000)
    got = check(lengths, "random", batch_size={"data": 40})
    over = [batch for batch in got if any(end > 40 for _, (_, end), _ in batch)]
    assert all(len(batch) == 1 for batch in over)
    assert len(over) == oversized(lengths, BatchLimits({"data": 40})) > 50


@pytest.mark.parametrize("text", ["default", "reverse", "sorted", "sorted_reverse"])
def test_dropped_sequences(text):
    """RETURNN drops while it batches, seqmill before ordering: the same batches where nothing is random."""
    lengths = random_lengths(5, 1000)
    kept, dropped = drop(lengths, LengthLimits({"data": 50, "classes": 20}, {"classes": 3}))
    assert sum(dropped.values()) == np.count_nonzero(~kept) > 0
    dataset = returnn_dataset(lengths, seq_ordering=text)
    expected = returnn_batches(
        dataset, batch_size=300, max_seq_length={"data": 50, "classes": 20}, min_seq_length={"classes": 3}
    )
    rows = np.flatnonzero(kept)
    left = {key: lengths[key][rows] for key in KEYS}
    order = epoch_order(parse_ordering(text), left["data"], 1, SEED)
    got = seqmill_batches(left, order, {}, BatchLimits(dict.fromkeys(KEYS, 300)))
    assert [[(int(rows[row]), *frames) for row, *frames in batch] for batch in got] == expected


def test_max_seq_length_is_of_chunks_in_returnn_and_of_sequences_in_seqmill():
    lengths = {key: np.array([30, 8]) for key in KEYS}
    expected = returnn_batches(returnn_dataset(lengths, chunking="10"), batch_size=100, max_seq_length=20)
    assert len(expected[0]) == 4
    assert drop(lengths, LengthLimits({"data": 20}, {}))[0].tolist() == [False, True]


@given(
    rows=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=80),
    data_size=st.integers(1, 200),
    classes_size=st.one_of(st.none(), st.integers(1, 200)),
    max_seqs=st.one_of(st.none(), st.integers(1, 20)),
    text=st.sampled_from(["default", "sorted", "random", "laplace:3"]),
)
@settings(deadline=None, max_examples=150)
def test_any_small_corpus(rows, data_size, classes_size, max_seqs, text):
    lengths = {key: np.array([row[i] for row in rows], np.int32) for i, key in enumerate(KEYS)}
    batch_size = {"data": data_size} | ({} if classes_size is None else {"classes": classes_size})
    check(lengths, text, None, batch_size, max_seqs)
