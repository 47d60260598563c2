"""``seqmill predict`` by the real command: on checkpoints, and what goes wrong."""

import json

import pytest
from seqmill_runs import write_config, write_jsonl

MODEL = """
import keras

def build(manifest):
    data = keras.Input((None, 2), name="data")
    model = keras.Model(data, keras.layers.Dense(manifest.data_keys["classes"].num_labels)(data))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model

"""
SCORES = """
def predict(model, batch):
    scores = model.predict_on_batch(batch["data"])
    return [float(row[:length].sum()) for row, length in zip(scores, batch["data_lengths"])]
"""
CORPUS_TOO = """
def predict(model, batch, corpus):
    return [f"{corpus.manifest.corpus} {tag}" for tag in batch["seq_tag"]]
"""
FAILS = """
def predict(model, batch):
    return batch["datta"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("predict")


@pytest.fixture(scope="module")
def config(folder):
    """A training of three epochs with a corpus ``test`` that is stored sorted."""
    from seqmill.pipelines.main import main

    for corpus, num_seqs in (("train", 12), ("dev", 4), ("test", 9)):
        frames = [[[n / 9, t] for t in range(1 + n * 5 % 7)] for n in range(num_seqs)]
        write_jsonl(
            folder / f"{corpus}.jsonl",
            [
                {"id": f"{n}", "x": x, "y": " ".join("ab"[t % 2] for t in range(len(x)))}
                for n, x in enumerate(frames)
            ],
        )
    (folder / "model.py").write_text(MODEL + SCORES)
    corpora = {
        c: {"format": "jsonl", "files": [f"{c}.jsonl"], "seq_tag": "id"} for c in ("train", "dev", "test")
    }
    corpora["test"]["seq_ordering"] = "sorted"
    data = {"data": {"field": "x", "type": "floats"}, "classes": {"field": "y", "type": "words"}}
    config = write_config(folder, data, corpora, model="model.py:build", num_epochs=3, max_seqs=4)
    with pytest.raises(SystemExit) as end:
        main(["run", str(config)])
    assert not end.value.code
    return config


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_predictions_of_chosen_models_in_corpus_order(folder, config, seqmill):
    said = seqmill.succeeds("predict", config, "--corpus=test").out
    path = folder / "out/predictions/test.jsonl"
    assert "9 predictions" in said and [line["seq_tag"] for line in lines(path)] == [f"{n}" for n in range(9)]
    seqmill.succeeds("average", config, "--best=3")
    found = {}
    for name in ("last", "3", "final", "1", "average"):
        to = folder / f"{name}.jsonl"
        seqmill.succeeds("predict", config, "--corpus=test", f"--checkpoint={name}", f"--to={to}")
        found[name] = to.read_bytes()
    from_store = folder / "from_store.jsonl"
    seqmill.succeeds("predict", config, "--corpus=test", "--read_from=store", f"--to={from_store}")
    assert found["last"] == found["3"] == found["final"]
    assert from_store.read_bytes() == path.read_bytes()
    assert len({found["1"], found["3"], found["average"]}) == 3
    assert sorted(p.name for p in path.parent.iterdir()) == ["test.jsonl"]


def test_mistakes_are_named(folder, config, seqmill):
    seqmill("predict", config).names("--corpus")
    seqmill("predict", config, "--corpus=tset").names("--corpus=tset", "did you mean test?")
    seqmill("predict", config, "--corpus=test", "--checkpoint=7").names("no checkpoint of epoch 7", "1, 2, 3")
    seqmill("predict", config, "--corpus=test", f"--to={folder}").names("is a folder")
    seqmill("predict", config, "--corpus=test", f"--to={config}").names(
        f"{config}: holds no earlier predictions"
    )
    changed = seqmill("predict", config, "--corpus=test", "--corpus.test.max_seqs=3")
    changed.names("corpus.test: max_seqs is 3", "seqmill preprocess")
    (folder / "none.py").write_text(MODEL)
    none = seqmill("predict", config, "--corpus=test", f"--model={folder}/none.py:build")
    none.names("defines no function predict(model, batch)")
    (folder / "fails.py").write_text(MODEL + FAILS)
    failed = seqmill("predict", config, "--corpus=test", f"--model={folder}/fails.py:build")
    assert (
        failed.code == 1
        and "KeyError: 'datta'" in failed.err
        and "predict failed on the batch of" in failed.err
    )


def test_a_third_argument_is_the_corpus(folder, config, seqmill):
    (folder / "corpus_too.py").write_text(MODEL + CORPUS_TOO)
    to = folder / "corpus_too.jsonl"
    seqmill.succeeds("predict", config, "--corpus=dev", f"--model={folder}/corpus_too.py:build", f"--to={to}")
    assert lines(to)[0] == {"seq_tag": "0", "prediction": "dev 0"}
