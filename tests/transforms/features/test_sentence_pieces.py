from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seqmill.transforms.features import Vocab, make_encoder
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN
from seqmill.transforms.features.sentence_pieces import is_sentencepiece
from seqmill.transforms.features.subwords import tokenizer_labels
from seqmill.transforms.features.vocab import decode_labels
from seqmill.transforms.storage.errors import SeqmillError, UsageError

sentencepiece = pytest.importorskip("sentencepiece")
TEXTS = ["the cat sat on the mat", "ﬁne dog ate  the cat's hat", "", "größe café ①", "一二"]


def trained(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS[:4] * 5),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"vocab_size": 60, "model_type": "unigram", **options},
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of models: plain ones of two kinds, one of bytes, one with other special pieces or none."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "unigram.model").write_bytes(trained())
    (folder / "bpe.model").write_bytes(trained(model_type="bpe", pad_id=3))
    (folder / "bytes.model").write_bytes(trained(byte_fallback=True, vocab_size=320))
    special = {"bos_piece": "[BOS]", "eos_id": -1, "unk_id": 3, "bos_id": 0, "pad_id": 1}
    (folder / "special.model").write_bytes(trained(user_defined_symbols=["<sep>"], **special))
    return folder


def encoder(path, **options):
    return make_encoder(DataKey("data", "data", "subwords", tokenizer=str(path), **options), ".", None, None)


@pytest.mark.parametrize("name", ["unigram", "bpe", "bytes", "special"])
def test_ids_are_those_of_the_library(models, name):
    path = str(models / f"{name}.model")
    library = sentencepiece.SentencePieceProcessor(model_file=path)
    expected = [library.encode(text) for text in TEXTS]
    subwords = encoder(path)
    block = subwords.encode_block(TEXTS)
    assert block.values.dtype == np.int32
    parts = np.split(block.values, np.cumsum(block.lengths)[:-1])
    assert [ids.tolist() for ids in parts] == expected
    assert [subwords.encode(text.encode()).tolist() for text in TEXTS] == expected
    assert subwords.num_labels == library.get_piece_size()
    assert tokenizer_labels(path) == [library.id_to_piece(i) for i in range(library.get_piece_size())]
    unknown = sum(ids.count(library.unk_id()) for ids in expected)
    assert subwords.converted[UNKNOWN] == 2 * unknown


def test_ids_turn_back_into_text(models):
    path = models / "bytes.model"
    for text in ("the cat", "one 一二 ate"):
        assert decode_labels(tokenizer_labels(str(path)), encoder(path).encode(text), "subwords") == text


def test_special_pieces(models):
    plain = encoder(models / "unigram.model").encode("the cat").tolist()
    assert encoder(models / "unigram.model", bos=True, eos=True).encode("the cat").tolist() == [1, *plain, 2]
    path = models / "special.model"
    labels = tokenizer_labels(str(path))
    own = encoder(path, bos=True, eos="<sep>").encode("the cat").tolist()
    assert (labels[own[0]], labels[own[-1]]) == ("[BOS]", "<sep>")
    with pytest.raises(UsageError, match=r"eos is set, but the SentencePiece model .* has no label </s>"):
        encoder(path, eos=True)
    assert [encoder(path).pad, encoder(path, pad="<sep>").pad] == [1, labels.index("<sep>")]
    assert encoder(models / "unigram.model").pad == 0


def test_wrong_use(models, tmp_path, rejects):
    assert rejects(encoder(models / "unigram.model"), 5).reason == "expected str, found int"
    with pytest.raises(SeqmillError, match="no such file"):
        encoder(tmp_path / "none.model")
    with pytest.raises(SeqmillError, match="a SentencePiece model has its own labels; leave vocab out"):
        key = DataKey("x", "x", "subwords", tokenizer=str(models / "bpe.model"), vocab="v.txt")
        make_encoder(key, ".", Vocab(("a",)), None)
    json = tmp_path / "t.json"
    json.write_text('\n {"model": 1}')
    assert not is_sentencepiece(str(json))


def test_a_model_that_was_cut_short(models, tmp_path):
    whole = Path(__file__).parents[1].joinpath("golden/sentencepiece.model").read_bytes()
    path = tmp_path / "cut.model"
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(SeqmillError, match=r"cut\.model: a damaged SentencePiece model"):
            encoder(path)


@pytest.mark.parametrize("number", [100, pytest.param(5000, marks=pytest.mark.long)])
def test_no_damage_ends_the_process(models, number):
    """In a process of its own, which must come to its end; each model is damaged anew."""
    script = """
import random, sys
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.sentence_pieces import SentencePieces
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

for source in sys.argv[3:]:
    whole = open(source, "rb").read()
    for seed in range(int(sys.argv[2])):
        damage, content = random.Random(seed), bytearray(whole)
        for _ in range(damage.randint(1, 4)):
            content[damage.randrange(1, len(content))] = damage.randrange(256)
        with open(sys.argv[1], "wb") as file:
            file.write(content)
        try:
            pieces = SentencePieces(DataKey("x", "x", "subwords", tokenizer=sys.argv[1]))
            for text in ("the cat", "größe ① 一", "\\0\\U0001f600"):
                pieces.encode(text)
        except (SeqmillError, RejectedSequence):
            pass
print("over")
"""
    names = ["unigram.model", "bpe.model"]
    arguments = [models / "damaged.model", str(number), *(models / name for name in names)]
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=600
    )
    assert (ended.returncode, ended.stdout) == (0, "over\n"), ended.stderr
