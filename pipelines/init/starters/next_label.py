"""A model to begin with: each label of a text from those before it; scored by ``accuracy``.

Written by `seqmill init --model`; the file is yours. docs/training.md says what else it may hold.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

import seqmill

WIDTH = 128  # of the vectors between the layers: wider for more data
DROPOUT = 0.1
LEARNING_RATE = 2e-3


def build(manifest: seqmill.Manifest) -> keras.Model:
    """Labels [B, T] to the scores of the one behind each [B, T, labels]."""
    num_labels = manifest.data_keys["data"].num_labels
    data = keras.Input((None,), dtype="int32", name="data")
    x = layers.Embedding(num_labels, WIDTH)(data)
    for _ in range(2):
        x = layers.Dropout(DROPOUT)(layers.GRU(WIDTH, return_sequences=True)(x))
    model = keras.Model({"data": data}, layers.Dense(num_labels)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=False)
    return model


def batch_to_xy(batch: dict[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """What the model is given, what it should find, and what of that counts: no padding."""
    labels = batch["data"]
    return {"data": labels[:, :-1]}, labels[:, 1:], batch["data_mask"][:, 1:]
