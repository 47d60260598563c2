from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.features.subwords import tokenizer_labels
from seqmill.transforms.features.vocab import decode_labels
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError, UsageError

tokenizers = pytest.importorskip("tokenizers")
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
TEXTS = ["the cat sat on the mat", "the dog ate the cat's hat", "", "that cat"]


@pytest.fixture
def tokenizer_file(tmp_path):
    """A BPE trained on a few words, with truncation, padding and a template that seqmill must not apply."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=60, special_tokens=SPECIAL)
    )
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 2)])
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=20)
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    return path


def encoder(path, **options):
    return make_encoder(DataKey("data", "data", "subwords", tokenizer=path, **options), ".", None, None)


def test_ids_turn_back_into_the_text(tokenizer_file):
    subwords = encoder(tokenizer_file)
    block = subwords.encode_block(TEXTS)
    assert block.values.dtype == np.int32
    assert block.values.max() < subwords.num_labels == len(tokenizer_labels(tokenizer_file))
    parts = np.split(block.values, np.cumsum(block.lengths)[:-1])
    assert [decode_labels(tokenizer_labels(tokenizer_file), ids, "subwords") for ids in parts] == TEXTS
    assert [subwords.encode(text).tolist() for text in TEXTS] == [ids.tolist() for ids in parts]


def test_boundaries(tokenizer_file):
    plain = encoder(tokenizer_file).encode("that cat").tolist()
    assert encoder(tokenizer_file, bos=True, eos=True).encode("that cat").tolist() == [2, *plain, 3]


def test_the_same_text_has_the_same_ids(tmp_path):
    merges = [("a", "b"), ("ab", "c")]
    vocab = {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5}
    model = tokenizers.models.BPE(vocab, merges, dropout=0.5, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    path = str(tmp_path / "dropout.json")
    tokenizer.save(path)
    assert {tuple(encoder(path).encode_block(["abc"] * 50).values)} == {(5,) * 50}


def test_unknown_subwords_are_counted(tmp_path):
    unigram = tokenizers.models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], 0, byte_fallback=False)
    words = tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")
    for model, text, expected in ((unigram, "aqb", 1), (words, "b", 1), (words, "a", 0)):
        path = str(tmp_path / "t.json")
        tokenizers.Tokenizer(model).save(path)
        subwords = encoder(path)
        subwords.encode(text)
        assert subwords.converted[UNKNOWN] == expected


def test_wrong_use(tokenizer_file, tmp_path, rejects):
    assert rejects(encoder(tokenizer_file), 5).reason == "expected str, found int"
    bare = str(tmp_path / "bare.json")
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 5}, unk_token="<unk>")).save(bare)
    assert encoder(bare).num_labels == 6
    assert rejects(encoder(bare), "c").reason == "the tokenizer failed"
    with pytest.raises(UsageError, match=r"bos is set, but the tokenizer .*bare.json has no label <s>"):
        encoder(bare, bos=True)
    with pytest.raises(SeqmillError, match="no such file"):
        encoder(str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SeqmillError, match=r"bad.json: not a file of the tokenizers library"):
        encoder(str(tmp_path / "bad.json"))


def test_a_file_that_makes_the_library_panic(tmp_path):
    vocab = {"a": 0, "b": 1, "ab": 2}
    model = {"type": "BPE", "vocab": vocab, "merges": [["a", "b"]], "continuing_subword_prefix": "long"}
    (tmp_path / "t.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    with pytest.raises(SeqmillError, match=r"t\.json: not a file of the tokenizers library"):
        encoder(str(tmp_path / "t.json"))


def test_ids_without_bound_are_refused(tmp_path):
    model = {"type": "WordLevel", "vocab": {"a": 2**31}, "unk_token": "a"}
    (tmp_path / "t.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    with pytest.raises(SeqmillError, match="has the label id 2147483648"):
        encoder(str(tmp_path / "t.json"))


def test_a_missing_package_is_named(tokenizer_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SeqmillError, match=r"pip install 'seqmill\[subwords\]'"):
        encoder(tokenizer_file)


@pytest.mark.parametrize(
    ("options", "text", "is_lost"),
    [
        ({}, "abab", False),
        ({}, "abcab", True),
        ({"byte_fallback": True}, "abcab", False),
        ({"unk_token": "a"}, "abcab", False),
        ({"end_of_word_suffix": "!"}, "ba", True),
        ({"end_of_word_suffix": "!"}, "ab", False),
    ],
)
def test_text_that_a_tokenizer_would_leave_out_is_rejected(tmp_path, options, text, is_lost):
    vocab = {"a": 0, "b": 1, "ab": 2, "b!": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, [("a", "b")], **options))
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    if is_lost:
        with pytest.raises(RejectedSequence, match="label not in the vocabulary"):
            encoder(path).encode(text)
    else:
        assert len(encoder(path).encode(text)) > 0


def test_a_tokenizer_of_bytes_and_added_tokens_lose_nothing(tmp_path):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1}, []))
    tokenizer.add_tokens(["<x>"])
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    assert encoder(path).encode("a<x>b").tolist() == [0, 2, 1]
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(path)
    assert encoder(path).encode("ab").tolist() == [0, 1]
