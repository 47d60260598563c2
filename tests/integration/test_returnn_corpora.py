"""Corpora that RETURNN wrote or reads: the same epochs as from JSON lines, value by value."""

import gzip
import pickle
import zipfile

import numpy as np
import pytest
from other_tools import (
    NUMBERS,
    PHONES,
    SPEECH,
    UTTERANCES,
    epochs_of,
    jsonl_of_numbers,
    jsonl_of_speech,
    manifest_of,
)
from seqmill_runs import write_config

from seqmill.transforms.features.vocab import read_vocab


def write_hdf(path, utterances=UTTERANCES):
    from returnn.datasets.hdf import SimpleHDFWriter

    with SimpleHDFWriter(
        str(path),
        dim=3,
        ndim=2,
        extra_type={"classes": (len(PHONES), 1, "int32")},
        extra_labels={"classes": list(PHONES)},
    ) as writer:
        for u in utterances:
            writer.insert_batch(
                u.features[None], [len(u.features)], [u.tag], extra={"classes": u.phones[None]}
            )
    return path


def dump_hdf(source, path):
    """What RETURNN's tool hdf_dump does."""
    from returnn.datasets.hdf import HDFDataset, HDFDatasetWriter

    dataset = HDFDataset(files=[str(source)])
    dataset.initialize()
    del dataset.labels["data"]  # none, which RETURNN would not dump
    writer = HDFDatasetWriter(str(path))
    writer.dump_from_dataset(dataset, use_progress_bar=False)
    writer.close()


def test_hdf_files(tmp_path, seqmill):
    expected = epochs_of(seqmill, tmp_path, NUMBERS, jsonl_of_numbers(tmp_path))
    write_hdf(tmp_path / "a.hdf", UTTERANCES[:4])
    write_hdf(tmp_path / "b.hdf", UTTERANCES[4:])
    found = epochs_of(seqmill, tmp_path, NUMBERS, {"format": "hdf", "files": ["*.hdf"]})
    assert found == expected
    # Labels stay with the numbers.
    keys = manifest_of(tmp_path, 1)["data_keys"]
    assert keys["classes"]["num_labels"] == len(PHONES)
    assert read_vocab(f"{tmp_path}/out-1/epochs/train/vocab/classes.txt").labels == PHONES
    (tmp_path / "dumped").mkdir()
    dump_hdf(write_hdf(tmp_path / "dumped/c.hdf"), tmp_path / "dumped/d.hdf")
    assert epochs_of(seqmill, tmp_path, NUMBERS, {"format": "hdf", "files": ["dumped/d.hdf"]}) == expected
    again = seqmill.succeeds("preprocess", tmp_path / "config-1.toml", "--seq_ordering=random")
    assert "preprocess train: up to date" in again.err


def test_ogg_zip_archives(tmp_path, seqmill):
    from returnn.datasets.audio import OggZipDataset

    expected = epochs_of(seqmill, tmp_path, SPEECH, jsonl_of_speech(tmp_path))
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        entries = []
        for u in UTTERANCES:
            archive.writestr(f"corpus/{u.tag}.flac", u.flac())
            entry = {"text": u.text, "duration": 0.1, "file": f"{u.tag}.flac", "seq_name": u.tag}
            entries.append(repr(entry))
        archive.writestr("corpus.txt", "[\n" + ",\n".join(entries) + "]\n")
    assert epochs_of(seqmill, tmp_path, SPEECH, {"format": "ogg_zip", "files": ["corpus.zip"]}) == expected
    dataset = OggZipDataset(str(tmp_path / "corpus.zip"), audio=None, targets=None)
    dataset.initialize()
    dataset.init_seq_order(1)
    dataset.load_seqs(0, len(UTTERANCES))
    for row, u in enumerate(UTTERANCES):
        assert dataset.get_tag(row) == u.tag
        assert dataset.get_data(row, "orth").tobytes().decode() == u.text


@pytest.fixture
def translation(tmp_path):
    """A folder of TranslationDataset: lines, one file compressed, and vocabularies in pickles."""
    vocab = {"<S>": 0, "</S>": 0, "UNK": 1, "das": 2, "ist": 3, "gut": 4}
    (tmp_path / "source.train").write_text("das ist gut\ngut\n")
    (tmp_path / "target.train.gz").write_bytes(gzip.compress(b"ist das\ngut gut\n"))
    for side in ("source", "target"):
        (tmp_path / f"{side}.vocab.pkl").write_bytes(pickle.dumps(vocab))
        (tmp_path / f"{side}.vocab.txt").write_text(repr(vocab) + "\n")
    return tmp_path


def test_the_folder_of_a_translation_dataset(translation, seqmill):
    from returnn.datasets.lm import TranslationDataset

    files = {"source": "source.train", "target": "target.train.gz"}
    corpora = {"train": {"format": "text", "files": files}}
    data = {
        "data": {"field": "source", "type": "words", "vocab": "source.vocab.txt"},
        "classes": {"field": "target", "type": "words", "vocab": "target.vocab.txt"},
    }
    found = epochs_of(seqmill, translation, data, corpora["train"])
    dataset = TranslationDataset(str(translation), "train")
    dataset.initialize()
    dataset.init_seq_order(1)
    dataset.load_seqs(0, 2)
    expected = {
        f"source.train:{row + 1}": {
            key: ("<i4", np.asarray(dataset.get_data(row, key)).tolist()) for key in ("data", "classes")
        }
        for row in range(2)
    }
    assert {tag: values for tag, _, values in found} == expected
    assert manifest_of(translation)["data_keys"]["data"]["num_labels"] == 5

    data["data"]["vocab"] = "source.vocab.pkl"
    ended = seqmill("preprocess", write_config(translation, data, corpora))
    ended.names("source.vocab.pkl", "a pickle, which is never read", "vocab.txt")


def test_bpe_codes(tmp_path, seqmill):
    from returnn.datasets.util.vocabulary import BytePairEncoding

    codes = ["#version: 0.2", "l l", "h e", "he ll", "o </w>", "ll o</w>", "w o", "l d</w>", "wo r"]
    labels = ["hell@@", "o", "he@@", "ll@@", "wor@@", "ld", "l@@", "d", "z@@", "e@@", "a", "b", "c"]
    labels += ["t@@", "h@@", "n@@", "e", "s", "i@@", "'@@", "it@@"]
    (tmp_path / "bpe.codes").write_text("\n".join([*codes, "i t"]) + "\n")
    vocab = {"<s>": 0, "</s>": 0, "<unk>": 1} | {label: n + 2 for n, label in enumerate(labels)}
    (tmp_path / "bpe.vocab").write_text(repr(vocab))
    data = {"text": {"type": "subwords", "tokenizer": "bpe.codes", "vocab": "bpe.vocab", "eos": True}}
    found = epochs_of(seqmill, tmp_path, data, jsonl_of_numbers(tmp_path))
    theirs = BytePairEncoding(
        vocab_file=str(tmp_path / "bpe.vocab"),
        bpe_file=str(tmp_path / "bpe.codes"),
        unknown_label="<unk>",
        seq_postfix=[0],
    )
    expected = {u.tag: ("<i4", theirs.get_seq(u.text)) for u in UTTERANCES}
    assert {tag: values["text"] for tag, _, values in found} == expected
    assert manifest_of(tmp_path)["data_keys"]["text"]["num_labels"] == len(labels) + 2
