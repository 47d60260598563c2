"""The order of a store's rows depends on what the sequences are, not on how they came."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.store.arrange import arrange, cut_by_size, join_indexes
from seqmill.transforms.store.staging import StagedIndex

INT64 = st.integers(-(2**63), 2**63 - 1)
KEYS = st.one_of(INT64, st.integers(0, 3), st.text(max_size=3))
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 3)), min_size=1, max_size=30)


def _index(rows):
    texts = [key if isinstance(key, str) else "" for key, _ in rows]
    return StagedIndex(
        numbers=np.array([0 if isinstance(key, str) else key for key, _ in rows], np.int64),
        is_text=np.array([isinstance(key, str) for key, _ in rows]),
        texts=pa.array(texts, pa.large_string()) if any(isinstance(key, str) for key, _ in rows) else None,
        hashes=np.array([content for _, content in rows], np.uint64),
        lengths={"lengths/data": np.ones(len(rows), np.int32)},
    )


@given(ROWS, st.randoms(use_true_random=False), st.data())
def test_rows_are_the_same_in_any_order_and_in_any_files(rows, random, data):
    arranged = arrange(_index(rows))
    kept = [rows[row] for row in arranged.rows]

    numbers = sorted({key for key, _ in rows if not isinstance(key, str)})
    texts = sorted({key for key, _ in rows if isinstance(key, str)})
    assert [key for key, _ in kept] == [*numbers, *texts]
    for key, content in kept:
        assert content == min(other for one, other in rows if one == key)
    assert sorted([*arranged.rows, *arranged.duplicates]) == [*range(len(rows))]

    shuffled = random.sample(rows, len(rows))
    cut = data.draw(st.integers(0, len(rows)))
    joined = join_indexes([_index(part) for part in (shuffled[:cut], shuffled[cut:]) if part])
    assert [shuffled[row] for row in arrange(joined).rows] == kept


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 25))
def test_files_hold_as_much_as_fits(sizes, target):
    edges = cut_by_size(np.array(sizes, np.int64), target).tolist()

    assert edges[0] == 0 and edges[-1] == len(sizes)
    for first, last in pairwise(edges):
        assert last > first or not sizes
        assert sum(sizes[first:last]) <= target or last == first + 1
        if last < len(sizes):
            assert sum(sizes[first : last + 1]) > target
