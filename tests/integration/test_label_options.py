"""Options of labels through a whole run: what is counted, shared and made alike, and when that is anew."""

import json
import shutil
from pathlib import Path

import pytest
from seqmill_runs import read_epochs, sequences, write_config, write_jsonl

GOLDEN = Path(__file__).parents[1] / "transforms/golden"
DATA = {
    "source": {"type": "words", "normalize": ["lower"], "max_labels": 7, "unk": "[UNK]"},
    "target": {"type": "words", "vocab": "@source", "eos": "<eos>"},
    "other": {"type": "words", "field": "target"},
}
SPECIAL = ["<pad>", "[UNK]", "<eos>"]
RECORDS = [{"source": "A b", "target": "B b c"}, {"source": "a A", "target": "c d"}]


def ids(output, key):
    return [array.tolist() for _, _, array in sequences(read_epochs(output)[0], key)]


def test_one_vocabulary_counted_over_two_fields(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    config, output = write_config(tmp_path, DATA, corpora), tmp_path / "out"
    first = seqmill.succeeds("preprocess", config)
    warning = "warning: data keys target and other have two vocabularies of one field, target: a label is"
    assert first.err.count(warning) == 1
    for folder in ("vocab", "store/train/vocab", "epochs/train/vocab"):
        assert (output / folder / "source.txt").read_text().split() == [*SPECIAL, "a", "b", "c", "B"]
        assert not (output / folder / "target.txt").exists()
    specs = json.loads((output / "epochs/train/manifest.json").read_text())["data_keys"]
    assert specs["target"]["vocab"] == specs["source"]["vocab"] == "vocab/source.txt"
    assert specs["source"]["processing"] == {"unk": "[UNK]", "normalize": ["lower"]}
    assert (
        specs["target"]["processing"] == {"unk": "[UNK]", "eos": "<eos>"}
        and "processing" not in specs["other"]
    )
    assert ids(output, "source") == [[3, 4], [3, 3]]
    assert ids(output, "target") == [[6, 4, 5, 2], [5, 1, 2]]
    assert "B b c <eos>" in seqmill.succeeds("show", output).out
    seqmill.succeeds("verify", output)
    again = seqmill.succeeds("preprocess", config)
    assert "ingest train: up to date" in again.err
    changed = seqmill.succeeds("preprocess", config, '--data.target.normalize=["upper"]')
    assert "up to date" not in changed.err
    assert (output / "vocab/source.txt").read_text().split() == [*SPECIAL, "a", "B", "C", "D"]
    assert ids(output, "target") == [[4, 4, 5, 2], [5, 6, 2]]


def test_a_vocabulary_that_is_given_and_shared(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    (tmp_path / "v.txt").write_text("[PAD]\na\nb\nB\nc\n[SEP]\n")
    data = {
        "source": {"type": "words", "vocab": "v.txt", "normalize": ["lower"], "pad": "[PAD]"},
        "target": {"type": "words", "vocab": "@source", "eos": "[SEP]"},
    }
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"], "max_rejected": 0.5}}
    config = write_config(tmp_path, data, corpora)
    ended = seqmill.succeeds("preprocess", config)
    assert (
        "warning: data.source.vocab: 1 of 6 labels, such as 'B', are in no text that normalize" in ended.err
    )
    assert "rejected: 1 target: label not in the vocabulary" in ended.err
    assert ids(tmp_path / "out", "target") == [[3, 2, 4, 5]]
    seqmill("preprocess", config, "--data.target.eos=[sep]").names("has no label [sep]; did you mean [SEP]?")
    seqmill("preprocess", config, "--data.target.vocab=@src").names("there is no data key 'src'")


def test_a_sentencepiece_model(tmp_path, seqmill):
    pytest.importorskip("sentencepiece")
    shutil.copy2(GOLDEN / "sentencepiece.model", tmp_path / "spm.model")
    write_jsonl(tmp_path / "a.jsonl", [{"x": "THE cat"}, {"x": "that dog"}])
    data = {"x": {"type": "subwords", "tokenizer": "spm.model", "normalize": ["lower"], "eos": True}}
    config = write_config(tmp_path, data, {"train": {"format": "jsonl", "files": ["a.jsonl"]}})
    seqmill.succeeds("preprocess", config)
    labels = (tmp_path / "out/epochs/train/vocab/x.txt").read_text().splitlines()
    assert labels[:4] == ["<unk>", "<s>", "</s>", "▁"]
    assert all(array[-1] == 2 for array in ids(tmp_path / "out", "x"))
    shown = seqmill.succeeds("show", tmp_path / "out").out
    assert "the cat</s>" in shown
    seqmill.succeeds("verify", tmp_path / "out")
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err
    (tmp_path / "spm.model").write_bytes((tmp_path / "spm.model").read_bytes()[:-9])
    seqmill("preprocess", config).names("spm.model: a damaged SentencePiece model")


def test_a_dictionary_of_fairseq(tmp_path, seqmill):
    (tmp_path / "dict.txt").write_text("the 9\ncat 5\nNew 2\n<unk> 1 #fairseq:overwrite\nmadeupword0000 0\n")
    records = [{"x": "the dog", "y": "cat <unk>", "n": [8]}, {"x": "cat " * 9, "y": "the", "n": [8, 7]}]
    write_jsonl(tmp_path / "a.jsonl", records)
    fairseq = {"vocab": "dict.txt", "vocab_format": "fairseq"}
    data = {
        "x": {"type": "words", **fairseq, "bos": True, "eos": True},
        "y": {"type": "words", "vocab": "@x", "eos": True},
        "n": {"type": "ints", "vocab": "@x"},
    }
    config = write_config(tmp_path, data, {"train": {"format": "jsonl", "files": ["a.jsonl"]}})
    output = tmp_path / "out"
    seqmill.succeeds("preprocess", config)
    first = [ids(output, key)[0] for key in ("x", "y", "n")]
    assert first == [[0, 4, 3, 2], [5, 7, 2], [8]]
    ((batch,),) = read_epochs(output)
    padded = {key: batch.arrays[key][row].tolist() for key, row in (("x", 0), ("y", 1), ("n", 0))}
    assert padded == {"x": [0, 4, 3, 2] + [1] * 7, "y": [4, 2, 1], "n": [8, 0]}
    assert "<s> the <<unk>#3> </s>" in seqmill.succeeds("show", output).out
    seqmill.succeeds("verify", output)
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err
    zeros = seqmill.succeeds("preprocess", config, "--data.x.pad=<s>").err
    assert "up to date" not in zeros
    ((batch,),) = read_epochs(output)
    assert batch.arrays["x"][0].tolist() == [0, 4, 3, 2] + [0] * 7
    seqmill("preprocess", config, "--data.x.vocab_format=none").names(
        "every line ends in a number", "data.x.vocab"
    )
    plain = seqmill("preprocess", config, "--data.x.vocab_format=plain")
    plain.names("line 1: label 'the 9' holds white space")
    (tmp_path / "dict.txt").write_text("the 9\na cat 5\n")
    seqmill("preprocess", config).names("dict.txt, line 2: label 'a cat' holds white space")


def test_files_of_data_keys_go_with_what_they_were_for_and_no_others(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", [{"x": "a b", "f": [[1, 2], [3, 4]]}])
    words, floats = {"type": "words", "field": "x"}, {"type": "floats", "field": "f"}
    corpora, output = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}, tmp_path / "out"

    def run(**data):
        seqmill.succeeds("preprocess", write_config(tmp_path, data, corpora))
        places = [output / name for name in ("", "store/train", "epochs/train")]
        found = [[*place.glob("vocab/*.*"), *place.glob("norm/*.*")] for place in places]
        return [sorted(path.name for path in paths) for paths in found]

    counted = run(x=words, f={**floats, "normalization": "global"})
    assert counted == [["f.json", "norm.summary", "vocab.json", "x.txt"], *[["f.json", "x.txt"]] * 2]
    (output / "store/train/vocab/mine.txt").write_text("mine")
    (output / "vocab/mine.txt").write_text("mine")
    assert run(x=words, f=floats) == [
        ["mine.txt", "vocab.json", "x.txt"],
        ["mine.txt", "x.txt"],
        ["x.txt"],
    ]
    assert not list(output.rglob("norm"))
    assert run(y=words)[0] == ["mine.txt", "vocab.json", "y.txt"]
    named = run(z={**words, "vocab": "out/vocab/y.txt"})
    assert named == [["mine.txt", "y.txt"], ["mine.txt", "z.txt"], ["z.txt"]]
    (output / "store/train/vocab/z.txt").write_text("changed by hand")
    assert run(f=floats) == [["mine.txt", "y.txt"], ["mine.txt", "z.txt"], []]
    seqmill.succeeds("verify", output)


def test_windows_are_all_made_alike(tmp_path, seqmill):
    (tmp_path / "v.txt").write_text("<pad>\n<unk>\na\nb\n")
    write_jsonl(tmp_path / "1.jsonl", [{"x": "A b", "y": "a"}])
    data = {
        "x": {"type": "words", "vocab": "v.txt", "normalize": ["lower"]},
        "y": {"type": "words", "vocab": "@x"},
    }
    windows = {"interval": 0.05, "settle": 0, "idle": 0.05}
    corpora = {"train": {"format": "jsonl", "files": ["*.jsonl"]}}
    config = write_config(tmp_path, data, corpora, windows=windows)
    seqmill.succeeds("preprocess", config, "--watch")
    assert len(list(tmp_path.glob("out/epochs/train/*/vocab/*.txt"))) == 1
    write_jsonl(tmp_path / "2.jsonl", [{"x": "A", "y": "a"}])
    other = seqmill("preprocess", config, "--watch", '--data.x.normalize=["upper"]')
    other.names("data.x: in the windows in", 'normalize is ["lower"], not ["upper"]')
    for flag, unlike in {
        "--data.y.bos=a": 'bos is not set, not "a"',
        "--data.x.unk=a": 'unk is not set, not "a"',
        "--data.y.pad=b": 'pad is not set, not "b"',
        "--data.y.type=chars": 'type is "words", not "chars"',
    }.items():
        seqmill("preprocess", config, "--watch", flag).names("data.", "in the windows in", unlike)
    seqmill("preprocess", config, "--watch", "--data.x.vocab_format=fairseq").names("data.x.vocab_format")
