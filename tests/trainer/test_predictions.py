"""Predictions of a corpus that the real command wrote: no model, no TensorFlow."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from seqmill.trainer import open_corpus
from seqmill.trainer.predictions import predict_corpus
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from seqmill_runs import write_config, write_jsonl

NUM_SEQS = 40
KILLED = """
import os, pathlib, signal, sys
from seqmill.trainer import open_corpus
from seqmill.trainer.predictions import predict_corpus

def predict(batch):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return [[int(row[:length].sum())] for row, length in zip(batch["data"], batch["data_lengths"])]

def last_moment(temporary, target):
    if target == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(temporary, target)

calls = 0
if sys.argv[3] == "-1":
    rename, pathlib.Path.replace = pathlib.Path.replace, last_moment
predict_corpus(open_corpus(sys.argv[1]), predict, sys.argv[2], {"model": 1}, 0, say=lambda line: None)
"""


@pytest.fixture(scope="module")
def epochs(tmp_path_factory):
    """The folder with the epochs of several corpora of the same sequences, which no test may change."""
    from seqmill.pipelines.main import main

    folder = tmp_path_factory.mktemp("predictions")
    records = [{"id": f"s{n}\u2028{n}", "x": list(range(n % 7 + 1))} for n in range(NUM_SEQS)]
    write_jsonl(folder / "x.jsonl", records)
    corpus = {"format": "jsonl", "files": ["x.jsonl"], "seq_tag": "id"}
    corpora = {
        "train": {**corpus, "partition_epoch": 3, "seq_ordering": "random"},
        "sorted": {**corpus, "seq_ordering": "sorted", "max_seq_length": 6},
        "chunked": {**corpus, "chunking": "3:2"},
        "part": {**corpus, "partition_epoch": 2, "distinct_epochs": 1},
    }
    config = write_config(folder, {"data": {"field": "x", "type": "ints"}}, corpora, max_seqs=4, num_epochs=6)
    main(["preprocess", str(config)])
    return folder / "out/epochs"


def sums(batch):
    assert (batch["data_mask"].sum(1) == batch["data_lengths"]).all()
    return (batch["data"] * batch["data_mask"]).sum(1)[:, None]


def expected(longest=7):
    return [
        {"seq_tag": f"s{n}\u2028{n}", "prediction": [sum(range(n % 7 + 1))]}
        for n in range(NUM_SEQS)
        if n % 7 < longest
    ]


def lines(path):
    return [json.loads(line) for line in Path(path).read_bytes().split(b"\n")[:-1]]


def predict(corpus, path, function=sums, facts=None, seconds=0.0, said=None):
    say = (said if said is not None else []).append
    return predict_corpus(open_corpus(corpus), function, str(path), facts or {"model": 1}, seconds, say)


@pytest.mark.parametrize(("corpus", "longest"), [("train", 7), ("sorted", 6)])
@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_every_sequence_once_in_corpus_order(epochs, tmp_path, corpus, longest, seconds):
    path = tmp_path / "new/file.jsonl"
    num_seqs = predict(epochs / corpus, path, seconds=seconds)
    assert lines(path) == expected(longest) and num_seqs == len(expected(longest))
    assert [one.name for one in path.parent.iterdir()] == ["file.jsonl"]


def test_killed_at_any_batch_and_run_again_it_writes_the_same_bytes(epochs, tmp_path):
    predict(epochs / "train", tmp_path / "straight")
    path = tmp_path / "killed"
    predict(epochs / "train", path, lambda batch: batch["data_lengths"], {"model": 0})
    earlier = path.read_bytes()
    for kill_at in (1, 3, 4, -1, 99):
        arguments = [str(epochs / "train"), str(path), str(kill_at)]
        ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], stderr=subprocess.PIPE, text=True)
        assert ended.returncode == (0 if kill_at == 99 else -signal.SIGKILL), ended.stderr
        assert (path.read_bytes() == earlier) == (kill_at != 99)
    assert path.read_bytes() == (tmp_path / "straight").read_bytes()


class Stop(Exception):
    pass


def stopping(after):
    def function(batch):
        nonlocal after
        after -= 1
        if after < 0:
            raise Stop
        return sums(batch)

    return function


def stopped(epochs, path, batches=5):
    with pytest.raises(Stop):
        predict(epochs / "sorted", path, stopping(batches))
    return sorted(path.with_name(f"{path.name}.parts").glob("part-*"))


def test_only_what_is_missing_is_predicted_again(epochs, tmp_path):
    path = tmp_path / "file"
    assert len(stopped(epochs, path)) == 5
    said, num_left = [], open_corpus(epochs / "sorted").epoch(1).num_batches - 5
    predict(epochs / "sorted", path, stopping(num_left), said=said)
    assert said == ["going on after 5 batches"] and lines(path) == expected(6)


def test_parts_of_another_model_are_not_used(epochs, tmp_path):
    path = tmp_path / "file"
    stopped(epochs, path)
    predict(epochs / "sorted", path, lambda batch: [0] * len(batch["data"]), {"model": 2})
    assert {line["prediction"] for line in lines(path)} == {0}


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part.write_bytes(part.read_bytes()[:-3] + b"9}\n"),
        lambda part: part.write_bytes(part.read_bytes() + b"41\t{}\n"),
        lambda part: part.write_bytes(b""),
        lambda part: part.unlink(),
        lambda part: part.rename(part.with_name("part-00000001-00000009.jsonl")),
    ],
)
def test_damaged_parts_are_noticed_and_made_again(epochs, tmp_path, damage):
    path = tmp_path / "file"
    damage(stopped(epochs, path)[2])
    said = []
    predict(epochs / "sorted", path, said=said)
    assert "is damaged, and predicted again with what follows it" in said[0]
    assert said[1] == "going on after 2 batches"
    assert lines(path) == expected(6)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda batch: sums(batch)[1:], "returned a ndarray .3. for a batch of 4 sequences .s0"),
        (lambda batch: 7, "returned a int .no list. for a batch of 4 sequences"),
        (lambda batch: [float("nan")] * 4, "for s0\u2028.* that JSON cannot hold .Out of range float"),
        (lambda batch: np.full((4, 2), np.inf), "that JSON cannot hold"),
        (lambda batch: [{1}] * 4, "that JSON cannot hold .a set"),
        (lambda batch: ["\ud800"] * 4, "that JSON cannot hold"),
    ],
)
def test_results_that_are_not_one_json_value_each(epochs, tmp_path, result, message):
    with pytest.raises(SeqmillError, match=message):
        predict(epochs / "sorted", tmp_path / "file", result)
    assert not (tmp_path / "file").exists()


def test_corpora_that_hold_no_whole_sequences_or_not_all_are_refused(epochs, tmp_path):
    with pytest.raises(UsageError, match="is chunked; predictions are of whole sequences"):
        predict(epochs / "chunked", tmp_path / "file")
    with pytest.raises(UsageError, match=r"only 2 .partition_epoch. hold every sequence"):
        predict(epochs / "part", tmp_path / "file")


def test_predictions_on_an_object_store(epochs, tmp_path):
    predict(epochs / "sorted", tmp_path / "file")
    with pytest.raises(Stop):
        predict(epochs / "sorted", "memory://predictions/file", stopping(3))
    said = []
    predict(epochs / "sorted", "memory://predictions/file", said=said)
    assert said == ["going on after 3 batches"]
    assert files.read_bytes("memory://predictions/file") == (tmp_path / "file").read_bytes()
    assert files.list_names("memory://predictions") == ["file"]


@pytest.mark.parametrize("folder", ["", "memory://predictions-free"])
def test_only_earlier_predictions_are_replaced(epochs, tmp_path, folder):
    path = f"{folder or tmp_path}/file"
    for content in (
        b"notes",
        b'{"seq_tag":"a"}\n',
        b'{"seq_tag":"a","data":1}',
        b'{"seq_tag": "a","prediction":1}',
    ):
        with files.write_atomically(path) as file:
            file.write(content)
        with pytest.raises(UsageError, match="file: holds no earlier predictions, so it is not replaced"):
            predict(epochs / "sorted", path)
        assert files.read_bytes(path) == content and files.list_names(files.parent(path)) == ["file"]
    for content in (b"", b'{"seq_tag":"\\"]\xc3\xa4","prediction":[1]}\n'):
        with files.write_atomically(path) as file:
            file.write(content)
        predict(epochs / "sorted", path)
        assert [orjson.loads(line) for line in files.read_bytes(path).splitlines()] == expected(6)


def test_what_came_meanwhile_is_not_replaced_and_nothing_is_lost(epochs, tmp_path):
    path = tmp_path / "file"

    def function(batch):
        path.write_text("notes")
        return sums(batch)

    with pytest.raises(UsageError, match="is not replaced"):
        predict(epochs / "sorted", path, function)
    assert path.read_text() == "notes"
    path.unlink()
    predict(epochs / "sorted", path, stopping(0))
    assert lines(path) == expected(6)


def test_a_folder_of_parts_that_holds_other_files_is_left_alone(epochs, tmp_path):
    other = tmp_path / "file.parts" / "notes.txt"
    other.parent.mkdir()
    other.write_text("notes")
    with pytest.raises(UsageError, match=r"file\.parts: .* holds 'notes\.txt', which is none of them"):
        predict(epochs / "sorted", tmp_path / "file")
    assert other.read_text() == "notes" and not (tmp_path / "file").exists()


def test_one_at_a_time(epochs, tmp_path):
    path = tmp_path / "file"
    with only_writer(f"{path}.parts", "prediction"), pytest.raises(SeqmillError, match="another prediction"):
        predict(epochs / "sorted", path)
