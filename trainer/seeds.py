"""Randomness that depends on the seed and the epoch alone, so that resuming changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


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
        keras.utils.set_random_seed(numbers[0])
        for state, number in zip(states, numbers[1:], strict=True):
            state.assign(np.array([number, 0], np.uint32))


def seed_states(model: keras.Model) -> list[Any]:
    """The state variables of all seed generators in a model, in the model's order."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
