"""Checkpoints inside epochs: training that goes on from one ends bit for bit as if it had never stopped."""

import os
import signal

import keras
import kill_kinds
import models
import pytest
import stateful
import tensorflow as tf
from epoch_folders import SPECS, regression_epochs, write_corpus
from stateful import Killed, frames
from training_runs import run

from seqmill.trainer import checkpoints
from seqmill.trainer.state.model_state import slots

OFTEN = 1e-6  # minutes: after every step


class KillAtStep(keras.callbacks.Callback):
    """Ends a training in the step after ``at`` batches of an epoch were saved, as a kill would."""

    def __init__(self, epoch, at):
        super().__init__()
        self.epoch, self.at = epoch, at

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.at):
            raise Killed


def assert_goes_on(corpora, folder, build, callbacks=list, num_epochs=3, kill_in=2, at=3):
    straight, resumed = build(), build()
    first = callbacks()
    _, history, _ = run(corpora, folder / "straight", num_epochs, straight, callbacks=first)
    kill = KillAtStep(kill_in, at)
    with pytest.raises(Killed):
        run(corpora, folder / "r", num_epochs, build(), callbacks=[*callbacks(), kill], save_minutes=OFTEN)
    assert [one.batches for one in checkpoints.find_inside(str(folder / "r"))[0]] == [at]
    second = callbacks()
    _, again, lines = run(corpora, folder / "r", num_epochs, resumed, callbacks=second, save_minutes=OFTEN)
    assert f"epoch-{kill_in:04d}-step-{at:06d}" in lines[0]
    assert checkpoints.find_inside(str(folder / "r")) == ([], [])
    for a, b in zip(slots(straight), slots(resumed), strict=True):
        assert a.array().tobytes() == b.array().tobytes(), a.name
    assert history.epochs == again.epochs
    return first, second


@pytest.mark.parametrize(
    "build",
    [
        stateful.two_optimizers,
        stateful.lora,
        stateful.mixed_float16,
        lambda: frames(lambda: [stateful.CountsSteps(), keras.layers.Dropout(0.3)]),
        lambda: frames(list, keras.optimizers.Adam(0.01, use_ema=True)),
    ],
    ids=["two-optimizers", "lora", "mixed-float16", "own-state", "averages"],
)
def test_models_go_on_inside_an_epoch(corpora, tmp_path, build):
    assert_goes_on(corpora, tmp_path, build)


def test_callbacks_go_on_in_the_middle(corpora, tmp_path):
    """Their state, the numbers of batches, what they hear once, and what they hear twice."""

    class Hears(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.heard, self.numbers = [], []

        def on_epoch_begin(self, epoch, logs=None):
            self.heard.append(epoch)

        def on_train_batch_begin(self, batch, logs=None):
            self.numbers.append((batch, self.params["steps"]))

    class HoldsAFile(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.begun = [*getattr(self, "begun", []), epoch]
            self.file = (tmp_path / "file").open("w")

        def on_train_batch_end(self, batch, logs=None):
            self.file.write(f"{batch}\n")

    told = []

    class Tells(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            told.append(epoch)

    first, second = assert_goes_on(
        corpora,
        tmp_path,
        stateful.plain,
        lambda: [Hears(), kill_kinds.DrawsGlobally(), HoldsAFile(), Tells()],
    )
    assert first[0].heard == second[0].heard == [0, 1, 2]
    assert first[0].numbers == second[0].numbers and second[0].numbers[3:5] == [(0, 5), (1, 5)]
    assert first[1].drawn == second[1].drawn
    assert first[2].begun == second[2].begun == [0, 1, 2]
    assert told == [0, 1, 2, 0, 1, 2]  # never stopped; before the kill and after it


def assert_same_end(corpora, folder, resumed, history, num_epochs=2):
    straight, expected, _ = run(corpora, folder, num_epochs, stateful.plain())
    for a, b in zip(straight, models.values(resumed), strict=True):
        assert a.tobytes() == b.tobytes()
    assert history.epochs == expected.epochs


def test_a_training_in_slices_of_time_ends_as_one_in_one_piece(small_corpora, tmp_path):
    """The time is over at once: every run makes one step, or one evaluation, and saves."""
    folder, lines, runs = tmp_path / "slices", [""], 0
    while "nothing left" not in lines[-1] and not (folder / "final").exists():
        model = stateful.plain()
        _, history, lines = run(small_corpora, folder, 2, model, stop_after=0.001)
        runs += 1
        assert runs < 9
    assert runs == 6  # two epochs of two batches, of which the last is evaluated by itself
    assert_same_end(small_corpora, tmp_path / "straight", model, history)
    assert not list(folder.glob("*-step-*"))


def test_what_it_says_names_the_way_on(small_corpora, tmp_path):
    _, _, lines = run(small_corpora, tmp_path / "m", 2, stateful.plain(), stop_after=0.01)
    assert lines[-1].startswith("ended, as stop_after asks, after 0:0")
    assert lines[-1].endswith(
        "the last checkpoint is inside epoch 1, after 1 of its batches. The same command goes on from there."
    )


class Terminate(keras.callbacks.Callback):
    """Sends SIGTERM to its own process, in the given hook's n-th call."""

    def __init__(self, hook, number):
        super().__init__()
        self._left = number
        setattr(self, hook, self._count)

    def _count(self, batch, logs=None):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("hook", "number", "interval", "left"),
    [
        ("on_train_batch_begin", 3, 1, {"epoch-0001", "epoch-0002-step-000001"}),
        ("on_train_batch_begin", 4, 1, {"epoch-0001", "epoch-0002"}),
        ("on_test_batch_begin", 1, 1, {"epoch-0001"}),
        ("on_test_batch_begin", 1, 9, {"epoch-0001"}),
        ("on_epoch_end", 1, 9, {"epoch-0001"}),
    ],
)
def test_sigterm_saves_and_ends(small_corpora, tmp_path, hook, number, interval, left):
    folder = tmp_path / "m"
    with pytest.raises(SystemExit) as end:
        terminate = Terminate(hook, number)
        run(small_corpora, folder, 2, stateful.plain(), callbacks=[terminate], save_interval=interval)
    assert end.value.code == 143
    assert {path.name for path in folder.glob("epoch-*")} == left
    model = stateful.plain()
    _, history, _ = run(small_corpora, folder, 2, model, save_interval=interval)
    assert_same_end(small_corpora, tmp_path / "straight", model, history)


class StopAt(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) >= self.steps:
            self.model.stop_training = True


def test_a_step_limit_loses_nothing(small_corpora, tmp_path):
    folder = tmp_path / "m"
    for _ in range(3):
        model = stateful.plain()
        _, _, lines = run(small_corpora, folder, 2, model, callbacks=[StopAt(3)])
        assert int(model.optimizer.iterations) == 3  # no step is made again, and none too many
        assert "a callback ended the training inside epoch 2" in lines[-1]
        assert (folder / "final").exists()
    model = stateful.plain()
    _, history, _ = run(small_corpora, folder, 2, model, callbacks=[StopAt(99)])
    assert_same_end(small_corpora, tmp_path / "straight", model, history)


def test_a_rotten_one_is_named_and_the_one_before_is_used(small_corpora, tmp_path):
    folder = tmp_path / "m"
    with pytest.raises(Killed):
        kill = KillAtStep(2, 1)
        run(small_corpora, folder, 2, stateful.plain(), callbacks=[kill], save_minutes=OFTEN)
    state = folder / "epoch-0002-step-000001" / "state.npz"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    model = stateful.plain()
    _, history, lines = run(small_corpora, folder, 2, model)
    assert "passed over" in lines[0] and "epoch-0002-step-000001" in lines[0]
    assert "going on from" in lines[1] and lines[1].endswith("epoch-0001")
    assert_same_end(small_corpora, tmp_path / "straight", model, history)
    assert {path.name for path in folder.glob("epoch-*")} == {"epoch-0001", "epoch-0002"}


def test_an_epoch_planned_otherwise_begins_anew(small_corpora, tmp_path):
    folder = tmp_path / "m"
    with pytest.raises(Killed):
        kill = KillAtStep(2, 1)
        run(small_corpora, folder, 2, stateful.plain(), callbacks=[kill], save_minutes=OFTEN)
    epochs = regression_epochs([2, 3])
    other = write_corpus(tmp_path / "train", epochs, SPECS, fingerprint="another")
    _, _, lines = run((other, small_corpora[1]), folder, 2, stateful.plain())
    assert "epoch 2 is planned otherwise now, and is trained from its beginning" in lines[0]
    assert any(line.endswith("epoch-0001") for line in lines)


def test_weights_alone_go_on_inside_the_epoch(small_corpora, tmp_path):
    folder = tmp_path / "m"
    run(small_corpora, folder, 1, stateful.plain(), stop_after=0.001)
    model = stateful.plain()
    _, _, lines = run(small_corpora, folder, 1, model, resume="weights")
    assert "epoch-0001-step-000001 (1 of the 2 batches of epoch 1 are done): its weights" in lines[0]
    assert int(model.optimizer.iterations) == 1


def test_no_row_is_written_twice(corpora, tmp_path):
    """Of CSV logs, of a file of steps, and of our scores for TensorBoard."""

    class WritesSteps(keras.callbacks.Callback):
        def __init__(self, path):
            super().__init__()
            self.path = path

        def on_train_batch_end(self, batch, logs=None):
            with self.path.open("a") as file:
                file.write(f"{batch} {logs['loss']!r}\n")

    def callbacks(name):
        csv = keras.callbacks.CSVLogger(tmp_path / f"{name}.csv", append=True)
        return [csv, WritesSteps(tmp_path / f"{name}.txt")]

    run(corpora, tmp_path / "straight", 2, stateful.plain(), callbacks=callbacks("straight"))
    for _ in range(9):  # epochs of three and of five batches, the evaluation of the first by itself
        run(corpora, tmp_path / "m", 2, stateful.plain(), callbacks=callbacks("log"), stop_after=0.001)
    run(corpora, tmp_path / "m", 2, stateful.plain(), callbacks=callbacks("log"))
    for kind in ("csv", "txt"):
        assert (tmp_path / f"log.{kind}").read_text() == (tmp_path / f"straight.{kind}").read_text()
    assert _scalars(tmp_path / "m/tensorboard") == _scalars(tmp_path / "straight/tensorboard")


def _scalars(folder):
    """(tag, step, value) of all scalars below a folder of TensorBoard's."""
    events = [
        tf.compat.v1.Event.FromString(record)
        for path in folder.rglob("events.*")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    return sorted((one.tag, event.step, str(one.tensor)) for event in events for one in event.summary.value)


class OwnAdam(keras.optimizers.Adam):
    """Of the user's own, with its own ``apply``."""

    applied = 0

    def apply(self, grads, trainable_variables=None):
        type(self).applied += 1
        return super().apply(grads, trainable_variables)


def test_an_optimizer_of_ones_own_is_applied_and_all_of_it_kept(small_corpora, tmp_path):
    OwnAdam.applied = 0
    model = frames(list, OwnAdam(0.01))
    _, _, lines = run(small_corpora, tmp_path, 1, model, save_minutes=OFTEN)
    assert OwnAdam.applied == 2
    assert not any("not kept" in line for line in lines)


def test_what_metrics_of_ones_own_hold_goes_on_too(corpora, tmp_path):
    class Worst(keras.metrics.Metric):
        """State in a list, which no variable tells of."""

        def __init__(self):
            super().__init__(name="worst")
            self.seen = []

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.seen.append(float(keras.ops.max(y_pred)))

        def result(self):
            return keras.ops.convert_to_tensor(float(sum(self.seen)))

        def reset_state(self):
            self.seen = []

    assert_goes_on(corpora, tmp_path, lambda: frames(list, weighted_metrics=[Worst()]))
