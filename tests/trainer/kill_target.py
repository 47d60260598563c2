"""The training that test_resume_after_kill.py kills."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import keras
import models
import numpy as np

from seqmill.trainer import train

NUM_EPOCHS = 6


def train_to_the_end(train_folder: str, dev_folder: str, folder: str) -> None:
    """Trains from wherever ``folder`` stands, then writes every variable to ``<folder>.npz``."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stderr.fileno())
    keras.utils.set_random_seed(1)
    model = models.build()
    train(
        model,
        train_folder,
        dev_folder,
        num_epochs=NUM_EPOCHS,
        folder=folder,
        cleanup_old_models={"keep_last_n": 2, "keep_best_n": 1, "keep": []},
        callbacks=[_Slowly()],
        say=lambda line: None,
    )
    everything = [*model.variables, *model.optimizer.variables]
    temporary = Path(f"{folder}.tmp.npz")
    np.savez(temporary, *[keras.ops.convert_to_numpy(variable.value) for variable in everything])
    temporary.rename(f"{folder}.npz")


class _Slowly(keras.callbacks.Callback):
    """Stretches epochs, so that kills hit training as well as saving."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)
