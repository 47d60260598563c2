"""Training killed with SIGKILL at random moments until it is through equals training never killed."""

import multiprocessing
import os
import random
import time
from pathlib import Path

import kill_target
import numpy as np
import orjson
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus

from seqmill.trainer import checkpoints, scores

KILLS = int(os.environ.get("SEQMILL_KILLS", "20"))


@pytest.fixture(scope="module")
def context():
    """Processes that begin with everything imported: they fork from a server that is started once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_target", "seqmill.trainer.loop"])
    return context


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("epochs")
    return (
        write_corpus(folder / "train", regression_epochs([3, 5, 2, 7, 4, 3]), SPECS),
        write_corpus(folder / "dev", regression_epochs([2], seed=5), SPECS),
    )


def start(context, corpora, folder):
    process = context.Process(target=kill_target.train_to_the_end, args=(*corpora, str(folder)))
    process.start()
    return process


@pytest.mark.slow
def test_killed_training_ends_bit_identical(context, corpora, tmp_path):
    straight = start(context, corpora, tmp_path / "straight")
    wait_for_training(straight, tmp_path / "straight")
    began = time.monotonic()
    straight.join()
    longest = time.monotonic() - began
    assert straight.exitcode == 0
    rng = random.Random(os.environ.get("SEQMILL_KILL_SEED", "0"))
    kills = rounds = 0
    epochs_at_kill = []
    while kills < KILLS:
        rounds += 1
        folder = tmp_path / f"killed-{rounds}"
        while not Path(f"{folder}.npz").exists():
            process = start(context, corpora, folder)
            wait_for_training(process, folder)
            process.join(rng.uniform(0, longest) if kills < KILLS else None)
            if process.is_alive():
                process.kill()
                kills += 1
                process.join()
                epochs_at_kill.append(check_folder(folder))
        check_equal(tmp_path / "straight.npz", Path(f"{folder}.npz"))
        assert_same_scores(tmp_path / "straight", folder)
    print(f"{kills} kills in {rounds} trainings; newest checkpoint at each: {epochs_at_kill}")
    assert len(set(epochs_at_kill)) > 2


def wait_for_training(process, folder):
    """Until the training holds its lock: building the model is not what is to be killed."""
    while process.is_alive():
        lock = folder / ".lock"
        if lock.exists() and lock.read_text() == str(process.pid):
            return
        time.sleep(0.01)


def check_folder(folder):
    """Whatever moment it was: no broken checkpoint, and scores that can be read. The newest epoch."""
    found, broken = checkpoints.find(str(folder))
    assert broken == []
    path = folder / scores.FILE_NAME
    if path.exists():
        scores.from_json(orjson.loads(path.read_bytes()), str(path))
    return max(found, default=0)


def check_equal(straight, killed):
    with np.load(straight) as a, np.load(killed) as b:
        assert a.files == b.files and len(a.files) > 15
        for name in a.files:
            assert a[name].tobytes() == b[name].tobytes()


def assert_same_scores(straight, killed):
    assert scores.read(str(straight)).epochs == scores.read(str(killed)).epochs
