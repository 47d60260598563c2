"""Checkpoints inside epochs: training that goes on from one ends bit for bit as if it had never stopped."""

import keras
import pytest
import stateful
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
