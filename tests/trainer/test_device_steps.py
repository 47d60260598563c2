"""What is refused on several devices; what they do is in test_devices.py."""

import keras
import numpy as np
import pytest

from seqmill.trainer.device_losses import mean_over_batch
from seqmill.trainer.device_steps import prepare_steps
from seqmill.trainer.devices import devices_scope
from seqmill.transforms.storage.errors import UsageError

BATCH = np.ones((2, 3), "f4"), np.ones((2, 1), "f4"), np.ones(2, "f4")


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


class OwnLoss(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return keras.ops.mean(y_pred)


class Adds(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs))
        return inputs


def model(kind=keras.Model, optimizer="sgd", loss="mse", more=()):
    data = keras.Input((3,))
    hidden = data
    for layer in more:
        hidden = layer(hidden)
    made = kind(data, keras.layers.Dense(1)(hidden))
    made.compile(optimizer, loss)
    return made


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"kind": OwnStep}, "OwnStep.train_step"),
        ({"loss": OwnLoss()}, "OwnLoss.__call__"),
        ({"more": [Adds()]}, "add_loss"),
        (
            {"more": [keras.layers.ActivityRegularization(0.1, name="sparse")]},
            "activity_regularizer of sparse",
        ),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "gradient_accumulation_steps of SGD",
        ),
    ],
)
def test_what_would_not_be_the_same_is_refused_by_name(arguments, named):
    with pytest.raises(UsageError, match=rf"on 2 devices {named} may not be what it is on one"):
        prepare_steps(model(**arguments), BATCH, 2)


def test_a_model_that_sees_to_it_itself_is_taken():
    OwnStep.several_devices = True
    try:
        prepare_steps(model(OwnStep), BATCH, 2)
    finally:
        del OwnStep.several_devices


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (keras.losses.MeanSquaredError(reduction="none"), 'a loss has reduction="none"'),
        (lambda y_true, y_pred: keras.ops.mean(y_pred), "a loss gives one number for a whole batch"),
    ],
)
def test_losses_that_cannot_be_added_up_are_refused(loss, message):
    made = model(loss=loss)
    prepare_steps(made, BATCH, 2)
    with pytest.raises(UsageError, match=message):
        made.train_step(BATCH)


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
def test_rows_that_fill_up_count_for_nothing(reduction):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, 3)).astype("f4"), rng.standard_normal((3, 1)).astype("f4")
    plain, filled = (model(loss=keras.losses.MeanSquaredError(reduction=reduction)) for _ in range(2))
    filled.set_weights(plain.get_weights())
    prepare_steps(filled, BATCH, 2)
    plain.train_step((x, y, np.ones(3, "f4")))
    filled.train_step((np.append(x, [[7, 8, 9]], 0), np.append(y, [[9]], 0), np.array([1, 1, 1, -0.0], "f4")))
    results = [float(one.get_metrics_result()["loss"]) for one in (plain, filled)]
    assert results[0] == pytest.approx(results[1])
    for found, wanted in zip(filled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_more_devices_than_there_are():
    with pytest.raises(UsageError, match="devices = 64: there are 1: cpu:0"):
        devices_scope(64)


def test_the_mean_over_a_batch_is_that_of_its_weights():
    assert mean_over_batch([1.0, 3.0]) == 2.0
    assert mean_over_batch([[1.0, 3.0], [5.0, 9.0]], [[1.0, 0.0], [1.0, 0.0]]) == 3.0
