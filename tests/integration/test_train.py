"""``seqmill run``, ``train`` and ``cleanup`` by the real command, from raw text to a trained model."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import orjson
import pytest
from seqmill_runs import tree, write_config, write_jsonl

MODEL = """
import keras

def build(manifest):
    spec = manifest.data_keys["classes"]
    data = keras.Input((None, 2), name="data")
    hidden = keras.layers.Dropout(0.1)(keras.layers.Dense(WIDTH, activation="relu")(data))
    model = keras.Model(data, keras.layers.Dense(spec.num_labels)(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
"""

MASKS = """
import tensorflow as tf

def callbacks(manifest, folder):
    tf.transpose([[True]])  # TensorFlow has something to say of that
    return []
"""

DATA = {"data": {"field": "x", "type": "floats"}, "classes": {"field": "y", "type": "words"}}


@pytest.fixture
def new_config(tmp_path):
    """Writes a corpus of frames with a label each, a model and their configuration; returns its path."""

    def new(width=8, bad_seq=None, **options):
        for corpus, num_seqs in (("train", 60), ("dev", 10)):
            records = [record(number, is_bad=number == bad_seq) for number in range(num_seqs)]
            write_jsonl(tmp_path / f"{corpus}.jsonl", records)
        (tmp_path / "model.py").write_text(f"WIDTH = {width}\n{MODEL}")
        corpora = {
            name: {"format": "jsonl", "files": [f"{name}.jsonl"], "seq_tag": "id"}
            for name in ("train", "dev")
        }
        options = {"model": "model.py:build", "seq_ordering": "laplace:.20", "num_epochs": 3, **options}
        return write_config(tmp_path, DATA, corpora, **options)

    return new


def record(number, is_bad=False):
    length = 2 + number % 7
    frames = [[(number * 5 + t) % 11 / 11, (number + t) % 2] for t in range(length)]
    if is_bad:
        frames[1][0] = 3e38  # finite; its product with a weight is not, sooner or later
        frames[1][1] = -3e38
    labels = ["odd" if frame[1] else "even" for frame in frames]
    return {"id": f"seq-{number}", "x": frames, "y": " ".join(labels)}


def test_run_looks_at_the_model_before_any_work(tmp_path, new_config, seqmill):
    config = new_config()
    for flag, message in (
        ("--model=none.py:build", "there is no file"),
        (f"--model={tmp_path}/model.py:biuld", "model.py defines no function 'biuld'"),
    ):
        refused = seqmill("run", config, flag)
        refused.names(message)
        assert (refused.code, refused.out) == (2, "")
    assert not (tmp_path / "out").exists()


def test_run_then_run_on(tmp_path, new_config, seqmill):
    config = new_config()
    first = seqmill.succeeds("run", config)
    assert [line.split("  ")[0] for line in first.out.splitlines()] == [f"epoch {e}/3" for e in (1, 2, 3)]
    assert "train loss" in first.out and "dev loss" in first.out
    refused = seqmill("train", config, "--num_epochs=5")
    refused.names("num_epochs = 5, but 3 epochs are stored", "seqmill preprocess")
    going_on = seqmill.succeeds("run", config, "--num_epochs=5")
    assert "epoch-0003" in going_on.out and "epoch 5/5" in going_on.out and "epoch 3/5" not in going_on.out
    epochs = orjson.loads((tmp_path / "out/model/scores.json").read_bytes())["epochs"]
    assert list(epochs) == ["1", "2", "3", "4", "5"]
    assert epochs["5"]["dev"]["loss"] < epochs["1"]["dev"]["loss"]

    assert "best: " in seqmill.succeeds("best", config).out
    seqmill("average", config, "--best=2", "--epochs=3").names("expected --best=N", "or --epochs=N,N")
    seqmill("average", config, "--epochs=3;4").names("--epochs=3;4: expected epochs separated by commas")
    assert "average of epochs 3, 5" in seqmill.succeeds("average", config, "--epochs=5,3").out
    seqmill.succeeds("export", config, "--checkpoint=average", f"--to={tmp_path}/mine")
    assert (tmp_path / "mine/model.keras").exists()

    policy = "--cleanup_old_models={keep_last_n = 1, keep_best_n = 1, keep = [2]}"
    assert "would delete" in seqmill.succeeds("cleanup", config, policy, "--dry_run").out
    assert (tmp_path / "out/model/epoch-0001").exists()
    seqmill.succeeds("cleanup", config, policy)
    assert sorted(p.name for p in (tmp_path / "out/model").glob("epoch-*")) == ["epoch-0002", "epoch-0005"]


def test_a_training_from_the_store_is_that_from_shards_and_goes_on_from_them(tmp_path, new_config, seqmill):
    config = new_config()
    seqmill.succeeds("run", config)
    expected = weights(tmp_path / "out")
    output = tmp_path / "without-shards"
    flags = f"--output={output}", "--read_from=store"
    seqmill.succeeds("run", config, *flags, "--num_epochs=2")
    assert weights(output) == {name: expected[name] for name in ("epoch-0001", "epoch-0002")}
    assert not list(output.glob("epochs/*/epoch-*"))
    for command in ("run", "train"):
        assert "nothing left to train" in seqmill.succeeds(command, config, *flags, "--num_epochs=2").out
    assert "changed since" not in seqmill.succeeds("run", config, f"--output={output}").out
    assert weights(output) == expected


def weights(output):
    """Per checkpoint its numbers, as bytes and without names: those of layers count on in a process."""
    found = {}
    for path in output.glob("model/epoch-*/model.weights.h5"):
        with h5py.File(path) as file:
            arrays = []
            file.visititems(lambda _, item, add=arrays.append: add(item) if hasattr(item, "dtype") else None)
            found[path.parent.name] = [array[()].tobytes() for array in arrays]
    return found


def test_another_order_of_the_data_is_refused(tmp_path, new_config, seqmill):
    config = new_config()
    seqmill.succeeds("run", config)
    before = tree(tmp_path / "out/model")
    refused = seqmill("run", config, "--num_epochs=4", "--seq_ordering=random")
    assert refused.code == 1
    refused.names("seq_ordering was 'laplace:.20', is 'random'", "start_epoch = 4")
    assert tree(tmp_path / "out/model") == before


def test_epochs_written_with_other_options_are_not_trained_on(tmp_path, new_config, seqmill):
    config = new_config()
    seqmill.succeeds("preprocess", config)
    refused = seqmill("train", config, "--batch_size=50")
    assert refused.code == 2
    refused.names(
        "corpus.train: batch_size is {'data': 50, 'classes': 50}", "'data': 100", "seqmill preprocess"
    )
    config.write_text(config.read_text().partition("[corpus.dev]")[0])
    (tmp_path / "out/epochs/dev/manifest.json").write_text("what is no longer configured is not read")
    assert "dev loss" not in seqmill.succeeds("train", config, "--num_epochs=1").out


def test_a_score_that_is_not_finite_fails_the_command(tmp_path, new_config, seqmill):
    config = new_config(bad_seq=33)
    failed = seqmill("run", config)
    assert failed.code == 1
    failed.names("epoch 1: ", "in step", "nonfinite-epoch-0001.json")
    autopsy = orjson.loads((tmp_path / "out/model/nonfinite-epoch-0001.json").read_bytes())
    (batch,) = autopsy["batches"]
    assert "seq-33" in batch["seq_tags"] and batch["nonfinite_data"] == []
    assert not list((tmp_path / "out/model").glob("epoch-*"))
    new_config()  # mended
    assert "epoch 3/3" in seqmill.succeeds("run", config).out


def test_no_space_for_a_checkpoint(new_disk, new_config, seqmill):
    small_disk = new_disk("4m")
    config = new_config(width=100_000, output=str(small_disk / "out"))
    failed = seqmill("run", config)
    assert failed.code == 1
    failed.names("model/epoch-0001: the checkpoint could not be written", "No space left on device")
    assert not list(small_disk.rglob("model/epoch-*")) and not list(small_disk.rglob("model/.tmp-*"))
    new_config(output=str(small_disk / "out"))  # a model that fits
    assert "epoch 3/3" in seqmill.succeeds("run", config).out


def test_a_time_limit_ends_with_0_and_the_same_command_goes_on(tmp_path, new_config, seqmill):
    config = new_config(num_epochs=2)
    ended = seqmill.succeeds("run", config, "--stop_after=0.01s", "--save_minutes=10")
    assert "ended, as stop_after asks" in ended.out
    assert "inside epoch 1, after 1 of its batches. The same command goes on from there." in ended.out
    assert not (tmp_path / "out/model/final").exists()
    for other in ("best", "cleanup"):  # they see whole epochs alone
        assert "step" not in seqmill(other, config).out
    with_other_options = seqmill.succeeds("run", config, "--stop_after=none", "--save_minutes=2.5")
    assert (
        "going on from" in with_other_options.out and "epoch-0001-step-000001 (1 of" in with_other_options.out
    )
    assert "nothing left to train" in seqmill.succeeds("train", config, "--stop_after=90m").out
    assert not list((tmp_path / "out/model").glob("*-step-*"))
    refused = seqmill("train", config, "--stop_after=soon")
    refused.names("stop_after: found 'soon'; expected a time such as")


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path, new_config, seqmill):
    config = new_config(num_epochs=100_000, save_interval=1)
    (tmp_path / "model.py").write_text(f"WIDTH = 8\n{MODEL}{MASKS}")
    command = [sys.executable, "-m", "seqmill.pipelines.main"]
    distinct = "--distinct_epochs=1"
    seqmill.succeeds("preprocess", config, distinct)
    with subprocess.Popen(
        [*command, "train", config, distinct],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},
    ) as process:
        wait_for(tmp_path / "out/model/epoch-0002/checkpoint.json", process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=180)
    assert process.returncode == 130, out
    assert "interrupted; the last checkpoint is that of epoch" in out
    assert "The same command goes on from there." in out and "Traceback" not in out
    assert not re.search("^[IWEF][0-9]{4} |^WARNING", out, re.MULTILINE), out  # of TensorFlow's own


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 180  # machines are shared
    while time.monotonic() < deadline:
        if path.exists():
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    raise AssertionError(f"{path} never came")
