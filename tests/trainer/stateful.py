"""Models and callbacks that hold state where one does not expect it."""

import random

import keras
import numpy as np
import tensorflow as tf


class Killed(Exception):
    """Ends a training as a kill would: nothing is caught, nothing is written."""


class KillAt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch + 1 == self.at:
            raise Killed


def frames(make_layers, optimizer=None, **arguments):
    """A small model without graphs to compile, and so quick to make."""
    keras.utils.set_random_seed(1)
    layers = make_layers()
    data = keras.Input((None, 3), name="data")
    hidden = data
    for layer in layers:
        hidden = layer(hidden)
    model = keras.Model(data, keras.layers.Dense(5)(hidden))
    model.compile(optimizer or keras.optimizers.Adam(0.01), LOSS(), run_eagerly=True, **arguments)
    return model


def LOSS():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class TwoOptimizers(keras.Model):
    def __init__(self):
        super().__init__()
        self.below, self.above = keras.layers.Dense(8, activation="relu"), keras.layers.Dense(5)

    def call(self, inputs, training=None):
        return self.above(self.below(inputs["data"]))

    def compile(self, first, second, **arguments):
        super().compile(loss=LOSS(), run_eagerly=True, **arguments)
        self.first, self.second = first, second

    def train_step(self, data):
        x, y, weights = data
        with tf.GradientTape(persistent=True) as tape:
            loss = self.compute_loss(x, y, self(x, training=True), weights)
        for optimizer, layer in ((self.first, self.below), (self.second, self.above)):
            gradients = tape.gradient(loss, layer.trainable_variables)
            optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


def two_optimizers():
    keras.utils.set_random_seed(1)
    model = TwoOptimizers()
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.02, momentum=0.9))
    return model


def lora():
    def layers():
        dense = keras.layers.Dense(8, activation="relu")
        dense.build((None, None, 3))
        dense.enable_lora(2)
        return [dense]

    return frames(layers)


class Hidden(keras.layers.Layer):
    """Its layers are where Keras keeps its own list of them, and leaves them out of weights files."""

    def __init__(self):
        super().__init__()
        self._layers = [keras.layers.Dense(8), keras.layers.Dense(8)]

    def call(self, x):
        for layer in self._layers:
            x = layer(x)
        return x


class CountsSteps(keras.layers.Layer):
    """State in a variable of TensorFlow's, in a plain attribute, in a list and in an object of its own."""

    class Schedule:
        def __init__(self):
            self.factor = 1.0

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0.0, trainable=False)
        self.calls, self.seen, self.schedule = 0, [], self.Schedule()

    def call(self, x, training=None):
        if training:
            self.step.assign_add(1.0)
            self.calls += 1
            self.seen.append(self.calls)
            self.schedule.factor *= 0.99
        return x * (1 + self.step * 0.01 + 0.001 * self.calls) * self.schedule.factor


def mixed_float16():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=4.0)
    return frames(lambda: [keras.layers.Dense(8, dtype="mixed_float16")], optimizer)


def plain():
    return frames(lambda: [keras.layers.Dropout(0.3)])


class Anneal(keras.callbacks.Callback):
    """Its state has the name of an argument."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = self.rate

    def on_epoch_end(self, epoch, logs=None):
        self.rate *= 0.5


class Slow(keras.callbacks.Callback):
    """Keeps averages of the weights in arrays, a list, a dict and a variable, and puts them back in part."""

    def on_train_begin(self, logs=None):
        self.averages = None
        self.best, self.by_epoch = [], {}
        self.total = keras.Variable(0.0)
        self.random = [np.random.default_rng(7), random.Random(7)]
        self.teacher = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones")])
        self.inner = keras.callbacks.EarlyStopping("val_loss", patience=99)
        self.inner.set_model(self.model)
        self.inner.on_train_begin()

    def on_epoch_end(self, epoch, logs=None):
        weights = self.model.get_weights()
        old = self.averages or weights
        self.averages = [0.9 * a + 0.1 * b for a, b in zip(old, weights, strict=True)]
        self.best.append(logs["val_loss"])
        self.by_epoch[epoch] = (logs["loss"], np.float32(epoch))
        self.total.assign_add(logs["loss"] + 0.01 * sum(one.random() for one in self.random))
        self.inner.on_epoch_end(epoch, logs)
        self.total.assign_add(0.01 * self.inner.wait)
        self.teacher.set_weights([array * logs["loss"] for array in self.teacher.get_weights()])
        self.total.assign_add(0.01 * float(self.teacher.get_weights()[0].sum()))
        self.model.set_weights([a * (1 + 0.001 * float(self.total)) for a in self.averages])
