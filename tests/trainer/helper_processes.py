"""What tests run in processes of its own, each a function."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import keras
import models
import numpy as np
import stateful
from training_runs import save

from seqmill.pipelines.main import main
from seqmill.trainer import command, loop, train
from seqmill.trainer.state.model_state import slots
from seqmill.transforms.storage.errors import SeqmillError

assert command and loop  # imported before processes fork

NUM_EPOCHS = 6


def train_to_the_end(kind: str, train_folder: str, dev_folder: str, folder: str) -> None:
    """Trains from wherever ``folder`` stands, then writes every variable to ``<folder>.npz``.

    ``kind`` is "plain", or "state": two optimizers, a callback with lists and arrays, best weights.
    """
    _be_quiet()
    model = models.fresh() if kind == "plain" else stateful.two_optimizers()
    best = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    callbacks = [] if kind == "plain" else [stateful.Slow(), best]
    train(
        model,
        train_folder,
        dev_folder,
        num_epochs=NUM_EPOCHS,
        folder=folder,
        cleanup_old_models={"keep_last_n": 2, "keep_best_n": 1, "keep": []},
        callbacks=[_Slowly(), *callbacks],
        say=lambda line: None,
    )
    _write_variables(model, folder)


def follow_to_the_end(stream: str, folder: str, num_epochs: int) -> None:
    """Trains on so many windows from wherever ``folder`` stands, then writes all to ``<stream>.npz``."""
    _be_quiet()
    model = models.fresh()
    train(
        model,
        stream,
        num_epochs=num_epochs,
        folder=folder,
        follow=True,
        remove_windows=True,
        save_minutes=0.0005,
        callbacks=[_Slowly()],
        say=lambda line: None,
    )
    _write_variables(model, stream)


def run_command(arguments: list[str]) -> None:
    """What ``seqmill`` does with these arguments."""
    _be_quiet()
    main([str(argument) for argument in arguments])


def save_with_little_room(folder: str, answer: str) -> None:
    """Saves a checkpoint, then one with less room than it needs; writes how that failed to ``answer``."""
    _be_quiet()
    model = models.fresh()
    save(model, folder, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        save(model, folder, 2)
    except SeqmillError as error:
        Path(answer).write_text(str(error))


def exit_with_whether_beam_is_imported() -> None:
    """Exits with 1 where reading and training have imported apache-beam."""
    sys.exit("apache_beam" in sys.modules)


def _write_variables(model: keras.Model, name: str) -> None:
    """Writes every variable to ``<name>.npz``, which appears whole."""
    temporary = Path(f"{name}.tmp.npz")
    np.savez(temporary, *[slot.array() for slot in slots(model)])
    temporary.rename(f"{name}.npz")


def _be_quiet() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class _Slowly(keras.callbacks.Callback):
    """Stretches epochs, so that kills hit training as well as saving."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.005)
