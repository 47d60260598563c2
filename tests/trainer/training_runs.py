"""Runs trainings of the small model and compares what they arrive at."""

from __future__ import annotations

import models

from seqmill.trainer import load_checkpoint, train, write_checkpoint
from seqmill.trainer.state.model_state import ModelState

SIZES = [3, 5, 2, 7, 4, 3]


def run(corpora, folder, num_epochs, model=None, tell=None, **arguments):
    """Trains; returns every variable of model and optimizer, the scores, and the lines that were said."""
    model = model or models.fresh()
    lines = []
    say = tell or lines.append
    history = train(model, *corpora, num_epochs=num_epochs, folder=str(folder), say=say, **arguments)
    return models.values(model), history, lines


def save(model, folder, epoch, training="abc"):
    """Writes a checkpoint of a model alone."""
    arrays = {}
    content, _ = ModelState(model).describe(arrays)
    more = {"training": training, "callbacks": [], "moment": "ended"}
    return write_checkpoint.save(model, str(folder), epoch, {**content, **more}, arrays)


def load(model, checkpoint):
    """Sets a model to what a checkpoint holds."""
    load_checkpoint.load(ModelState(model), checkpoint, lambda line: None)


def assert_equal_bits(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
