from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features import Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.packing import pack
from seqmill.transforms.storage.errors import RejectedSequence

INTS = DataKey("data", "data", "ints")
FLOATS = DataKey("data", "data", "floats")
int32s = st.integers(-(2**31), 2**31 - 1)
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


def ints(vocab=None, from_text=False):
    return make_encoder(INTS, ".", vocab, None, from_text)


def floats(feature_shape=None, from_text=False):
    return make_encoder(FLOATS, ".", None, feature_shape, from_text)


@pytest.mark.parametrize(
    "value",
    [
        [1, 0, -5],
        (1, 0, -5),
        np.array([1, 0, -5]),
        np.array([1, 0, -5], np.int8),
        np.array([1, 0, -5], object),
        [np.int64(1), 0, np.int16(-5)],
    ],
)
def test_ints_of_every_kind(value):
    array = ints().encode(value)
    assert array.dtype == np.int32
    assert array.tolist() == [1, 0, -5]
    assert ints().encode_block([value]).values.tolist() == [1, 0, -5]


@pytest.mark.parametrize("value", [7, np.int64(7), np.array(7), np.uint8(7), np.array(7, object)])
def test_a_single_integer_has_length_1(value):
    assert ints().encode(value).tolist() == [7]
    assert ints().encode_block([value, value]).lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        ([1, True], "expected ints, found bool", "True at position 1"),
        (False, "expected ints, found bool", "False"),
        (np.array([True]), "expected ints, found array of bool", "[True]"),
        ([3, 1.0], "expected ints, found float", "1.0 at position 1"),
        (np.array([1.5]), "expected ints, found array of float64", "[1.5]"),
        (1.0, "expected ints, found float", "1.0"),
        ([1, "2"], "expected ints, found str", "'2' at position 1"),
        ("1 2", "expected ints, found str", "'1 2'"),
        ("x" * 500, "expected ints, found str", "..."),
        ([1, None], "expected ints, found null", "None at position 1"),
        (None, "expected ints, found null", "None"),
        ({"a": 1}, "expected ints, found object", "{'a': 1}"),
        ([[1], [2]], "nested too deep", "[1] at position 0"),
        (np.zeros((2, 2), int), "nested too deep", "[2, 2]"),
        ([1, 2**31], "integer out of range", "2147483648 at position 1"),
        ([-(2**31) - 1], "integer out of range", "-2147483649"),
        ([10**30], "integer out of range", "position 0"),
        (np.array([2**31]), "integer out of range", "2147483648"),
        (np.array([2**31], np.uint32), "integer out of range", "2147483648"),
    ],
)
def test_bad_ints(rejects, value, reason, detail):
    error = rejects(ints(), value)
    assert error.reason == reason
    assert detail in error.detail
    assert len(error.detail) < 100


@given(st.lists(st.lists(int32s, max_size=5), max_size=5), st.booleans())
def test_ints_round_trip(values, as_arrays):
    given_values = [np.array(value, np.int64) for value in values] if as_arrays else values
    block = ints().encode_block(given_values)
    assert block.values.dtype == np.int32
    assert block.lengths.dtype == np.int32
    assert block.lengths.tolist() == [len(value) for value in values]
    assert block.values.tolist() == [number for value in values for number in value]


@given(st.lists(st.one_of(st.lists(int32s, max_size=3), int32s, st.lists(int32s).map(np.array)), max_size=6))
def test_a_block_of_mixed_values_is_the_same_as_one_by_one(values):
    values = [value.astype(np.int64) if isinstance(value, np.ndarray) else value for value in values]
    block = ints().encode_block(values)
    arrays = [ints().encode(value) for value in values]
    assert block.values.tolist() == [number for array in arrays for number in array.tolist()]
    assert block.lengths.tolist() == [len(array) for array in arrays]


def test_one_bad_value_rejects_the_block():
    values = [[1, 2], [3, True], [4]]
    with pytest.raises(RejectedSequence, match="found bool"):
        ints().encode_block(values)


def test_ints_inside_a_vocabulary(rejects):
    encoder = ints(Vocab(("a", "b", "c")))
    assert encoder.num_labels == 3
    assert encoder.encode([0, 2]).tolist() == [0, 2]
    assert encoder.encode_block([[0], [1, 2]]).values.tolist() == [0, 1, 2]
    for bad in ([0, 3], [0, -1]):
        error = rejects(encoder, bad)
        assert error.reason == "label outside the vocabulary"
        assert f"{bad[1]} at position 1; the vocabulary has 3 labels" in error.detail


def test_numbers_from_text(rejects):
    assert ints(from_text=True).encode(" 1  2\t-3 ").tolist() == [1, 2, -3]
    assert ints(from_text=True).encode("").shape == (0,)
    block = ints(from_text=True).encode_block(["1 2", "", "3"])
    assert (block.values.tolist(), block.lengths.tolist()) == ([1, 2, 3], [2, 0, 1])
    assert floats((), from_text=True).encode("1 2.5e-1").tolist() == [1, 0.25]
    assert floats((), from_text=True).encode_block(["1", "2.5 3"]).values.tolist() == [1, 2.5, 3]


@pytest.mark.parametrize(
    ("encoder", "text", "reason"),
    [
        (ints(from_text=True), "1 2.0", "expected ints, found other text"),
        (ints(from_text=True), "1_000", "expected ints, found other text"),
        (ints(from_text=True), "99999999999", "integer out of range"),
        (floats((), from_text=True), "1 one", "expected floats, found other text"),
        (floats((), from_text=True), "1_0", "expected floats, found other text"),
        (floats((), from_text=True), "nan", "not finite"),
        (floats((2,), from_text=True), "1 2", "feature size differs"),
    ],
)
def test_bad_numbers_from_text(rejects, encoder, text, reason):
    assert rejects(encoder, text).reason == reason


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2.5], [0, 1]],
        np.array([[1, 2.5], [0, 1]]),
        np.array([[1, 2.5], [0, 1]], np.float16),
        [np.array([1, 2.5]), np.array([0.0, 1])],
        np.array([[1, 2.5], [0, 1]], object),
        [(1, 2.5), (0, 1)],
    ],
)
def test_rows_of_every_kind(value):
    for encoder in (floats(), floats((2,))):
        array = encoder.encode(value)
        assert array.dtype == np.float32
        assert array.tolist() == [[1, 2.5], [0, 1]]
        block = encoder.encode_block([value, value])
        assert block.values.tolist() == [[1, 2.5], [0, 1]] * 2
        assert block.lengths.tolist() == [2, 2]


@pytest.mark.parametrize("value", [2, 2.0, np.float64(2), np.array(2), np.array(2.0, np.float32)])
def test_a_single_number_has_length_1(value):
    assert floats().encode(value).tolist() == [2]
    assert floats(()).encode_block([value, value]).lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("feature_shape", "value", "reason", "detail"),
    [
        ((), [1.0, float("nan")], "not finite", "frame 1 is NaN"),
        ((), [float("-inf")], "not finite", "frame 0 is infinite"),
        ((), [0.0, 0.0, 1e39], "not finite", "frame 2 is infinite in float32"),
        ((), [0.5, 10**400], "not finite", "position 1"),
        ((), np.array([1e39]), "not finite", "frame 0"),
        ((2,), [[1, 2], [3, float("nan")]], "not finite", "frame 1 is NaN"),
        ((2,), [[1, 2], [3]], "ragged rows", "frame 1 has 1 values, frame 0 has 2"),
        ((2,), [[1, 2], 3], "ragged rows", "frame 1 is a single value, frame 0 has 2"),
        ((), [3, [1, 2]], "nested too deep", "[1, 2] at position 1"),
        ((2,), [[[1], [2]]], "nested too deep", "[1] at position 0 of frame 0"),
        ((2,), np.zeros((2, 2, 2)), "nested too deep", "[2, 2, 2]"),
        ((), [True], "expected floats, found bool", "True at position 0"),
        ((2,), [[1, 2], [3, True]], "expected floats, found bool", "True at position 1 of frame 1"),
        ((), [1.5, "2"], "expected floats, found str", "'2' at position 1"),
        ((), "1.5 2", "expected floats, found str", "'1.5 2'"),
        ((2,), ["ab"], "expected floats, found str", "'ab' at position 0"),
        ((), [None], "expected floats, found null", "None at position 0"),
        ((), None, "expected floats, found null", "None"),
        ((), np.array(["a"]), "expected floats, found array of <U1", "['a']"),
        ((2,), [{1.0: 2, 2.0: 3}], "expected floats, found object", "at position 0"),
        ((2,), [[]], "empty frames", "0 values"),
        ((3,), [[1, 2]], "feature size differs", "[T, 2], but the corpus has [T, 3]"),
        ((3,), np.zeros((4, 2)), "feature size differs", "[T, 2], but the corpus has [T, 3]"),
        ((), [[1, 2]], "feature size differs", "[T, 2], but the corpus has [T]"),
        ((2,), [1, 2], "feature size differs", "[T], but the corpus has [T, 2]"),
        (None, [], "empty sequence", "cannot be told"),
    ],
)
def test_bad_floats(rejects, feature_shape, value, reason, detail):
    error = rejects(floats(feature_shape), value)
    assert error.reason == reason
    assert detail in error.detail


def test_an_empty_sequence_takes_the_shape_of_the_corpus():
    assert floats((80,)).encode([]).shape == (0, 80)
    assert floats((80,)).encode_block([[], []]).values.shape == (0, 80)
    assert floats((80,)).encode_block([]).values.shape == (0, 80)
    assert ints().encode([]).shape == (0,)


def test_an_unprobed_block_must_agree_in_its_own_shape():
    encoder = floats()
    assert encoder.encode_block([[[1, 2]], [[3, 4], [5, 6]]]).lengths.tolist() == [1, 2]
    with pytest.raises(RejectedSequence, match="feature size differs"):
        encoder.encode_block([[[1, 2]], [[3]]])
    assert encoder.feature_shape is None


@given(st.integers(1, 4).flatmap(lambda d: st.lists(st.lists(st.lists(float32s, min_size=d, max_size=d)))))
def test_rows_round_trip(values):
    width = next((len(row) for value in values for row in value), 3)
    block = floats((width,)).encode_block(json.loads(json.dumps(values)))
    assert block.values.tolist() == [row for value in values for row in value]
    assert block.lengths.tolist() == [len(value) for value in values]


@given(st.lists(st.floats(allow_nan=False, min_value=-3e38, max_value=3e38), min_size=1))
def test_floats_round_as_numpy_does(value):
    np.testing.assert_array_equal(floats(()).encode(value), np.array(value, np.float32))
    np.testing.assert_array_equal(floats(()).encode_block([value]).values, np.array(value, np.float32))


@given(st.lists(st.sampled_from([0, 1, True, False, 2, 0.0, 1.0, np.True_, "1"]), min_size=1))
def test_pack_takes_numbers_only(numbers):
    are_ints = all(type(number) is int for number in numbers)
    are_floats = all(type(number) in (int, float) for number in numbers)
    assert (pack(numbers, np.dtype(np.int32)) is not None) == are_ints
    assert (pack(numbers, np.dtype(np.float32)) is not None) == are_floats
