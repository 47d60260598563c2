"""Speech to characters: log-mel features, convolutions, CTC; character error rate."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from rapidfuzz.distance import Levenshtein

from seqmill import mean_over_batch
from seqmill.trainer.epochs import dataset

WIDTH, NUM_BLOCKS, SUBSAMPLING, DROPOUT, BLANK = 160, 5, 2, 0.2, 0


class CtcModel(keras.Model):
    """A model whose outputs [B, T', labels] are aligned with the labels by CTC; blank is 0."""

    several_devices = True  # compute_loss is right on any number of them

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The CTC loss, a mean over sequences of the loss per label.

        ``keras.ops.ctc_loss`` gives the same, but on a CPU TensorFlow takes far longer for dense labels.
        """
        classes, num_labels = y["classes"], tf.maximum(y["classes_lengths"], 1)
        # Rows that fill a batch up for several devices have no label and no frame: CTC wants one of each.
        place = tf.where(y["classes_lengths"] == 0, 0, -1)
        labels = tf.sparse.from_dense(classes + tf.one_hot(place, tf.shape(classes)[1], dtype=classes.dtype))
        lengths = tf.maximum(num_outputs(x["data_lengths"]), 1)
        loss = tf.nn.ctc_loss(labels, y_pred, None, lengths, logits_time_major=False, blank_index=BLANK)
        return mean_over_batch(loss / ops.cast(num_labels, loss.dtype), sample_weight)


class ZeroPadding(layers.Layer):
    """Sets outputs [B, T', …] to zero where the inputs, of ``lengths`` [B], are padding."""

    def call(self, outputs, lengths):
        """The outputs; a sequence's do not depend on what it is padded with."""
        is_true = ops.arange(ops.shape(outputs)[1])[None] < num_outputs(lengths)[:, None]
        return outputs * ops.cast(is_true, outputs.dtype)[..., None]


def build(manifest) -> keras.Model:
    """Log-mel features [B, T, mel bins] to scores of characters [B, T', characters], T' half of T."""
    spec = manifest.data_keys["data"]
    data = keras.Input((None, *spec.feature_shape), name="data")
    lengths = keras.Input((), dtype="int32", name="data_lengths")
    x = layers.LayerNormalization(center=False)(data)  # padding stays zero
    x = layers.Conv1D(WIDTH, 11, strides=SUBSAMPLING, padding="same", activation="relu")(x)
    for _ in range(NUM_BLOCKS):
        y = ZeroPadding()(layers.LayerNormalization()(x), lengths)
        y = layers.Conv1D(WIDTH, 9, padding="same", activation="relu")(y)
        x = layers.add([x, layers.Dropout(DROPOUT)(y)])
    scores = layers.Dense(manifest.data_keys["classes"].num_labels)(layers.LayerNormalization()(x))
    model = CtcModel({"data": data, "data_lengths": lengths}, scores)
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), jit_compile=False)
    return model


def batch_to_xy(batch):
    """Features and labels, each with their lengths; CTC has no weights per frame."""
    x = {name: batch[name] for name in ("data", "data_lengths")}
    return x, {name: batch[name] for name in ("classes", "classes_lengths")}


def extra_scores(model, corpus) -> dict[str, float]:
    """The character error rate ``cer`` on a corpus: edit distance over the length of the transcript."""
    errors = length = 0
    for batch in dataset(corpus, 1).as_numpy_iterator():
        labels = zip(batch["classes"], batch["classes_lengths"], strict=True)
        for found, (right, num_labels) in zip(decode(model, batch), labels, strict=True):
            errors += Levenshtein.distance(found, right[:num_labels].tolist())
            length += int(num_labels)
    return {"cer": errors / length}


def decode(model, batch) -> list[list[int]]:
    """The best label of each frame, repetitions and blanks removed."""
    scores = model.predict_on_batch({name: batch[name] for name in ("data", "data_lengths")})
    found = []
    for row, num_frames in zip(scores.argmax(-1), num_outputs(batch["data_lengths"]), strict=True):
        labels = row[:num_frames]
        changed = np.concatenate(([True], labels[1:] != labels[:-1]))
        found.append(labels[changed & (labels != BLANK)].tolist())
    return found


def num_outputs(num_frames):
    """Outputs for that many frames."""
    return (num_frames + SUBSAMPLING - 1) // SUBSAMPLING
