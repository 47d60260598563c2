"""The trainings that are killed inside epochs: models and callbacks that hold all kinds of state."""

import random

import keras
import numpy as np
import stateful

from seqmill.trainer.state.model_state import slots


class Batchwise(keras.callbacks.Callback):
    """State in lists and numbers that changes with every batch, and that decides what follows."""

    def __init__(self):
        super().__init__()
        self.losses, self.smooth, self.best = [], None, {}

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append((batch, logs["loss"]))
        self.smooth = logs["loss"] if self.smooth is None else 0.9 * self.smooth + 0.1 * logs["loss"]
        optimizer = self.model.optimizer
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        optimizer.learning_rate.assign(0.01 / (1 + 0.01 * len(self.losses) + self.smooth))

    def on_epoch_end(self, epoch, logs=None):
        self.best[epoch] = (logs["loss"], min(self.losses))


class DrawsGlobally(keras.callbacks.Callback):
    """Takes random numbers from the generators of Python and NumPy that belong to nobody."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def on_train_batch_end(self, batch, logs=None):
        noise = np.random.standard_normal() + random.random() + float(keras.random.normal(()))
        self.drawn.append(noise)
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        bias = self.model.trainable_variables[-1]
        bias.assign(bias + 1e-3 * noise)


class OwnStep(keras.Model):
    """A step of its own, with noise on the gradients, a metric of its own and one of ``compile``."""

    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(5)])
        self.seeds = keras.random.SeedGenerator(3)
        self.norm = keras.metrics.Mean("norm")

    def call(self, inputs, training=None):
        return self.inner(inputs["data"])

    def train_step(self, data):
        import tensorflow as tf

        x, y, weights = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(x, y, predicted, weights)
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients = [g + 1e-3 * keras.random.normal(g.shape, seed=self.seeds) for g in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.norm.update_state(tf.linalg.global_norm(gradients))
        self._loss_tracker.update_state(loss)
        return self.compute_metrics(x, y, predicted, weights)


def own_step():
    keras.utils.set_random_seed(1)
    model = OwnStep()
    model.compile(
        keras.optimizers.AdamW(0.01), stateful.LOSS(), weighted_metrics=["accuracy"], run_eagerly=True
    )
    return model


def averages():
    return stateful.frames(
        lambda: [keras.layers.Dropout(0.3)],
        keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7),
        weighted_metrics=["accuracy"],
    )


def accumulated():
    """Graphs, several steps at once, gradients of three steps added up."""
    keras.utils.set_random_seed(1)
    data = keras.Input((None, 3), name="data")
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(8, activation="relu")(data))
    hidden = keras.layers.BatchNormalization()(hidden)
    model = keras.Model(data, keras.layers.Dense(5)(hidden))
    model.compile(
        keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
        stateful.LOSS(),
        weighted_metrics=["accuracy"],
        steps_per_execution=2,
        jit_compile=False,
    )
    return model


def of_jax():
    """Compiled, on JAX."""
    keras.utils.set_random_seed(1)
    data = keras.Input((None, 3), name="data")
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(8, activation="relu")(data))
    model = keras.Model(data, keras.layers.Dense(5)(hidden))
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), stateful.LOSS(), weighted_metrics=["accuracy"])
    return model


def _stopping():
    return keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)


KINDS = {
    "two optimizers": (stateful.two_optimizers, list),
    "LoRA": (stateful.lora, lambda: [DrawsGlobally()]),
    "mixed_float16": (stateful.mixed_float16, list),
    "custom train_step": (own_step, list),
    "use_ema": (averages, lambda: [keras.callbacks.SwapEMAWeights()]),
    "EarlyStopping with best weights": (stateful.plain, lambda: [stateful.Slow(), _stopping()]),
    "callback with list state": (stateful.plain, lambda: [Batchwise(), DrawsGlobally()]),
    "accumulated, steps_per_execution": (accumulated, list),
    "JAX": (of_jax, lambda: [Batchwise(), _stopping()]),
}


def outcome(model, callbacks, history):
    """All that a training has come to, as arrays by name."""
    found = {f"{i} {slot.name}".replace("/", "."): slot.array() for i, slot in enumerate(slots(model))}
    for callback in callbacks:
        for name in ("losses", "drawn", "best", "wait", "stopped_epoch"):
            if hasattr(callback, name):
                found[f"{type(callback).__name__}.{name}"] = np.array(repr(getattr(callback, name)))
    found["scores"] = np.array(repr(sorted(history.epochs.items())))
    return found
