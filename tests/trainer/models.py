"""The small model that the trainer's tests train."""

from __future__ import annotations

import functools

import keras
import numpy as np

OPTIMIZERS = {
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "averages": lambda: keras.optimizers.Adam(0.01, use_ema=True),
}


def build(manifest=None, optimizer: str = "schedule") -> keras.Model:
    """Dropout, labels per frame."""
    data = keras.Input((None, 3), name="data")
    hidden = keras.layers.Dense(16, activation="relu")(data)
    hidden = keras.layers.Dropout(0.3)(hidden)
    hidden = keras.layers.LayerNormalization()(hidden)
    model = keras.Model(data, keras.layers.Dense(5)(hidden))
    model.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    return model


def fresh(optimizer: str = "schedule") -> keras.Model:
    """A model as it is before training: the one of this process, set back. Its graphs are compiled once."""
    model, initial = _only_model(optimizer)
    for variable, value in zip(_variables(model), initial, strict=True):
        variable.assign(value)
    model.stop_training = False
    return model


def values(model: keras.Model) -> list[np.ndarray]:
    """A copy of every variable of model and optimizer."""
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in _variables(model)]


@functools.cache
def _only_model(optimizer: str) -> tuple[keras.Model, list[np.ndarray]]:
    keras.utils.set_random_seed(1)
    model = build(optimizer=optimizer)
    return model, values(model)


def _variables(model: keras.Model) -> list:
    return [*model.variables, *model.optimizer.variables]
