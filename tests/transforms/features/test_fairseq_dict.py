from __future__ import annotations

import pytest

from seqmill.transforms.beam import EncodeSequences
from seqmill.transforms.features import make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.fairseq_dict import check_formats, read_fairseq
from seqmill.transforms.features.vocab import read_vocab, write_vocab
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.errors import SeqmillError

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def read(tmp_path, content):
    path = tmp_path / "dict.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_fairseq(str(path)).labels)


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("the 12\na 3\n", [*SPECIAL, "the", "a"]),
        ("the 12\r\n\u00e9 3", [*SPECIAL, "the", "é"]),
        ("New York 5\n3 4\n\\n 1 \n", [*SPECIAL, "New York", "3", "\\n"]),
        ("x 1\nmadeupword0000 0\n", [*SPECIAL, "x", "madeupword0000"]),
        ("<pad> 9 #fairseq:overwrite\nx 1\n", ["<s>", "<<pad>#1>", "</s>", "<unk>", "<pad>", "x"]),
        ("x 2\ny 1\nx 1 #fairseq:overwrite\n", [*SPECIAL, "<x#4>", "y", "x"]),
        ("#fairseq:overwrite 5\n", [*SPECIAL, "#fairseq:overwrite"]),
        ("", SPECIAL),
    ],
)
def test_ids_are_those_of_fairseq(tmp_path, content, labels):
    """As ``Dictionary.add_from_file`` gives them: what is stripped, split and overwritten, and where."""
    assert read(tmp_path, content) == labels
    write_vocab(str(tmp_path / "copy.txt"), read_fairseq(str(tmp_path / "dict.txt")))
    assert list(read_vocab(str(tmp_path / "copy.txt")).labels) == labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1\na\n", "line 2: found 'a'; expected a label, a space and its count"),
        ("the 1\n\na 1\n", "line 2: found ''; expected a label"),
        ("the x\n", "line 1: found 'the x'"),
        (" 5\n", "line 1: found ' 5'"),
        ("the 1 #fairseq:other\n", "line 1: found"),
        ("a 1\na 1\n", "line 2: label 'a' is there already, as label 4"),
        ("<s> 1\n", "line 1: label '<s>' is there already, as label 0"),
        ("<s#0> 1\n<<s>#0> 1\n<s> 1 #fairseq:overwrite\n", "is called as one that was overwritten"),
        (b"\xff 1\n", "not UTF-8"),
    ],
)
def test_what_is_no_dictionary(tmp_path, content, message):
    with pytest.raises(SeqmillError, match=message):
        read(tmp_path, content)
    with pytest.raises(SeqmillError, match="no such file"):
        read_fairseq(str(tmp_path / "none.txt"))


def test_special_labels_are_the_first_four_however_they_are_called(tmp_path):
    labels = read(tmp_path, "a 3\n<unk> 1 #fairseq:overwrite\n</s> 1 #fairseq:overwrite\n")
    key = DataKey("x", "x", "words", vocab="dict.txt", vocab_format="fairseq", bos=True, eos=True)
    vocab = read_fairseq(str(tmp_path / "dict.txt"))
    assert make_encoder(key, ".", vocab, None).encode("a b <unk> </s>").tolist() == [0, 4, 3, 5, 6, 2]
    assert labels[2:4] == ["<</s>#2>", "<<unk>#3>"]


def test_a_file_that_may_be_either_is_refused_until_it_is_said(tmp_path):
    (tmp_path / "v.txt").write_text("class 1\nclass 2\n")
    for options, is_refused in (
        ({}, True),
        ({"vocab_format": "plain"}, False),
        ({"vocab_format": "fairseq"}, False),
    ):
        keys = [DataKey("x", "x", "ints", vocab=str(tmp_path / "v.txt"), **options)]
        if is_refused:
            with pytest.raises(SeqmillError, match=r"data\.x\.vocab: .*v\.txt: every line ends in a number"):
                check_formats(keys)
        else:
            check_formats(keys)
    (tmp_path / "v.txt").write_text("class 1\nclass 2\nother\n")
    check_formats([DataKey("x", "x", "ints", vocab=str(tmp_path / "v.txt"))])


def test_where_it_is_refused_by_name(tmp_path):
    (tmp_path / "v.txt").write_text("a 1\n")
    keys = {"x": {"type": "words", "vocab": str(tmp_path / "v.txt"), "vocab_format": "fairseq"}}
    with pytest.raises(
        SeqmillError, match=r"x\.vocab_format: found 'fairseq'; expected a file with one label"
    ):
        EncodeSequences(keys, order_by="id")
    with pytest.raises(WrongOptionsError, match="vocab_format needs vocab = FILE"):
        checked(DataKey, {"name": "x", "field": "x", "type": "words", "vocab_format": "fairseq"})
