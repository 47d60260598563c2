"""Training killed with SIGKILL at random moments until it is through equals training never killed."""

import os
import random
import time
from pathlib import Path

import helper_processes
import numpy as np
import orjson
import pytest

from seqmill.trainer import checkpoints, scores

SEED = os.environ.get("SEQMILL_KILL_SEED", "0")


def start(helpers, kind, corpora, folder):
    arguments = (kind, *corpora, str(folder))
    process = helpers.Process(target=helper_processes.train_to_the_end, args=arguments)
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "num_kills"),
    [
        ("state", 6),
        pytest.param("state", 60, marks=pytest.mark.long),
        pytest.param("plain", 60, marks=pytest.mark.long),
    ],
)
def test_killed_training_ends_bit_identical(helpers, corpora, tmp_path, kind, num_kills):
    straight = start(helpers, kind, corpora, tmp_path / "straight")
    wait_for_training(straight, tmp_path / "straight")
    began = time.monotonic()
    straight.join()
    longest = time.monotonic() - began
    assert straight.exitcode == 0
    rng = random.Random(SEED)
    kills = rounds = 0
    epochs_at_kill = []
    while kills < num_kills:
        rounds += 1
        folder = tmp_path / f"killed-{rounds}"
        while not Path(f"{folder}.npz").exists():
            process = start(helpers, kind, corpora, folder)
            wait_for_training(process, folder)
            if kills % 2:  # every other kill comes soon after a checkpoint, so that trainings get on
                wait_for_newer_checkpoint(process, folder)
            time_left = rng.uniform(0, longest / (helper_processes.NUM_EPOCHS if kills % 2 else 1))
            process.join(time_left if kills < num_kills else None)
            if process.is_alive():
                process.kill()
                kills += 1
                process.join()
                epochs_at_kill.append(check_folder(folder))
        check_equal(tmp_path / "straight.npz", Path(f"{folder}.npz"))
        assert_same_scores(tmp_path / "straight", folder)
    print(f"{kills} kills in {rounds} trainings; newest checkpoint at each: {epochs_at_kill}")
    assert len(set(epochs_at_kill)) > 1


def wait_for_training(process, folder):
    """Until the training holds its lock: building the model is not what is to be killed."""
    while process.is_alive():
        lock = folder / ".lock"
        if lock.exists() and f"(process {process.pid})" in lock.read_text():
            return
        time.sleep(0.01)


def wait_for_newer_checkpoint(process, folder):
    before = set(folder.glob("epoch-*"))
    while process.is_alive() and set(folder.glob("epoch-*")) <= before:
        time.sleep(0.005)


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
