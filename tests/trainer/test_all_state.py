"""Everything that decides the rest of a training is in its checkpoints, or its absence is said."""

import csv
import time
from pathlib import Path

import keras
import models
import pytest
import tensorflow as tf
from stateful import (
    LOSS,
    Anneal,
    CountsSteps,
    Hidden,
    KillAt,
    Killed,
    Slow,
    frames,
    lora,
    mixed_float16,
    plain,
    two_optimizers,
)
from training_runs import run

from seqmill.trainer import checkpoints
from seqmill.trainer.state.model_state import slots


@pytest.fixture(scope="module")
def corpora(small_corpora):
    return small_corpora


def straight_and_resumed(corpora, folder, build, callbacks=list, num_epochs=3):
    """A training that is never stopped, and one that is killed at its last epoch and goes on."""
    straight, resumed = build(), build()
    first = callbacks()
    run(corpora, folder / "straight", num_epochs, straight, callbacks=first)
    with pytest.raises(Killed):
        run(corpora, folder / "resumed", num_epochs, build(), callbacks=[*callbacks(), KillAt(num_epochs)])
    second = callbacks()
    _, _, lines = run(corpora, folder / "resumed", num_epochs, resumed, callbacks=second)
    ours, theirs = slots(straight), slots(resumed)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.array().tobytes() == b.array().tobytes(), a.name
    return straight, resumed, first, second, lines


@pytest.mark.parametrize(
    "build",
    [
        two_optimizers,
        lora,
        mixed_float16,
        lambda: frames(lambda: [Hidden()]),
        lambda: frames(lambda: [CountsSteps(), keras.layers.Dropout(0.3)]),
        lambda: frames(list, keras.optimizers.Adam(0.01, use_ema=True)),
    ],
    ids=["two-optimizers", "lora", "mixed-float16", "hidden-layers", "own-state", "averages"],
)
def test_models_go_on_bit_for_bit(corpora, tmp_path, build):
    straight_and_resumed(corpora, tmp_path, build)


@pytest.mark.parametrize(
    ("callbacks", "build"),
    [
        (lambda: [Anneal(0.1), Anneal(0.01)], plain),
        (lambda: [Slow()], plain),
        (
            lambda: [keras.callbacks.SwapEMAWeights()],
            lambda: frames(list, keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)),
        ),
        (
            lambda: [
                keras.callbacks.EarlyStopping("val_loss", mode="max", patience=2, restore_best_weights=True)
            ],
            plain,
        ),
    ],
    ids=["argument", "containers", "swapped-averages", "best-weights"],
)
def test_callbacks_go_on_bit_for_bit(corpora, tmp_path, callbacks, build):
    straight_and_resumed(corpora, tmp_path, build, callbacks)


def test_a_row_is_written_once_an_epoch(corpora, tmp_path):
    def logger():
        return [keras.callbacks.CSVLogger(tmp_path / "log.csv", append=True)]

    with pytest.raises(Killed):
        run(corpora, tmp_path / "m", 4, plain(), callbacks=[logger(), [[KillAt(3)]]])
    run(corpora, tmp_path / "m", 4, plain(), callbacks=logger())
    with (tmp_path / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2", "3"]


def test_a_kill_while_evaluating_is_made_up_for(corpora, tmp_path):
    class KillInEvaluation(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            if int(self.model.optimizer.iterations) > 2:
                raise Killed

    straight = plain()
    run(corpora, tmp_path / "straight", 3, straight, callbacks=[Slow()])
    with pytest.raises(Killed):
        run(corpora, tmp_path / "m", 3, plain(), callbacks=[Slow(), KillInEvaluation()])
    assert checkpoints.find(str(tmp_path / "m"))[0][2].content["moment"] == "trained"
    resumed = plain()
    run(corpora, tmp_path / "m", 3, resumed, callbacks=[Slow()])
    for a, b in zip(models.values(straight), models.values(resumed), strict=True):
        assert a.tobytes() == b.tobytes()


def test_who_ended_the_training_is_asked_again(corpora, tmp_path):
    def stopping(patience):
        plateau = keras.callbacks.ReduceLROnPlateau("val_loss", mode="max", patience=1, factor=0.1)
        return [plateau, keras.callbacks.EarlyStopping("val_loss", mode="max", patience=patience)]

    straight, stopped, again, resumed = plain(), plain(), plain(), plain()
    run(corpora, tmp_path / "a", 4, straight, callbacks=stopping(9), save_interval=10)
    run(corpora, tmp_path / "b", 4, stopped, callbacks=stopping(1), save_interval=10)
    assert list(checkpoints.find(str(tmp_path / "b"))[0]) == [2]
    _, history, lines = run(corpora, tmp_path / "b", 4, again, callbacks=stopping(1), save_interval=10)
    assert max(history.epochs) == 2 and lines[-1] == "a callback ended the training after epoch 2"
    _, _, lines = run(corpora, tmp_path / "b", 4, resumed, callbacks=stopping(9), save_interval=10)
    assert "EarlyStopping: patience was 1, is 9: it goes on with its state" in lines
    for a, b in zip(models.values(straight), models.values(resumed), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_callback_that_monitors_something_else_starts_anew_and_says_so(corpora, tmp_path):
    def best(monitor, mode):
        return keras.callbacks.EarlyStopping(monitor, mode=mode, patience=9)

    run(corpora, tmp_path, 1, plain(), callbacks=[best("val_loss", "min"), Anneal(0.5)])
    stopping = best("loss", "min")
    _, history, lines = run(corpora, tmp_path, 2, plain(), callbacks=[stopping, Anneal(0.1)])
    assert "EarlyStopping: monitor was 'val_loss', is 'loss': it starts anew" in lines
    assert "Anneal: rate was 0.5, is 0.1: it starts anew" in lines
    assert stopping.best == history.epochs[2]["train"]["loss"]
    lines = run(corpora, tmp_path, 3, plain(), callbacks=[])[2]
    assert any("state of EarlyStopping(" in line and "is that of no callback now" in line for line in lines)


class WithContract(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.secret, self.scratch = 0, 0

    def on_epoch_end(self, epoch, logs=None):
        self.secret += 1
        self.scratch += 1

    def get_state(self):
        return {"secret": self.secret}

    def set_state(self, state):
        self.secret = state["secret"]


class ModelWithContract(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.temperature, self.scratch = keras.layers.Dense(5), 1.0, 0

    def call(self, inputs, training=None):
        if training:
            self.temperature, self.scratch = self.temperature * 1.1, self.scratch + 1
        return self.dense(inputs["data"]) * self.temperature

    def get_state(self):
        return {"temperature": self.temperature}

    def set_state(self, state):
        self.temperature = state["temperature"]


def test_callbacks_and_models_may_say_what_their_state_is(corpora, tmp_path):
    def build():
        keras.utils.set_random_seed(1)
        model = ModelWithContract()
        model.compile("adam", LOSS(), run_eagerly=True)
        return model

    straight, resumed, _, (callback,), _ = straight_and_resumed(
        corpora, tmp_path, build, lambda: [WithContract()]
    )
    assert straight.temperature == resumed.temperature and straight.scratch > resumed.scratch
    assert callback.secret == 3 and callback.scratch == 1


def test_what_cannot_be_kept_is_said_once(corpora, tmp_path):
    class Odd(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.generator = (number for number in range(3))
            self.begun = time.time()

    odd = Odd()
    odd.begun = 0.0
    lines = run(corpora, tmp_path, 2, plain(), callbacks=[odd])[2]
    assert "not kept in checkpoints: Odd.begun (a time of day), Odd.generator (a generator)" in lines
    assert len([line for line in lines if "not kept" in line]) == 1


def test_a_callback_cannot_make_keras_begin_elsewhere(corpora, tmp_path):
    class Elsewhere(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model._initial_epoch = 7

    _, history, _ = run(corpora, tmp_path, 3, plain(), callbacks=[Elsewhere()])
    assert list(history.epochs) == [1, 2, 3]


def test_open_files_stay_constant(corpora, tmp_path):
    class Count(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.open_files = []

        def on_epoch_begin(self, epoch, logs=None):
            self.open_files.append(len(list(Path("/proc/self/fd").iterdir())))

    count = Count()
    run(corpora, tmp_path, 12, plain(), callbacks=[count], distinct_epochs=6, save_interval=6)
    assert max(count.open_files[6:]) <= max(count.open_files[2:6]) + 1


def test_a_strategy_of_one_device_trains(corpora, tmp_path):
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        first, second = models.build(), models.build()
    run(corpora, tmp_path, 1, first)
    assert sorted(run(corpora, tmp_path, 2, second)[1].epochs) == [1, 2]
