import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.bpe_codes import Codes
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.vocab import Vocab, read_vocab
from seqmill.transforms.storage.errors import SeqmillError


def read(tmp_path, content):
    path = tmp_path / "vocab"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_vocab(str(path))


@pytest.mark.parametrize(
    "text",
    [
        "{'a': 1, 'it\\'s': 2, \"b\": 0}",
        "{\n'b': 0,\n'a': 1,\n\"it's\" : 2,\n}\n",
        "{u'a': 1,'b':0, 'it\\x27s': 2 }",
    ],
)
def test_a_dict_of_labels(tmp_path, text):
    assert read(tmp_path, text).labels == ("b", "a", "it's")


def test_labels_that_share_an_id(tmp_path):
    vocab = read(tmp_path, "{'<s>': 0, '</s>': 0, 'a': 1}")
    assert vocab.labels == ("<s>", "a")
    assert vocab.index == {"<s>": 0, "</s>": 0, "a": 1}
    key = DataKey("x", "x", "words", vocab="v", bos=True, eos=True)
    assert make_encoder(key, "", vocab, ()).encode("a").tolist() == [0, 1, 0]


@pytest.mark.parametrize("text", ["{\na\n}\n", "{\n}\n", "{}\n"])
def test_what_only_looks_like_a_dict_is_one_label_a_line(tmp_path, text):
    assert read(tmp_path, text).labels == tuple(text.split())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{'a': 0, 'b': 2}", "no label has the id 1"),
        ("{'a': 0, 'a': 1}", "'a' is there twice"),
        ("{'a': 0, '': 1}", "empty label"),
        ("{'a': 0, 'b': __import__('os')}", "expected 'label': number"),
        ("{'a': 0, 'b': -1}", "expected 'label': number"),
        ("{'a': 0, 'b': 1", "expected 'label': number"),
        ("{'a': 0, 'b': 99999999999999999999}", "expected 'label': number"),
        ("{'a': 0, 'b': 999999999}", "no label has the id 1"),
        ("{'a': 0, '\\ud800': 1}", "surrogates not allowed"),
        *((pickle.dumps({"a": 0}, protocol), "a pickle, which is never read") for protocol in range(6)),
    ],
)
def test_what_is_no_vocabulary(tmp_path, content, problem):
    with pytest.raises(SeqmillError, match=problem):
        read(tmp_path, content)


CODES = [("l", "o"), ("e", "l"), ("lo", "</w>"), ("lo", "w"), ("a", "b</w>"), ("el", "lo</w>")]
PIECES = ["lo", "lo@@", "low", "low@@", "l@@", "e@@", "el@@", "a@@", "b", "b@@", "w", "o"]


@pytest.mark.parametrize("version", ["0.1", "0.2"])
@given(word=st.text("abelow", min_size=2, max_size=12))
def test_words_are_cut_as_returnn_cuts_them(version, tmp_path_factory, word):
    from returnn.util.bpe import StandardBytePairEncoder

    path = tmp_path_factory.getbasetemp() / f"codes-{version}"
    if not path.exists():
        path.write_text(f"#version: {version}\n" + "".join(f"{a} {b}\n" for a, b in CODES))
    theirs = StandardBytePairEncoder(str(path), labels=PIECES).segment_sentence(word)
    # Theirs leaves an empty piece where it takes apart the end of a word in version 0.1.
    assert Codes(str(path), Vocab(tuple(PIECES))).pieces(word) == theirs or "" in theirs


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"#version: 0.3\na b\n", "version 0.3"),
        (b"#version: 0.2\n", "without any"),
        (b"a b c\n", "expected two symbols"),
        (b"{}\n", "expected two symbols"),
        (b"a \xff\n", "not UTF-8"),
    ],
)
def test_what_are_no_codes(tmp_path, content, problem):
    (tmp_path / "codes").write_bytes(content)
    with pytest.raises(SeqmillError, match=problem):
        Codes(str(tmp_path / "codes"), Vocab(("a",)))
    with pytest.raises(SeqmillError, match="no such file"):
        Codes(str(tmp_path / "none"), Vocab(("a",)))


def test_unknown_pieces(tmp_path):
    (tmp_path / "codes").write_text("#version: 0.2\na b</w>\n")
    key = DataKey("x", "x", "subwords", tokenizer=str(tmp_path / "codes"), vocab="v")
    with_unknown = make_encoder(key, "", Vocab(("<unk>", "ab")), ())
    assert with_unknown.encode("ab zz").tolist() == [1, 0, 0]
    assert with_unknown.converted == {"unknown labels": 2}
    without = make_encoder(key, "", Vocab(("ab",)), ())
    np.testing.assert_array_equal(without.encode("ab  ab"), [0, 0])
    with pytest.raises(Exception, match="label not in the vocabulary"):
        without.encode("zz")
    with pytest.raises(Exception, match="a word too long"):
        without.encode("z" * 100_000)
