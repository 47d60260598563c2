"""Different numbers among many, as NumPy finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.planning.distinct import distinct, num_distinct


@given(st.lists(st.integers(0, 9)), st.sampled_from(["i4", "i8", "u8"]))
def test_they_are_those_of_numpy(numbers, kind):
    array = np.array(numbers, kind)
    expected = np.unique(array)
    assert num_distinct(array.copy()) == len(expected)
    found = distinct(array)
    assert found.dtype == expected.dtype and found.tolist() == expected.tolist()


def test_what_cannot_be_sorted_in_place_is_refused():
    numbers = np.array([2, 1])
    numbers.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        distinct(numbers)
