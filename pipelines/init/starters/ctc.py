"""A model to begin with: sound to text by convolutions and CTC, scored by the error rate ``cer``.

Written by `seqmill init --model`; the file is yours. docs/training.md says what else it may hold.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import seqmill

WIDTH = 160  # of the vectors between the layers: wider for more data
NUM_BLOCKS = 5  # more for a longer view of what is before and behind
DROPOUT = 0.2  # more where the score on dev is far behind that on train
LEARNING_RATE = 1e-3
SUBSAMPLING = 2  # frames for each output; a text must not have more labels than there are outputs
BLANK = 0  # of CTC; <pad> has this number too


def build(manifest: seqmill.Manifest) -> keras.Model:
    """Frames [B, T, D] to the scores of labels [B, T / SUBSAMPLING, labels]."""
    data = keras.Input((None, *manifest.data_keys["data"].feature_shape), name="data")
    lengths = keras.Input((), dtype="int32", name="data_lengths")
    x = layers.LayerNormalization(center=False)(data)  # padding stays zero
    x = layers.Conv1D(WIDTH, 11, strides=SUBSAMPLING, padding="same", activation="relu")(x)
    for _ in range(NUM_BLOCKS):
        y = ZeroPadding()(layers.LayerNormalization()(x), lengths)
        y = layers.Conv1D(WIDTH, 9, padding="same", activation="relu")(y)
        x = layers.add([x, layers.Dropout(DROPOUT)(y)])
    scores = layers.Dense(manifest.data_keys["classes"].num_labels)(layers.LayerNormalization()(x))
    model = CtcModel({"data": data, "data_lengths": lengths}, scores)
    model.compile(keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0), jit_compile=False)
    return model


def batch_to_xy(batch: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the model is given, and what it should find."""
    x = {name: batch[name] for name in ("data", "data_lengths")}
    return x, {name: batch[name] for name in ("classes", "classes_lengths")}


def predict(model: keras.Model, batch: dict[str, Any], corpus: seqmill.Corpus) -> list[str]:
    """The text of each sequence, for `seqmill predict`."""
    key = corpus.manifest.data_keys["classes"]
    labels = seqmill.read_vocab(f"{corpus.folder}/{key.vocab}").labels
    between = "" if key.type == "chars" else " "
    return [between.join(labels[label] for label in row) for row in decode(model, batch)]


def extra_scores(model: keras.Model, corpus: seqmill.Corpus) -> dict[str, float]:
    """``cer``: labels wrong, missing and too many, as a share of those that are right."""
    wrong = number = 0
    for batch in seqmill.dataset(corpus, 1).as_numpy_iterator():
        labels = zip(batch["classes"], batch["classes_lengths"], strict=True)
        for found, (right, length) in zip(decode(model, batch), labels, strict=True):
            wrong += edit_distance(found, right[:length].tolist())
            number += int(length)
    return {"cer": wrong / max(number, 1)}


def decode(model: keras.Model, batch: dict[str, Any]) -> list[list[int]]:
    """The best label of each output, repetitions and blanks removed."""
    scores = model.predict_on_batch({name: batch[name] for name in ("data", "data_lengths")})
    found = []
    for row, num_frames in zip(scores.argmax(-1), batch["data_lengths"], strict=True):
        labels = row[: num_outputs(num_frames)]
        changed = np.concatenate(([True], labels[1:] != labels[:-1]))
        found.append(labels[changed & (labels != BLANK)].tolist())
    return found


def edit_distance(found: list[int], right: list[int]) -> int:
    """The fewest labels to change, put in or leave out that make one sequence the other."""
    costs = list(range(len(right) + 1))
    for row, one in enumerate(found, 1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(right, 1):
            best = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (one != other))
            diagonal, costs[column] = costs[column], best
    return costs[-1]


def num_outputs(num_frames: Any) -> Any:
    """Outputs for that many frames."""
    return (num_frames + SUBSAMPLING - 1) // SUBSAMPLING


class CtcModel(keras.Model):
    """A model whose outputs are aligned with the labels by CTC."""

    several_devices = True  # the loss below is right on any number of them

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The CTC loss for each label, a mean over sequences."""
        num_labels = tf.maximum(y["classes_lengths"], 1)
        # A row without a label (one that fills up a batch for several devices) gets one: CTC wants it.
        place = tf.where(y["classes_lengths"] == 0, 0, -1)
        classes = y["classes"] + tf.one_hot(place, tf.shape(y["classes"])[1], dtype=y["classes"].dtype)
        labels = tf.sparse.from_dense(classes)  # far faster on a CPU than dense ones
        lengths = tf.maximum(num_outputs(x["data_lengths"]), 1)
        loss = tf.nn.ctc_loss(labels, y_pred, None, lengths, logits_time_major=False, blank_index=BLANK)
        return seqmill.mean_over_batch(loss / ops.cast(num_labels, loss.dtype), sample_weight)


class ZeroPadding(layers.Layer):
    """Sets outputs [B, T', D] to zero where the inputs, of ``lengths`` [B], are padding."""

    def call(self, outputs: Any, lengths: Any) -> Any:
        """The outputs; a sequence's do not depend on what it is padded with."""
        is_true = ops.arange(ops.shape(outputs)[1])[None] < num_outputs(lengths)[:, None]
        return outputs * ops.cast(is_true, outputs.dtype)[..., None]
