from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features import Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.storage.errors import UsageError

CHARS = DataKey("data", "data", "chars")
WORDS = DataKey("data", "data", "words")
VOCAB = Vocab(("<pad>", "<unk>", "<s>", "</s>", "a", "b", "é", "\n", "😀", "sch"))
boundaries = st.fixed_dictionaries({"bos": st.booleans(), "eos": st.booleans()})


def encoder(key, vocab=VOCAB):
    return make_encoder(key, ".", vocab, None)


def test_chars_are_code_points():
    array = encoder(CHARS).encode("aé\n😀?b")
    assert array.dtype == np.int32
    assert array.tolist() == [4, 6, 7, 8, 1, 5]
    assert encoder(CHARS).encode("aé".encode()).tolist() == [4, 6]
    assert encoder(CHARS).encode(["sch", "a", "tsch"]).tolist() == [9, 4, 1]
    assert encoder(CHARS).num_labels == len(VOCAB)


def test_words_are_separated_by_white_space_or_listed():
    assert encoder(WORDS).encode(" a  sch\tx <unk> ").tolist() == [4, 9, 1, 1]
    assert encoder(WORDS).encode(["a", "sch", "New York"]).tolist() == [4, 9, 1]
    assert encoder(WORDS).encode(np.array(["a", "b"], object)).tolist() == [4, 5]


@given(
    st.sampled_from([CHARS, WORDS]),
    boundaries,
    st.lists(st.one_of(st.text("ab é\n😀x"), st.lists(st.sampled_from(["a", "sch", "x"])))),
)
def test_a_block_is_what_the_vocabulary_says(key, options, values):
    key = dataclasses.replace(key, **options)
    expected = []
    for value in values:
        labels = value if key is CHARS or isinstance(value, list) or key.type == "chars" else value.split()
        ids = [VOCAB.index.get(label, 1) for label in labels]
        expected.append([2] * key.bos + ids + [3] * key.eos)
    block = encoder(key).encode_block(values)
    assert block.values.dtype == np.int32
    assert block.values.tolist() == [label for ids in expected for label in ids]
    assert block.lengths.tolist() == [len(ids) for ids in expected]
    assert [encoder(key).encode(value).tolist() for value in values] == expected


@pytest.mark.parametrize(
    ("key", "value", "label"),
    [(CHARS, "abé", "'é'"), (CHARS, "a😀", "'😀'"), (CHARS, ["a", "sch"], "'sch'"), (WORDS, "b ab", "'ab'")],
)
def test_a_vocabulary_without_unk_rejects_unknown_labels(rejects, key, value, label):
    error = rejects(encoder(key, Vocab(("a", "b", "z"))), value)
    assert error.reason == "label not in the vocabulary"
    assert error.detail == label


@pytest.mark.parametrize("key", [CHARS, WORDS])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "expected str, found int"),
        (None, "expected str, found null"),
        (["a", None], "expected str, found null"),
        (["a", ""], "empty label"),
        ("a\ud800", "not valid Unicode"),
        (b"\xff", "not valid UTF-8"),
    ],
)
def test_bad_labels(rejects, key, value, reason):
    assert rejects(encoder(key), value).reason == reason


def test_unknown_labels_are_counted():
    labels = encoder(WORDS)
    labels.encode_block(["a x y", "b", "<unk>"])
    assert labels.converted == {UNKNOWN: 3}
    without = encoder(WORDS, Vocab(("a", "b")))
    without.encode("a b")
    assert not without.converted


def test_boundaries_must_be_in_the_vocabulary():
    key = dataclasses.replace(WORDS, eos=True, vocab="v.txt")
    with pytest.raises(UsageError, match=r"'data': eos is set, but the vocabulary v.txt has no label </s>"):
        encoder(key, Vocab(("<pad>", "<unk>")))
