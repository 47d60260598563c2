"""Trainings that must come to the same on any number of devices; as a script, on two of JAX.

python device_trainings.py TRAIN_FOLDER DEV_FOLDER MODEL_FOLDER ANSWER.npz
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np
import tensorflow as tf

from seqmill import SeqmillError, mean_over_batch, open_corpus, train
from seqmill.trainer.devices import devices_scope
from seqmill.trainer.feed import Feed
from seqmill.trainer.fill_rows import filled, real_rows
from seqmill.trainer.state.model_state import slots


class WholeSequences(keras.Model):
    """A loss over whole sequences of its own, as CTC is."""

    several_devices = True

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Sequences count alike, whatever their length."""
        per_frame = keras.losses.sparse_categorical_crossentropy(y["classes"], y_pred, from_logits=True)
        per_frame *= keras.ops.cast(y["mask"], per_frame.dtype)
        lengths = keras.ops.cast(keras.ops.maximum(y["lengths"], 1), per_frame.dtype)
        return mean_over_batch(keras.ops.sum(per_frame, -1) / lengths, sample_weight)


def frames(reduction="mean_with_sample_weight"):
    """A loss per frame with weights; clipped gradients, a regulariser, both kinds of metrics."""
    return _compiled(*_layers(regularizer="l2"), reduction)


def masked():
    """A mask that Keras knows of, and no weights."""
    data, scores = _layers(keras.layers.Masking())
    return _compiled(data, scores, "sum_over_batch_size")


def whole_sequences():
    """A ``compute_loss`` of its own."""
    model = WholeSequences(*_layers())
    model.compile(_optimizer())
    return _set(model)


def without_weights(batch):
    """No sample weights."""
    return batch["data"], batch["classes"]


def with_lengths(batch):
    """What ``WholeSequences`` needs, and no sample weights."""
    y = {"classes": batch["classes"], "lengths": batch["classes_lengths"], "mask": batch["classes_mask"]}
    return batch["data"], y


KINDS = {
    "frames": (frames, None),
    "sum": (lambda: frames("sum"), None),
    "masked": (masked, without_weights),
    "whole": (whole_sequences, with_lengths),
}


def trained(kind, corpora, folder, num_epochs=1, model=None, stop_after=None):
    """Trains a model, from its beginning or a checkpoint: all its variables, all scores, what was said."""
    build, batch_to_xy = KINDS[kind]
    model, lines = model or build(), []
    history = train(
        model,
        *corpora,
        num_epochs=num_epochs,
        folder=str(folder),
        batch_to_xy=batch_to_xy,
        distinct_epochs=1,
        stop_after=stop_after,
        say=lines.append,
    )
    scores = [v for by_corpus in history.epochs.values() for s in by_corpus.values() for v in s.values()]
    variables = np.concatenate([slot.array().ravel().astype("f8") for slot in slots(model)])
    return {"variables": variables, "scores": np.array(scores), "lines": np.array(lines)}


def on_two_devices(corpora, one_device, folder, answer):
    """On two of TensorFlow's: every kind; stopped and resumed; what one device began.

    Args:
        corpora: Folders of train and dev.
        one_device: Model folder of one epoch of "frames" on one device.
        folder: For model folders.
        answer: The file that takes everything by name.
    """
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    with devices_scope("all"):
        found = {"rows": _rows_of_all_devices(corpora[0])}
        found |= _named("whole", trained("whole", corpora, f"{folder}/whole"))
        found |= _named("masked", trained("masked", corpora, f"{folder}/masked"))
        found |= _named("sum", trained("sum", corpora, f"{folder}/sum"))
        model = frames()
        at_begin = [slot.array() for slot in slots(model)]

        def again(where, num_epochs, stop_after=None):
            for slot, value in zip(slots(model), at_begin, strict=True):
                slot.variable.assign(value)
            return trained("frames", corpora, where, num_epochs, model, stop_after)

        found |= _named("frames", again(f"{folder}/frames", 1))
        found |= _named("resumed", again(f"{folder}/frames", 2))
        found |= _named("straight", again(f"{folder}/straight", 2))
        found |= _named("stopped inside", again(f"{folder}/inside", 2, stop_after=0.1))
        found |= _named("resumed inside", again(f"{folder}/inside", 2))
        found |= _named("taken over", again(one_device, 2))
        with_loss = keras.Sequential([keras.Input((None, 3)), keras.layers.ActivityRegularization(0.1)])
        with_loss.compile("sgd", "mse")
    try:
        train(with_loss, corpora[0], num_epochs=1, folder=f"{folder}/refused")
    except SeqmillError as error:
        found["refused"] = str(error)
    np.savez(answer, **found)


def _named(name, results):
    return {f"{name}/{what}": result for what, result in results.items()}


def _rows_of_all_devices(folder):
    """The frames of each sequence that a device is given, in the order of batches and devices."""
    corpus = open_corpus(folder)
    batch_to_xy = filled(lambda batch: (batch["data"], batch["classes"]), 2)
    strategy = tf.distribute.get_strategy()
    rows = []
    with Feed(corpus, batch_to_xy).epoch(1) as data:
        for batch in strategy.experimental_distribute_dataset(data):
            parts = [strategy.experimental_local_results(part) for part in batch]
            for x, _, weights in zip(*parts, strict=True):
                rows += [row.numpy().sum() for row, real in zip(x, real_rows(weights), strict=True) if real]
    return np.array(rows)


def _layers(*first, regularizer=None):
    data = keras.Input((None, 3), name="data")
    hidden = data
    for layer in first:
        hidden = layer(hidden)
    hidden = keras.layers.Dense(8, activation="tanh", kernel_regularizer=regularizer)(hidden)
    return data, keras.layers.Dense(5)(hidden)


def _compiled(data, scores, reduction):
    model = keras.Model(data, scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    model.compile(_optimizer(), loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    return _set(model)


def _optimizer():
    return keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5)


def _set(model):
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.standard_normal(variable.shape))
    return model


def _as_script(train_folder, dev_folder, folder, answer):
    with devices_scope(2):
        results = trained("frames", (train_folder, dev_folder), folder)
    np.savez(answer, **results)


if __name__ == "__main__":
    _as_script(*sys.argv[1:])
