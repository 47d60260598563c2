from __future__ import annotations

import dataclasses

import pytest

from seqmill.transforms.features import Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.features.vocab import build_vocab
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.errors import UsageError

WORDS = DataKey("data", "data", "words", vocab="v.txt")
BERT = Vocab(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "<sos>", "a", "b", "<unk>"))


def key(**options):
    return dataclasses.replace(WORDS, **options)


def test_special_labels_by_name():
    named = make_encoder(key(unk="[UNK]", bos="<sos>", eos="[SEP]", pad="[PAD]"), ".", BERT, None)
    assert named.encode("a x [CLS]").tolist() == [4, 5, 1, 2, 3]
    assert named.converted == {UNKNOWN: 1}
    assert [make_encoder(key(pad=pad), ".", BERT, None).pad for pad in (None, "[PAD]", "[SEP]")] == [0, 0, 3]
    assert make_encoder(key(), ".", BERT, None).encode("x").tolist() == [7]


def test_without_unk_unknown_labels_are_rejected(rejects):
    without = make_encoder(key(unk=False), ".", BERT, None)
    assert without.encode("a <unk>").tolist() == [5, 7]
    assert not without.converted
    assert rejects(without, "a x").detail == "'x'"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"unk": "<UNK>"},
            r"unk is '<UNK>', but the vocabulary v.txt has no label <UNK>; did you mean <unk>\?",
        ),
        ({"unk": "[unk]"}, r"no label \[unk\]; did you mean (<unk>|\[UNK\])\?"),
        ({"bos": True}, r"bos is set, but the vocabulary v.txt has no label <s>; did you mean <sos>\?"),
        ({"eos": "<end>"}, r"eos is '<end>', but the vocabulary v.txt has no label <end>$"),
        ({"pad": "[PDA]"}, r"no label \[PDA\]; did you mean \[PAD\]\?"),
    ],
)
def test_a_special_label_must_be_there(options, message):
    with pytest.raises(UsageError, match=message):
        make_encoder(key(**options), ".", BERT, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unk": True}, "unk: found True; expected a label, or false"),
        ({"unk": ""}, "expected a label, or false"),
        ({"bos": 1}, "bos: found 1; expected true, false or a label"),
        ({"eos": ""}, "expected true, false or a label"),
        ({"pad": 0}, "pad: found 0"),
        ({"vocab": None, "pad": "<unk>"}, "pad, unk, bos and eos name a label twice"),
        ({"max_labels": 10}, "max_labels: nothing is counted where vocab gives the labels"),
        ({"vocab": None, "max_labels": 2}, "max_labels: found 2; <pad>, <unk> alone are 2"),
        ({"vocab": None, "min_count": 0.5}, "min_count: found 0.5; expected a whole number of at least 1"),
        ({"vocab": None, "min_count": 2, "unk": False}, "with unk = false, sequences with other labels"),
        ({"type": "ints", "unk": "x"}, "unk is an option of type chars or words or subwords, not of ints"),
        ({"type": "subwords", "vocab": None, "tokenizer": "t", "unk": "x"}, "a tokenizer has its own"),
    ],
)
def test_options_that_cannot_be_meant(options, message):
    with pytest.raises(WrongOptionsError, match=message):
        checked(DataKey, {**vars(WORDS), **options})


def test_counted_vocabularies():
    counts = {"a": 5, "b": 3, "c": 3, "<s>": 9, "d": 1}
    counted = dataclasses.replace(WORDS, vocab=None)

    def labels(**options):
        return build_vocab(counts, dataclasses.replace(counted, **options)).labels

    assert labels(min_count=3) == ("<pad>", "<unk>", "<s>", "a", "b", "c")
    assert labels(max_labels=5) == ("<pad>", "<unk>", "<s>", "a", "b")
    assert labels(max_labels=5, bos=True, eos="</e>") == ("<pad>", "<unk>", "<s>", "</e>", "a")
    assert labels(max_labels=100, min_count=5, pad="[P]", unk="[U]") == ("[P]", "[U]", "<s>", "a")
    assert labels(unk=False, bos="<s>") == ("<pad>", "<s>", "a", "b", "c", "d")


def test_what_is_not_set_decides_nothing():
    plain = DataKey("data", "data", "words", eos=True)
    later = {"max_labels", "min_count", "unk", "pad", "normalize", "versions"}
    assert not plain.decisive.keys() & later
    assert DataKey("data", "data", "words", unk=False, normalize=["nfc"]).decisive.keys() >= {
        "unk",
        "normalize",
        "versions",
    }
