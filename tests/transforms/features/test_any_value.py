"""Whatever stands in a field, an encoder gives an array or rejects it, alone and in a block alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from seqmill.transforms.features import Norm, Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.storage.errors import RejectedSequence

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=5),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)
number_lists = st.lists(st.one_of(st.integers(-3, 3), st.sampled_from([True, 1.5, 2**31, 1e39])), max_size=4)
arrays = st_numpy.arrays(
    st.one_of(st_numpy.scalar_dtypes(), st.just(np.dtype(object))),
    st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
numbers = st.one_of(st.integers(-3, 30), st.floats(), st.none())
stored = st.fixed_dictionaries(
    {"storage_type": st.just("numpy_files"), "storage_path": st.just("."), "storage_key": st.just("a.npy")},
    optional={
        **dict.fromkeys(("frame_shift", "sampling_rate", "start"), numbers),
        **dict.fromkeys(("num_frames", "num_features"), st.just(2) | numbers),
        "cut": st.tuples(numbers, numbers) | json_values,
    },
)
values = st.one_of(json_values, number_lists, st.lists(number_lists, max_size=3), arrays, stored)
norm = Norm((0.5, -1e300), (5e-324, 0.0))
vocab = Vocab(("<pad>", "<unk>", "a", "0"))


def encoders(tmp_path):
    def make(type_, vocab=None, feature_shape=None, from_text=False, norm=None, **options):
        key = DataKey("data", "data", type_, **options)
        return make_encoder(key, str(tmp_path), vocab, feature_shape, from_text, norm=norm)

    yield from (make("ints"), make("ints", vocab), make("ints", from_text=True))
    yield from (make("floats"), make("floats", None, ()), make("floats", None, (2,), True))
    yield from (make("bytes"), make("chars", vocab), make("words", vocab))
    yield from (make("words", Vocab(("a",))), make("audio"), make("log_mel"))
    yield make("floats", None, (2,), normalization="sequence")
    yield make("floats", None, (2,), normalization="global", norm=norm)
    yield make("mfcc", preemphasis=0.5, peak_normalization=True)


def outcome(function, value):
    try:
        result = function(value)
    except RejectedSequence as error:
        return error.reason
    return result.tolist() if isinstance(result, np.ndarray) else result.values.tolist()


@pytest.mark.filterwarnings("error")
@settings(max_examples=200, deadline=None)
@given(st.lists(values, min_size=1, max_size=3))
def test_any_value(tmp_path_factory, block):
    folder = tmp_path_factory.getbasetemp()
    np.save(folder / "a.npy", np.ones((2, 2), "f4"))
    for encoder in encoders(folder):
        alone = [outcome(encoder.encode, value) for value in block]
        for value, expected in zip(block, alone, strict=True):
            assert outcome(lambda value, e=encoder: e.encode_block([value]), value) == expected
        if not any(isinstance(result, str) for result in alone) and encoder.feature_shape is not None:
            assert outcome(encoder.encode_block, block) == [item for array in alone for item in array]
