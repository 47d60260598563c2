from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features import Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.normalize import normalized
from seqmill.transforms.features.text_steps import Replacement, apply_steps
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.errors import RejectedSequence

VOCAB = Vocab(("<pad>", "<unk>", "<s>", "</s>", "a", "b", "é"))


@pytest.mark.parametrize(
    ("steps", "text", "expected"),
    [
        (["lower"], "ÄB ẞ", "äb ß"),
        (["upper"], "straße", "STRASSE"),
        (["casefold"], "Straße", "strasse"),
        (["nfc"], "e\u0301", "é"),
        (["nfd"], "é", "e\u0301"),
        (["nfkc"], "ﬁ①", "fi1"),
        (["nfkd"], "é①", "e\u03011"),
        (["lower", Replacement("[0-9]+", "<\\0>"), Replacement("(a)(b)", "\\2\\1")], "AB 12", "ba <12>"),
        ([Replacement("B", "C"), "lower"], "Bb", "cb"),
        (["lower", Replacement("B", "C")], "Bb", "bb"),
        ([Replacement("\\p{L}", "")], "aé\0日", "\0"),
    ],
)
def test_steps_are_done_in_order(steps, text, expected):
    assert apply_steps(steps, [text, "", text]) == [expected, "", expected]


def test_lists_of_labels_are_made_alike_one_by_one():
    values = ["A b", b"\xc3\x89", ["New York", "E\u0301"], np.array(["A"], object), [], 3, None]
    found = normalized("words", ("nfc", "lower"), values)
    assert found == ["a b", "é", ["new york", "é"], ["a"], [], 3, None]


@pytest.mark.parametrize(
    ("key_type", "value", "ids"),
    [
        ("words", "A É x", [4, 6, 1]),
        ("words", ["A", "E\u0301"], [4, 6]),
        ("chars", "aE\u0301", [4, 6]),
        ("bytes", "É", [0xC3, 0xA9]),
        ("bytes", "É".encode(), [0xC3, 0xA9]),
        ("bytes", np.frombuffer(b"AB", np.uint8), [97, 98]),
    ],
)
def test_encoders_see_what_was_made_alike(key_type, value, ids):
    key = DataKey("x", "x", key_type, normalize=["nfc", "lower"])
    encoder = make_encoder(key, ".", None if key_type == "bytes" else VOCAB, None)
    assert encoder.encode(value).tolist() == ids
    assert encoder.encode_block([value, value]).values.tolist() == ids * 2


@pytest.mark.parametrize(
    ("key_type", "value", "reason"),
    [
        ("words", 3, "expected str, found int"),
        ("words", ["a", 3], "expected str, found int"),
        ("words", ["a", "!"], "empty label"),
        ("chars", b"\xff", "not valid UTF-8"),
        ("bytes", b"\xff", "not valid UTF-8"),
        ("bytes", "\ud800", "not valid Unicode"),
        ("bytes", [1], "expected str or bytes, found list"),
    ],
)
def test_what_is_no_text_is_rejected(rejects, key_type, value, reason):
    key = DataKey("x", "x", key_type, normalize=["lower", {"regex": "!", "replace": ""}])
    encoder = make_encoder(key, ".", None if key_type == "bytes" else VOCAB, None)
    assert rejects(encoder, value).reason == reason


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("lower", "expected a list such as"),
        (["lower", "nfx"], "step 2: expected one of lower, upper,"),
        ([3], "step 1: expected one of lower"),
        ([{"regex": "a"}], "step 1: expected {regex ="),
        ([{"regex": "a", "replace": 1}], "step 1: expected {regex ="),
        ([{"regex": "", "replace": "x"}], "step 1: expected {regex ="),
        ([{"regex": "a", "replace": "", "flags": "i"}], "step 1: expected {regex ="),
        ([{"regex": "(", "replace": ""}], r"step 1: Invalid regular expression: missing \)"),
        ([{"regex": "(?<=a)b", "replace": ""}], "step 1: Invalid regular expression"),
        ([{"regex": r"b\C", "replace": "x"}], r"step 1: found \\C, a single byte"),
        ([{"regex": "a", "replace": "\\1"}], "step 1: Invalid replacement string"),
        ([{"regex": "(a{1000}){1000}", "replace": ""}], "step 1: Invalid regular expression"),
    ],
)
def test_steps_that_cannot_be_meant(steps, message):
    with pytest.raises(WrongOptionsError, match=message):
        checked(DataKey, {"name": "x", "field": "x", "type": "chars", "normalize": steps})


def test_no_expression_takes_forever():
    text = "a" * 100_000 + "!"
    assert apply_steps([Replacement("(a+)+$", "")], [text]) == [text]


@given(
    st.lists(st.one_of(st.text("aÄé\u0301ﬁ1 "), st.lists(st.text("aÄ1 ")), st.none(), st.binary(max_size=2))),
    st.lists(st.sampled_from(["lower", "nfc", "nfkd", Replacement("[0-9]", "<\\0>")])),
)
def test_values_are_made_alike_each_by_itself(values, steps):
    def made(some):
        try:
            return normalized("words", steps, some)
        except RejectedSequence:
            return None

    alone = [made([value]) for value in values]
    together = made(values)
    assert together == (None if None in alone else [value for (value,) in alone])


def test_manifests_state_the_steps_as_the_option_has_them():
    steps = ["lower", {"regex": "a", "replace": ""}]
    assert DataKey("x", "x", "words", normalize=steps).processing == {"normalize": steps}
    assert DataKey("x", "x", "words").processing == {}
