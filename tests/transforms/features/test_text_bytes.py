from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey


def encoder():
    return make_encoder(DataKey("data", "data", "bytes"), ".", None, None)


@pytest.mark.parametrize(
    "value", ["aé", "aé".encode(), bytearray(b"a\xc3\xa9"), np.array([97, 195, 169], np.uint8)]
)
def test_text_is_utf8_and_bytes_are_as_they_are(value):
    array = encoder().encode(value)
    assert array.dtype == np.uint8
    assert array.tolist() == [97, 195, 169]


@given(st.lists(st.one_of(st.text(), st.binary())))
def test_a_block_is_the_same_as_one_by_one(values):
    block = encoder().encode_block(values)
    assert block.values.dtype == np.uint8
    assert block.values.tobytes() == b"".join(encoder().encode(value).tobytes() for value in values)
    assert block.lengths.tolist() == [len(encoder().encode(value)) for value in values]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1, 2], "expected str or bytes, found list"),
        (None, "expected str or bytes, found null"),
        (5, "expected str or bytes, found int"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_bad_bytes(rejects, value, reason):
    assert rejects(encoder(), value).reason == reason
