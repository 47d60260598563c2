"""The generators of random numbers that belong to nobody: where they are in the middle of an epoch."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random import seed_generator
from tensorflow.python.eager import context
from tensorflow.python.ops import stateful_random_ops

from seqmill.trainer.state.attributes import Read
from seqmill.trainer.state.values import Arrays, decode, encode


def random_state(arrays: Arrays) -> dict[str, Any]:
    """Where the global generators of Python, NumPy, Keras and TensorFlow are, as JSON.

    Args:
        arrays: Takes the arrays in it.
    """
    eager = context.context()._rng
    found = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "keras": _if_there(_keras_generator(), lambda one: one.state),
        "tensorflow": _if_there(eager, lambda one: one.getstate()),
        "tensorflow_generator": _if_there(stateful_random_ops.global_generator, lambda one: one.state),
    }
    return {name: encode(value, arrays) for name, value in found.items()}


def restore_random_state(state: dict[str, Any], read: Read) -> None:
    """Puts the global generators where they were.

    Args:
        state: From ``random_state``, of the same epoch: seeds are those that the epoch began with.
        read: Reads an array of the checkpoint.
    """
    if state["keras"] is not None:
        decode(state["keras"], read, seed_generator.global_seed_generator().state)
    if state["tensorflow"] is not None:
        context.context()._rng = _generator_at(decode(state["tensorflow"], read))
    if state["tensorflow_generator"] is not None:
        decode(state["tensorflow_generator"], read, stateful_random_ops.get_global_generator().state)
    np.random.set_state(decode(state["numpy"], read))
    random.setstate(decode(state["python"], read))  # last: those above draw seeds from it where they are made


def _keras_generator() -> keras.random.SeedGenerator | None:
    return global_state.get_global_attribute(seed_generator.GLOBAL_SEED_GENERATOR)


def _generator_at(state: Any) -> random.Random:
    generator = random.Random()
    generator.setstate(state)
    return generator


def _if_there(holder: Any, get: Any) -> Any:
    return None if holder is None else get(holder)
