from __future__ import annotations

import pytest

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.shared_vocabs import fields_of_two, with_shared_vocabs
from seqmill.transforms.features.vocab import build_vocab
from seqmill.transforms.storage.checked_options import WrongOptionsError


def keys(**tables):
    return {
        name: DataKey(name, **{"field": name, "type": "words", **table}) for name, table in tables.items()
    }


def test_special_labels_of_all_are_in_a_shared_vocabulary():
    data = with_shared_vocabs(
        keys(
            a={"unk": "?", "bos": True, "max_labels": 6},
            b={"vocab": "@a", "eos": "</e>"},
            c={"vocab": "@a", "bos": True},
        )
    )
    assert (data["b"].unk, data["b"].labels_of, data["a"].labels_of) == ("?", "a", "a")
    assert build_vocab({"x": 1, "y": 2, "z": 1}, *data.values()).labels == (
        "<pad>",
        "?",
        "<s>",
        "</e>",
        "y",
        "x",
    )


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"data": {}, "b": {"vocab": "@dta"}},
            r"b.vocab: found '@dta'; there is no data key 'dta'; did you mean data\?",
        ),
        ({"a": {"vocab": "@a"}}, "a.vocab: found '@a', its own name"),
        ({"a": {"type": "ints"}, "b": {"vocab": "@a", "type": "ints"}}, "a has no vocabulary for type ints"),
        (
            {"a": {}, "b": {"vocab": "@a"}, "c": {"vocab": "@b"}},
            "c.vocab: .* b has the vocabulary of a: expected '@a'",
        ),
        (
            {"a": {"type": "bytes"}, "b": {"vocab": "@a"}},
            "a has no vocabulary for type words; expected a key with",
        ),
        ({"a": {"type": "chars"}, "b": {"vocab": "@a"}}, "counted as chars, and cannot be those of words"),
        (
            {"a": {}, "b": {"vocab": "@a", "type": "subwords", "tokenizer": "t"}},
            "cannot be those of subwords",
        ),
        ({"a": {}, "b": {"vocab": "@a", "unk": "?"}}, "unk is an option of a then"),
        (
            {"a": {"max_labels": 4}, "b": {"vocab": "@a", "bos": True, "eos": True}},
            "a.max_labels: found 4; <pad>,",
        ),
    ],
)
def test_what_cannot_be_shared(tables, message):
    with pytest.raises(WrongOptionsError, match=message):
        with_shared_vocabs(keys(**tables))


@pytest.mark.parametrize(
    ("first", "second", "is_said"),
    [
        ({}, {}, False),
        ({}, {"eos": True}, True),
        ({}, {"eos": True, "vocab": "@a"}, False),
        ({}, {"eos": True, "type": "chars"}, False),
        ({}, {"eos": True, "field": "other"}, False),
        ({}, {"vocab": "v.txt"}, True),
        ({"vocab": "v.txt"}, {"vocab": "v.txt", "eos": True}, False),
        ({"normalize": ["lower"]}, {}, True),
        ({"type": "subwords", "tokenizer": "t"}, {"type": "subwords", "tokenizer": "u"}, True),
    ],
)
def test_one_field_with_two_vocabularies(first, second, is_said):
    data = [*keys(a={"field": "text", **first}, b={"field": "text", **second}).values()]
    assert len([*fields_of_two(data, data)]) == is_said
    assert not [*fields_of_two(data[:1], data)]
