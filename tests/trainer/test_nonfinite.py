import math

import keras
import models
import numpy as np
import orjson
import pytest
from epoch_folders import SPECS, poison, regression_epochs, write_corpus

from seqmill.trainer import NonfiniteTrainScore, checkpoints, train

SIZES = [3, 6, 4]


def corpus_with(tmp_path, epoch, batch, row, value):
    epochs = regression_epochs(SIZES)
    epochs[epoch - 1][batch] = poison(epochs[epoch - 1][batch], row, value)
    return write_corpus(tmp_path / "train", epochs, SPECS)


def run(tmp_path, folder, num_epochs=3, **arguments):
    model = arguments.pop("model", None) or models.fresh()
    lines = []
    history = train(
        model, folder, num_epochs=num_epochs, folder=str(tmp_path / "model"), say=lines.append, **arguments
    )
    return model, history, lines


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_bad_data_stop_training_in_their_step_and_mended_data_resume(tmp_path, value):
    folder = corpus_with(tmp_path, epoch=2, batch=4, row=1, value=value)
    with pytest.raises(NonfiniteTrainScore) as error:
        run(tmp_path, folder)
    message = str(error.value)
    assert "epoch 2: the train loss is nan in step 5 of the epoch (batch 4)" in message
    assert "Data that are not finite: e2-b4-s1 (data)" in message
    autopsy = orjson.loads((tmp_path / "model/nonfinite-epoch-0002.json").read_bytes())
    assert autopsy["step"] == 5 and autopsy["global_step"] == 3 + 5
    (batch,) = autopsy["batches"]
    tags = [tag.decode() for tag in regression_epochs(SIZES)[1][4].seq_tags]
    assert batch["batch_index"] == 4 and batch["seq_tags"] == tags
    assert batch["nonfinite_data"] == [{"seq_tag": "e2-b4-s1", "data_key": "data", "num_nonfinite": 1}]
    first = autopsy["variables"][0]
    assert first["path"] == f"{first['layer']}/kernel" and first["layer"].startswith("dense")

    found, broken = checkpoints.find(str(tmp_path / "model"))
    assert list(found) == [1] and broken == []
    write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS, fingerprint="mended")
    model, history, lines = run(tmp_path, folder)
    assert sorted(history.epochs) == [1, 2, 3]
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    assert "changed since epoch 1: the input files of the training data" in lines


def test_a_bad_first_step_leaves_no_checkpoint(tmp_path):
    folder = corpus_with(tmp_path, epoch=1, batch=0, row=0, value=math.nan)
    with pytest.raises(NonfiniteTrainScore, match=r"epoch 1: .* step 1 of the epoch"):
        run(tmp_path, folder)
    assert checkpoints.find(str(tmp_path / "model"))[0] == {}


def test_without_the_option_training_goes_on(tmp_path):
    folder = corpus_with(tmp_path, epoch=2, batch=4, row=1, value=math.nan)
    _, history, _ = run(tmp_path, folder, stop_on_nonfinite_train_score=False)
    assert sorted(history.epochs) == [1, 2, 3]
    assert math.isnan(history.epochs[3]["train"]["loss"])
    content = orjson.loads((tmp_path / "model/scores.json").read_bytes())
    assert content["epochs"]["3"]["train"]["loss"] is None


def test_nan_in_dev_alone_is_said_and_training_goes_on(tmp_path):
    train_folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)
    dev = regression_epochs([2], seed=5)
    dev[0][1] = poison(dev[0][1], 0)
    dev_folder = write_corpus(tmp_path / "dev", dev, SPECS)
    policy = {"keep_last_n": 1, "keep_best_n": 4, "keep": []}
    _, history, lines = run(tmp_path, train_folder, dev=dev_folder, cleanup_old_models=policy)
    assert any("the dev score is not finite" in line for line in lines)
    assert math.isnan(history.epochs[3]["dev"]["loss"])
    assert list(checkpoints.find(str(tmp_path / "model"))[0]) == [3]


class RuinWeights(keras.callbacks.Callback):
    """Makes one weight infinite after the last step of the second epoch, when its loss is known."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1 and batch == SIZES[1] - 1:  # after the check of this step
            bias = self.model.get_layer(index=-1).bias
            bias.assign(bias + np.array([0, 0, np.inf, 0, 0], "f4"))


def test_weights_that_are_not_finite_at_the_end_of_an_epoch_are_not_saved(tmp_path):
    folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)
    with pytest.raises(
        NonfiniteTrainScore, match="epoch 2: weights or optimizer state are not finite"
    ) as error:
        run(tmp_path, folder, callbacks=[RuinWeights()])
    (variable,) = error.value.autopsy["variables"]
    assert variable["inf"] == 1 and variable["path"].endswith("bias")
    assert list(checkpoints.find(str(tmp_path / "model"))[0]) == [1]


def test_infinite_gradients_of_a_finite_loss_are_blamed_on_their_batch(tmp_path):
    class SquareRootAtZero(keras.layers.Layer):
        """Adds sqrt(0 * x), whose gradient is not finite, in batches whose first value is 77."""

        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            trigger = keras.ops.cast(keras.ops.any(keras.ops.equal(x, 77.0)), "float32")
            return x + trigger * keras.ops.sqrt(self.scale - keras.ops.stop_gradient(self.scale))

    data = keras.Input((None, 3), name="data")
    model = keras.Model(data, keras.layers.Dense(5)(SquareRootAtZero()(data)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    folder = corpus_with(tmp_path, epoch=2, batch=2, row=0, value=77.0)
    with pytest.raises(NonfiniteTrainScore) as error:
        run(tmp_path, folder, model=model)
    assert [batch["batch_index"] for batch in error.value.autopsy["batches"]] == [2]
    assert "scale" in error.value.autopsy["variables"][0]["path"]
