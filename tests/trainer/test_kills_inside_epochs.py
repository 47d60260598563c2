"""Trainings killed with SIGKILL at random moments, inside epochs too, end as one that was never killed."""

import os
import subprocess
import sys
from pathlib import Path

import kills
import orjson
import pytest

SEED = os.environ.get("SEQMILL_KILL_SEED", "0")

OF_TENSORFLOW = [
    "two optimizers",
    "LoRA",
    "mixed_float16",
    "custom train_step",
    "use_ema",
    "EarlyStopping with best weights",
    "callback with list state",
    "accumulated, steps_per_execution",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "num_kills"),
    [
        ("callback with list state", 2),
        *(pytest.param(kind, 12, marks=pytest.mark.long) for kind in OF_TENSORFLOW),
    ],
)
def test_killed_inside_epochs(helpers, corpora, tmp_path, kind, num_kills):
    row = kills.kill_often(helpers, kind, corpora, tmp_path, num_kills, SEED)
    print(row)
    assert row.is_identical
    assert row.kills == num_kills


@pytest.mark.long
def test_killed_inside_epochs_on_jax():
    command = [sys.executable, str(Path(kills.__file__)), "JAX", "12", SEED]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    row = orjson.loads(ended.stdout or "{}")
    print(row)
    assert row.get("is_identical"), ended.stderr
