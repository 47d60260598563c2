"""Runs trainings of the small model and compares what they arrive at."""

from __future__ import annotations

import models

from seqmill.trainer import train

SIZES = [3, 5, 2, 7, 4, 3]


def run(corpora, folder, num_epochs, model=None, **arguments):
    """Trains; returns every variable of model and optimizer, the scores, and the lines that were said."""
    model = model or models.fresh()
    lines = []
    history = train(model, *corpora, num_epochs=num_epochs, folder=str(folder), say=lines.append, **arguments)
    return models.values(model), history, lines


def assert_equal_bits(first, second):
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
