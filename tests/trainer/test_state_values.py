"""Values of users' attributes as JSON and arrays, and back."""

from collections import deque

import keras
import numpy as np
import orjson
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seqmill.trainer.array_files import BrokenCheckpointError, open_arrays, write_npz
from seqmill.trainer.state.values import CannotBeKeptError, decode, encode

numbers = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text(max_size=5) | st.none()
arrays = hnp.arrays(
    st.sampled_from(["f4", "f8", "i4", "u1", "?", "f2"]), hnp.array_shapes(min_dims=0, min_side=0)
)
values = st.recursive(
    numbers | arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3), inner, max_size=3)
        | st.lists(inner, max_size=3).map(lambda entries: deque(entries, 5))
    ),
    max_leaves=8,
)


def through_json(value):
    found = {}
    encoded = encode(value, found)
    text = orjson.loads(orjson.dumps(encoded))
    return decode(text, lambda entry: found[entry["xxh128"]].reshape(entry["shape"]).view(entry["dtype"]))


def same(a, b):
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple | deque):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@given(values)
def test_values_come_back_as_they_were(value):
    assert same(value, through_json(value))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), np.float32(2.5), {1, 2}, frozenset({"a"})])
def test_other_values_too(value):
    found = through_json(value)
    assert found == value and type(found) is type(value)


def test_numbers_that_json_lacks():
    assert np.isnan(through_json(float("nan")))
    assert through_json(2**80) == 2**80


def test_variables_are_assigned_to_and_tensors_made():
    variable, found = keras.Variable([1.0, 2.0]), {}
    encoded = encode({"v": variable, "t": tf.constant([3, 4])}, found)
    variable.assign([0.0, 0.0])
    decoded = decode(encoded, lambda entry: found[entry["xxh128"]], {"v": variable})
    assert decoded["v"] is variable and variable.numpy().tolist() == [1.0, 2.0]
    assert decoded["t"].numpy().tolist() == [3, 4]


@pytest.mark.parametrize("value", [object(), (i for i in ()), [open], {"a": object()}, list(range(10_001))])
def test_what_has_no_place_is_refused(value):
    with pytest.raises(CannotBeKeptError):
        encode(value, {})


def test_arrays_are_found_by_hash_and_compared(tmp_path):
    found = {}
    entry = encode(np.arange(6, dtype="f4").reshape(2, 3), found)["array"]
    write_npz(tmp_path / "state.npz", found.items())
    with open_arrays(str(tmp_path), {}, "none.h5", ["state.npz"]) as stored:
        assert stored.read(entry).tolist() == [[0, 1, 2], [3, 4, 5]]
        with pytest.raises(BrokenCheckpointError, match="an array cannot be read"):
            stored.read({**entry, "xxh128": "0" * 32})
