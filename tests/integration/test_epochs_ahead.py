"""Epochs written beside the training that reads them: the same training, on a disk that stays small."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import h5py
import psutil
import pytest
from seqmill_runs import tree, write_config, write_jsonl

from seqmill.transforms.batches.beside import Hearing, Writing

NUM_EPOCHS = 12
DATA = {"data": {"field": "x", "type": "floats"}, "classes": {"field": "y", "type": "words"}}
MODEL = """
import keras

def build(manifest):
    spec = manifest.data_keys["classes"]
    data = keras.Input((None, 2), name="data")
    hidden = keras.layers.Dropout(0.1)(keras.layers.Dense(8, activation="relu")(data))
    model = keras.Model(data, keras.layers.Dense(spec.num_labels)(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model
"""
SHORTLY = 60  # seconds; generous, as machines are shared


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead")
    for corpus, num_seqs in (("train", 60), ("dev", 10)):
        write_jsonl(folder / f"{corpus}.jsonl", [record(number) for number in range(num_seqs)])
    (folder / "model.py").write_text(MODEL)
    corpora = {c: {"format": "jsonl", "files": [f"{c}.jsonl"], "seq_tag": "id"} for c in ("train", "dev")}
    return write_config(
        folder, DATA, corpora, model="model.py:build", seq_ordering="laplace:.20", num_epochs=NUM_EPOCHS
    )


@pytest.fixture(scope="module")
def expected(config, silent_seqmill):
    """The weights of a training of which all epochs were there before."""
    silent_seqmill.succeeds("run", config)
    return weights(config.parent / "out")


def record(number):
    length = 2 + number % 7
    frames = [[(number * 5 + t) % 11 / 11, (number + t) % 2] for t in range(length)]
    labels = ["odd" if frame[1] else "even" for frame in frames]
    return {"id": f"seq-{number}", "x": frames, "y": " ".join(labels)}


def weights(output):
    """Per checkpoint its numbers, as bytes and without names: those of layers count on in a process."""
    found = {}
    for path in sorted(output.glob("model/epoch-*/model.weights.h5")):
        with h5py.File(path) as file:
            arrays = []
            file.visititems(lambda _, item, add=arrays.append: add(item) if hasattr(item, "dtype") else None)
            found[path.parent.name] = [array[()].tobytes() for array in arrays]
    return found


@contextmanager
def meanwhile(work):
    """Calls ``work()`` again and again beside the block, until it returns True."""
    ended = threading.Event()

    def repeat():
        while not ended.is_set() and not work():
            time.sleep(0.005)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def start(command, config, output, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", "seqmill.pipelines.main", command, config, f"--output={output}", *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def stored(output):
    return sorted(path.name for path in output.glob("epochs/train/epoch-*"))


def trained(output):
    return [path.name for path in output.glob("model/epoch-*")]


def writer(output):
    """The process that writes ahead, if it does."""
    said = Hearing(f"{output}/epochs/train", Writing).hear()
    return said and psutil.Process(said.speaker.process)


def ends(process):
    psutil.wait_procs([process], timeout=SHORTLY)
    return not process.is_running()


def test_a_training_with_epochs_ahead_is_the_same_on_a_small_disk(tmp_path, config, expected, seqmill):
    output, counts = tmp_path / "out", []
    flags = f"--output={output}", "--epochs_ahead=2"
    assert "bytes lie on disk at once, at most" in seqmill.succeeds("plan", config, *flags).err
    with meanwhile(lambda: counts.append(len(stored(output)))):
        seqmill.succeeds("run", config, *flags, "--num_epochs=8")
    assert weights(output) == {name: expected[name] for name in list(expected)[:8]}
    assert (max(counts), stored(output)) == (3, [])

    epochs = tree(output / "epochs")
    refused = seqmill("run", config, *flags, "--seed=5")
    refused.names("was trained with another order or seed: seed was", "start_epoch = 9")
    assert tree(output / "epochs") == epochs
    assert "nothing left to train" in seqmill.succeeds("run", config, *flags, "--num_epochs=8").out

    seqmill.succeeds("preprocess", config, *flags)
    assert stored(output) == ["epoch-0009", "epoch-0010", "epoch-0011"]
    for name in stored(output):
        assert tree(output / "epochs/train" / name) == tree(config.parent / "out/epochs/train" / name)
    assert "to come" in seqmill.succeeds("verify", output).err
    assert seqmill.succeeds("run", config, *flags).code == 0
    assert weights(output) == expected


def test_a_training_whose_writer_is_killed_ends_and_goes_on(tmp_path, config, expected, seqmill):
    output = tmp_path / "out"
    flags = f"--output={output}", "--epochs_ahead=1"

    def kill_writer():
        if (output / "model/epoch-0002").exists() and (process := writer(output)):
            process.kill()
            return True
        return False

    with meanwhile(kill_writer):
        ended = seqmill("run", config, *flags)
    ended.names("is not there, and process ", "which wrote ahead, is gone; `seqmill run` goes on")
    seqmill.succeeds("run", config, *flags)
    assert weights(output) == expected


def test_a_killed_training_takes_its_writer_with_it_and_goes_on(tmp_path, config, expected, seqmill):
    output = tmp_path / "out"
    training = start("run", config, output, "--epochs_ahead=2")
    while not (output / "model/epoch-0002").exists():
        assert training.poll() is None, training.communicate()[1]
        time.sleep(0.005)
    beside = psutil.Process(training.pid).children()
    training.kill()
    training.communicate()
    assert beside and all(map(ends, beside))
    assert len(weights(output)) < NUM_EPOCHS
    seqmill.succeeds("run", config, f"--output={output}", "--epochs_ahead=2")
    assert weights(output) == expected


def test_a_writer_that_was_started_by_itself_follows_a_training(tmp_path, config, expected, seqmill):
    output = tmp_path / "out"
    refused = seqmill("preprocess", config, f"--output={output}", "--follow")
    assert refused.code == 2
    refused.names("--follow needs epochs_ahead")
    following = start("preprocess", config, output, "--epochs_ahead=2", "--follow")
    while not (following.poll() is not None or writer(output)):
        time.sleep(0.01)
    seqmill.succeeds("train", config, f"--output={output}", "--epochs_ahead=2")
    said = following.communicate(timeout=SHORTLY)[1]
    assert following.returncode == 0
    assert "the training is over; its epochs are deleted" in said
    assert (weights(output), stored(output)) == (expected, [])


@pytest.mark.long
def test_twenty_kills_of_trainings_and_writers_change_nothing(tmp_path, config, silent_seqmill):
    """At random moments, of a training that is long enough to be killed so often."""
    rng, counts, num_killed = random.Random(3), [], {"training": 0, "writer": 0}
    output, num_epochs = tmp_path / "killed", "--num_epochs=250"
    silent_seqmill.succeeds("run", config, f"--output={tmp_path}/out", num_epochs)
    with meanwhile(lambda: counts.append(len(stored(output)))):
        while sum(num_killed.values()) < 20:
            training = start("run", config, output, num_epochs, "--epochs_ahead=2")
            if rng.random() < 0.7:  # once it trains
                begun = trained(output)
                while training.poll() is None and trained(output) == begun:
                    time.sleep(0.01)
            time.sleep(rng.uniform(0, 2))
            whom = rng.choice(["training", "writer"])
            process = writer(output) if whom == "writer" else psutil.Process(training.pid)
            if process is None:
                training.kill()
                whom = "training"
            else:
                process.kill()
            num_killed[whom] += 1
            said = training.communicate(timeout=2 * SHORTLY)[1]
            assert training.returncode == (1 if whom == "writer" else -signal.SIGKILL), said
            assert "Traceback" not in said
        silent_seqmill.succeeds("run", config, f"--output={output}", num_epochs, "--epochs_ahead=2")
    print(num_killed)
    assert max(counts) == 3
    assert weights(output) == weights(tmp_path / "out")
