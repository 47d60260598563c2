import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.planning.batch import BatchLimits, cut_batches, oversized

BLOCK = 1 << 15


def naive_cuts(lengths, num_seqs, limits):
    """RETURNN's rule, one sequence after the other."""
    columns = [(lengths[key].tolist(), size) for key, size in limits.batch_size.items()]
    most = limits.max_seqs or num_seqs
    cuts, start = [], 0
    measured = [0] * len(columns)  # the longest sequence of the batch or, packed, the sum
    for i in range(num_seqs):
        together = int.__add__ if limits.packed else max
        measured = [together(a, column[i]) for a, (column, _) in zip(measured, columns, strict=True)]
        count = i - start + 1
        rows = 1 if limits.packed else count
        too_big = any(a * rows > size for a, (_, size) in zip(measured, columns, strict=True))
        if i > start and (too_big or count > most):
            cuts.append(start)
            start, measured = i, [column[i] for column, _ in columns]
    return [*cuts, *([start] if num_seqs else []), num_seqs]


def check(lengths, limits, num_seqs=None):
    num_seqs = len(next(iter(lengths.values()))) if num_seqs is None else num_seqs
    cuts = cut_batches(lengths, num_seqs, limits)
    assert cuts.dtype == np.int64
    assert cuts.tolist() == naive_cuts(lengths, num_seqs, limits)
    return cuts


def random_lengths(seed, num_seqs, longest=50, dtype=np.int32):
    return np.random.default_rng(seed).integers(1, longest, num_seqs, endpoint=True).astype(dtype)


@given(
    num_keys=st.integers(1, 4),
    rows=st.lists(st.tuples(*[st.integers(0, 20)] * 4), max_size=150),
    sizes=st.tuples(*[st.integers(1, 25) | st.integers(1, 500) | st.just(2**63 - 1)] * 4),
    max_seqs=st.none() | st.integers(1, 12) | st.just(2**63 - 1),
    packed=st.booleans(),
)
@settings(deadline=None, max_examples=400)
def test_like_a_loop(num_keys, rows, sizes, max_seqs, packed):
    keys = "abcd"[:num_keys]
    lengths = {key: np.array([row[i] for row in rows], np.int32) for i, key in enumerate(keys)}
    limits = BatchLimits(dict(zip(keys, sizes, strict=False)), max_seqs, packed)
    cuts = check(lengths, limits)
    for start, end in itertools.pairwise(cuts.tolist()):
        assert start < end or not rows
        assert end - start <= (max_seqs or len(rows))
        for key, size in limits.batch_size.items():
            column = lengths[key][start:end]
            assert end - start == 1 or (column.sum() if packed else column.max() * (end - start)) <= size


@given(
    runs=st.lists(
        st.tuples(st.integers(1, 3000), st.sampled_from([1, 2, 5, 40, 3000])), min_size=1, max_size=8
    ),
    size=st.sampled_from([1, 100, 1000, 4000, 10**5, 10**7]),
    max_seqs=st.none() | st.sampled_from([1, 2, 127, 128, 129, 1000]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_like_a_loop_where_batches_grow_and_shrink(runs, size, max_seqs, seed):
    """Few and many sequences a batch in one epoch: both strategies, and changes between them."""
    random = np.random.default_rng(seed)
    lengths = np.concatenate([random.integers(1, longest, num, endpoint=True) for num, longest in runs])
    other = random.permutation(lengths)
    check({"data": lengths, "classes": other}, BatchLimits({"data": size, "classes": 2 * size}, max_seqs))


@pytest.mark.parametrize("num_seqs", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 1, 100_000])
@pytest.mark.parametrize(
    ("size", "max_seqs"),
    [
        (1, None),
        (50, None),
        (300, 5),
        (2000, None),
        (8000, None),
        (10**6, 200),
        (10**6, None),
        (10**9, 1),
        (10**9, None),
    ],
)
def test_over_the_edges_of_blocks(num_seqs, size, max_seqs):
    lengths = {"data": random_lengths(1, num_seqs), "classes": random_lengths(2, num_seqs, 20)}
    check(lengths, BatchLimits({"data": size, "classes": size // 3 + 1}, max_seqs))


@pytest.mark.parametrize("size", [400, 2000, 10**5])
def test_sorted_and_sawtooth_lengths(size):
    rising = np.sort(random_lengths(3, 70_000, 400))
    check({"data": rising}, BatchLimits({"data": size}))
    check({"data": rising[::-1]}, BatchLimits({"data": size}))
    check({"data": np.concatenate([rising[::2], rising[::-2]])}, BatchLimits({"data": size}, 300))


@pytest.mark.parametrize("length", [0, 1, 7, 100, 101])
@pytest.mark.parametrize("size", [100, 12_800, 12_700])
def test_constant_lengths(length, size):
    cuts = check({"data": np.full(BLOCK + 77, length, np.int32)}, BatchLimits({"data": size}))
    if length:
        assert set(np.diff(cuts)[:-1].tolist()) == {max(size // length, 1)}


def test_oversized_sequences_are_batches_of_their_own():
    lengths = {"data": np.array([3, 99, 3, 3, 98, 97, 3]), "classes": np.array([1, 1, 1, 50, 1, 1, 1])}
    limits = BatchLimits({"data": 10, "classes": 10})
    assert check(lengths, limits).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert oversized(lengths, limits) == 4
    assert oversized(lengths, BatchLimits({"data": 10})) == 3
    assert oversized(lengths, BatchLimits({}, 2)) == 0


def test_many_oversized_among_many():
    lengths = random_lengths(4, 90_000, 60)
    limits = BatchLimits({"data": 45}, 40)
    cuts = check({"data": lengths}, limits)
    alone = np.diff(cuts) == 1
    assert np.all(alone[np.searchsorted(cuts, np.flatnonzero(lengths > 45))])
    assert oversized({"data": lengths}, limits) == np.count_nonzero(lengths > 45)


@pytest.mark.parametrize("num_seqs", [0, 1, 6, 7])
def test_max_seqs_alone(num_seqs):
    cuts = cut_batches({}, num_seqs, BatchLimits({}, 3))
    assert cuts.tolist() == naive_cuts({}, num_seqs, BatchLimits({}, 3))


def test_no_limits_at_all_make_one_batch():
    assert cut_batches({}, 5, BatchLimits({})).tolist() == [0, 5]


def test_no_sequences():
    assert cut_batches({"data": np.zeros(0, np.int32)}, 0, BatchLimits({"data": 5})).tolist() == [0]
    assert cut_batches({}, 0, BatchLimits({})).tolist() == [0]


def test_packed_batches_over_many_sequences():
    lengths = {"data": random_lengths(5, 100_000, 400, np.uint16), "classes": random_lengths(6, 100_000)}
    cuts = check(lengths, BatchLimits({"data": 8000, "classes": 2000}, 70, packed=True))
    padded = cut_batches(lengths, 100_000, BatchLimits({"data": 8000, "classes": 2000}, 70))
    assert len(cuts) < len(padded)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_products_do_not_overflow(dtype):
    lengths = np.full(200, min(np.iinfo(dtype).max, 2**31 - 1), dtype)
    size = int(lengths[0]) * 100
    assert check({"data": lengths}, BatchLimits({"data": size})).tolist() == [0, 100, 200]
    assert check({"data": lengths}, BatchLimits({"data": size - 1})).tolist() == [0, 99, 198, 200]
