import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.records.slices import interleaved, slices

SLICES = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)))


@pytest.mark.parametrize("dtype", ["u1", "<i4", "<f4", "<f8"])
@given(SLICES)
def test_slices_lie_behind_one_another(dtype, pairs):
    data = np.arange(1050).astype(dtype)
    starts, sizes = np.array(pairs, np.int64).reshape(-1, 2).T
    expected = [number for start, size in pairs for number in data[start : start + size].tolist()]
    found = slices(data, starts, sizes)
    assert found.tolist() == expected and found.dtype == data.dtype


def test_slices_of_nothing():
    nothing, two = np.zeros(0, "<i4"), np.zeros(2, np.int64)
    assert slices(nothing, two, two).tolist() == []


@pytest.mark.parametrize("pair", [(-1, 1), (0, 11), (9, 2), (10, 1), (2**62, 1), (3, -1)])
def test_slices_never_lead_out(pair):
    start, size = np.array([pair]).T
    with pytest.raises(IndexError):
        slices(np.arange(10, dtype=np.uint8), start, size)


@pytest.mark.parametrize("starts", [[0, 10**9 - 50_000], [10**9 - 50_000, 0], [0, 10**9 - 60_000, 7]])
def test_memory_is_asked_for_by_the_slices_not_by_how_far_they_lie_apart(starts):
    data, before = np.zeros(10**9, np.uint8), pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        num_bytes = len(slices(data, np.array(starts), np.full(len(starts), 50_000)))
    finally:
        pa.set_memory_pool(before)
    assert num_bytes == 50_000 * len(starts)
    assert pool.max_memory() < 50_000 * len(starts) + 1000


def test_interleaved():
    assert interleaved(np.array([1, 2]), np.array([3, 4])).tolist() == [1, 3, 2, 4]
