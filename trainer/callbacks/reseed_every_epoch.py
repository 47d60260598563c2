"""Randomness that depends on the seed and the epoch alone, so that resuming changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context


class ReseedEveryEpoch(keras.callbacks.Callback):
    """Sets all seeds from (seed, epoch) when an epoch begins.

    These are Python's, NumPy's and the backend's global ones and the state of every
    ``keras.random.SeedGenerator`` in the model (dropout layers have one each).

    Args:
        seed: A whole number of at least 0.
    """

    def __init__(self, seed: int):
        super().__init__()
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"seed: expected a whole number of at least 0, got {seed!r}")
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reseeds for epoch index ``epoch`` (from 0)."""
        generator = np.random.SeedSequence([self._seed, epoch]).generate_state
        states = seed_states(self.model)
        numbers = [int(number) & 0x7FFFFFFF for number in generator(len(states) + 1)]
        with _compiled_graphs_kept():
            keras.utils.set_random_seed(numbers[0])
        for state, number in zip(states, numbers[1:], strict=True):
            state.assign(np.array([number, 0], np.uint32))


def seed_states(model: keras.Model) -> list[Any]:
    """The state variables of all seed generators in a model, in the model's order."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


@contextmanager
def _compiled_graphs_kept() -> Iterator[None]:
    """Lets ``tf.random.set_seed`` set the seed only.

    It also drops all compiled graphs, because a random operation in them keeps its own state. Making them
    anew takes a second an epoch or more, for operations that no Keras layer uses.
    """

    def set_seed(seed: int) -> None:
        eager = context.context()
        eager._seed, eager._rng = seed, random.Random(seed)

    original, tf.random.set_seed = tf.random.set_seed, set_seed
    try:
        yield
    finally:
        tf.random.set_seed = original
