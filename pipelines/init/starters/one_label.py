"""A model to begin with: a sequence to one label, by its mean over time; scored by ``accuracy``.

Written by `seqmill init --model`; the file is yours. docs/training.md says what else it may hold.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

import seqmill

WIDTH = 64  # of the vectors between the layers: wider for more data
NUM_BLOCKS = 2
DROPOUT = 0.1
LEARNING_RATE = 1e-3


def build(manifest: seqmill.Manifest) -> keras.Model:
    """Frames [B, T, D] or labels [B, T] to the scores of one label [B, 1, labels]."""
    spec = manifest.data_keys["data"]
    shape = (None, *spec.feature_shape)
    data = keras.Input(shape, name="data", dtype="float32" if spec.num_labels is None else "int32")
    lengths = keras.Input((), dtype="int32", name="data_lengths")
    if spec.num_labels is not None:
        x = layers.Embedding(spec.num_labels, WIDTH)(data)
    else:
        x = layers.LayerNormalization(center=False)(data if spec.feature_shape else data[..., None])
    for _ in range(NUM_BLOCKS):
        x = layers.Conv1D(WIDTH, 5, padding="same", activation="relu")(x)
        x = layers.Dropout(DROPOUT)(x)
    scores = layers.Dense(manifest.data_keys["classes"].num_labels)(MeanOverTime()(x, lengths))
    model = keras.Model([data, lengths], scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"], jit_compile=False)
    return model


def predict(model: keras.Model, batch: dict[str, Any], corpus: seqmill.Corpus) -> list[Any]:
    """The label of each sequence, for `seqmill predict`."""
    found = model.predict_on_batch([batch["data"], batch["data_lengths"]])[:, 0].argmax(-1)
    vocab = corpus.manifest.data_keys["classes"].vocab
    if vocab is None:
        return found.tolist()
    labels = seqmill.read_vocab(f"{corpus.folder}/{vocab}").labels
    return [labels[label] for label in found]


class MeanOverTime(layers.Layer):
    """The mean of the true frames, [B, T, D] to [B, 1, D]."""

    def call(self, frames: Any, lengths: Any) -> Any:
        """The means; what is padding does not count."""
        number = ops.arange(ops.shape(frames)[1])[None]
        is_true = ops.cast(number < lengths[:, None], frames.dtype)[..., None]
        total = ops.sum(frames * is_true, axis=1, keepdims=True)
        return total / ops.cast(ops.maximum(lengths, 1), frames.dtype)[:, None, None]
