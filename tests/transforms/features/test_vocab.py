from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.vocab import (
    Vocab,
    build_vocab,
    check_labels_occur,
    count_labels,
    decode_labels,
    read_vocab,
    split_all,
    write_vocab,
)
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

CHARS = DataKey("data", "data", "chars")
WORDS = DataKey("data", "data", "words")


def count(key, *values):
    counter = Counter()
    count_labels(key, list(values), counter)
    one_by_one = Counter()
    for value in values:
        count_labels(key, [value], one_by_one)
    assert counter == one_by_one
    return counter


def test_labels_are_ordered_by_frequency_then_code_point():
    counts = count(WORDS, "b a c b", "é c Z")
    assert counts == {"b": 2, "c": 2, "a": 1, "é": 1, "Z": 1}
    assert build_vocab(counts, WORDS).labels == ("<pad>", "<unk>", "b", "c", "Z", "a", "é")


@pytest.mark.parametrize(
    ("bos", "eos", "special"),
    [(True, False, ("<s>",)), (False, True, ("</s>",)), (True, True, ("<s>", "</s>"))],
)
def test_boundaries_stand_behind_unk(bos, eos, special):
    key = DataKey("data", "data", "words", bos=bos, eos=eos)
    assert build_vocab({"x": 1}, key).labels == ("<pad>", "<unk>", *special, "x")


def test_special_labels_in_the_data_are_not_listed_twice():
    counts = count(WORDS, "<unk> <unk> a <pad> <s>")
    assert build_vocab(counts, WORDS).labels == ("<pad>", "<unk>", "<s>", "a")
    key = DataKey("data", "data", "words", bos=True)
    assert build_vocab(counts, key).labels == ("<pad>", "<unk>", "<s>", "a")


def test_what_chars_and_words_count():
    assert count(CHARS, "a b", b"\xc3\xa9", ["sch", "a"]) == {"a": 2, " ": 1, "b": 1, "é": 1, "sch": 1}
    assert count(WORDS, " New\tYork ", ["New York"], np.array(["x"])) == {
        "New": 1,
        "York": 1,
        "New York": 1,
        "x": 1,
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "expected str, found int"),
        (["a", 3], "expected str, found int"),
        (["a", ""], "empty label"),
        ("\ud800", "not valid Unicode"),
        (["\udfff"], "not valid Unicode"),
        (b"\xff", "not valid UTF-8"),
    ],
)
@pytest.mark.parametrize("key", [CHARS, WORDS])
def test_what_cannot_be_counted(key, value, reason):
    assert count(key, "a", value, "a") == {"a": 2}
    with pytest.raises(RejectedSequence) as error:
        split_all(key.type, ["a", value])
    assert error.value.reason == reason


@given(
    st.lists(
        st.one_of(st.text(min_size=1), st.sampled_from("\n\r\\\u2028\u2029\x0b\x0c\x1c\x85 \ufeff")),
        unique=True,
    )
)
def test_every_label_survives_the_file(tmp_path_factory, labels):
    path = str(tmp_path_factory.mktemp("vocab") / "v.txt")
    vocab = Vocab(("<pad>", "<unk>", *(label for label in labels if label not in ("<pad>", "<unk>"))))
    write_vocab(path, vocab)
    assert read_vocab(path) == vocab


def test_the_file_is_readable_as_it_stands(tmp_path):
    path = tmp_path / "v.txt"
    write_vocab(str(path), Vocab(("<pad>", "\n", "\\n", "a b", "é")))
    assert path.read_bytes() == "<pad>\n\\n\n\\\\n\na b\né\n".encode()


def test_a_given_file_may_lack_the_last_line_feed_and_have_carriage_returns(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a\r\n b\r\nc")
    assert read_vocab(str(path)).labels == ("a", " b", "c")
    assert read_vocab(str(path)).index == {"a": 0, " b": 1, "c": 2}


def test_a_byte_order_mark_is_no_part_of_the_first_label(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"\xef\xbb\xbfthe\r\ncat\r\n")
    assert read_vocab(str(path)).labels == ("the", "cat")


@pytest.mark.parametrize(
    ("label_type", "labels", "problem"),
    [
        (
            "words",
            ["<pad>", "new york"],
            "line 2: label 'new york' holds white space, and no label of type",
        ),
        ("words", ["a", " b"], "line 2: label ' b' holds white space"),
        ("words", ["a", "\u3000"], "line 2: label '.*' holds white space"),
        ("chars", ["<unk>", "a", "the"], "line 3: label 'the' has 3 characters"),
    ],
)
def test_labels_that_never_occur(label_type, labels, problem):
    with pytest.raises(SeqmillError, match=problem):
        check_labels_occur("v.txt", Vocab(tuple(labels)), label_type)


@pytest.mark.parametrize(
    ("label_type", "labels"),
    [("words", ["<no word>", "[PAD]", "a-b", "é"]), ("chars", ["<blank>", " ", "\n", "é", "<", "["])],
)
def test_labels_that_occur_or_are_special(label_type, labels):
    check_labels_occur("v.txt", Vocab(tuple(labels)), label_type)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\xff\xfet\0h\0e\0", "line 1: not UTF-8"),
        (b"", "the file is empty"),
        (b"a\nb\na\n", "line 3: label 'a' is already on line 1"),
        (b"a\n\nb\n", "line 2: empty label"),
        (b"a\n\xff\n", "line 2: not UTF-8"),
        (b"a\n\\alpha\n", "line 2: unknown escape"),
        (b"a\\", "line 1: unknown escape"),
    ],
)
def test_bad_vocabulary_files(tmp_path, content, problem):
    path = tmp_path / "v.txt"
    path.write_bytes(content)
    with pytest.raises(SeqmillError, match=problem) as error:
        read_vocab(str(path))
    assert str(path) in str(error.value)


def test_a_missing_vocabulary_file(tmp_path):
    with pytest.raises(SeqmillError, match="no such file"):
        read_vocab(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("label_type", "labels", "ids", "text"),
    [
        ("chars", ["<pad>", "a", " ", "b"], [1, 2, 3], "a b"),
        ("words", ["<pad>", "one", "two"], np.array([2, 1, 7]), "two one <7>"),
        ("subwords", ["▁he", "llo", "▁you"], [0, 1, 2], "hello you"),
        ("subwords", ["he", "##llo", "you"], [0, 1, 2], "hello you"),
    ],
)
def test_ids_as_text(label_type, labels, ids, text):
    assert decode_labels(labels, ids, label_type) == text
