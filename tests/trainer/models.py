"""The small model that the trainer's tests train."""

from __future__ import annotations

import keras


def build(manifest=None, learning_rate: float = 0.01, optimizer=None) -> keras.Model:
    """Dropout, Adam with a learning-rate schedule, labels per frame."""
    data = keras.Input((None, 3), name="data")
    hidden = keras.layers.Dense(16, activation="relu")(data)
    hidden = keras.layers.Dropout(0.3)(hidden)
    hidden = keras.layers.LayerNormalization()(hidden)
    model = keras.Model(data, keras.layers.Dense(5)(hidden))
    schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, 10, 0.9)
    model.compile(
        optimizer or keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    return model
