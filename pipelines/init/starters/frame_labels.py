"""A model to begin with: a label for every frame of a sequence; scored by ``accuracy``.

Written by `seqmill init --model`; the file is yours. docs/training.md says what else it may hold.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import seqmill

WIDTH = 128  # of the vectors between the layers: wider for more data
DROPOUT = 0.1
LEARNING_RATE = 1e-3


def build(manifest: seqmill.Manifest) -> keras.Model:
    """Frames [B, T, D] or labels [B, T] to the scores of labels [B, T, labels]."""
    spec = manifest.data_keys["data"]
    shape = (None, *spec.feature_shape)
    data = keras.Input(shape, name="data", dtype="float32" if spec.num_labels is None else "int32")
    lengths = keras.Input((), dtype="int32", name="data_lengths")
    if spec.num_labels is not None:
        x = layers.Embedding(spec.num_labels, WIDTH)(data)
    else:
        x = layers.LayerNormalization()(data if spec.feature_shape else data[..., None])
    is_true = IsTrue()(data, lengths)
    for _ in range(2):
        both = layers.Bidirectional(layers.GRU(WIDTH, return_sequences=True))
        x = layers.Dropout(DROPOUT)(both(x, mask=is_true))
    scores = layers.Dense(manifest.data_keys["classes"].num_labels)(x)
    model = keras.Model([data, lengths], scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=False)
    return model


def predict(model: keras.Model, batch: dict[str, Any]) -> list[list[int]]:
    """The labels' numbers of each sequence, for `seqmill predict`."""
    found = model.predict_on_batch([batch["data"], batch["data_lengths"]]).argmax(-1)
    return [row[:length].tolist() for row, length in zip(found, batch["data_lengths"], strict=True)]


class IsTrue(layers.Layer):
    """Which frames [B, T] are no padding."""

    def call(self, data: Any, lengths: Any) -> Any:
        """True for frames, False for padding."""
        return ops.arange(ops.shape(data)[1])[None] < lengths[:, None]
