"""What users' callbacks, models and folders do that the plain case does not."""

import os
import signal
import time
import uuid

import keras
import models
import numpy as np
import pytest
from epoch_folders import SPECS, poison, regression_epochs, write_corpus
from training_runs import SIZES, assert_equal_bits, run

from seqmill.trainer import checkpoints, train
from seqmill.trainer.nonfinite import NonfiniteTrainScore
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


class StopAfter(keras.callbacks.Callback):
    def __init__(self, num_epochs):
        super().__init__()
        self.num_epochs, self.ended = num_epochs, 0

    def on_epoch_end(self, epoch, logs=None):
        self.ended += 1
        self.model.stop_training = epoch + 1 >= self.num_epochs


def test_a_model_that_a_callback_stopped_trains_again(corpora, tmp_path):
    model = models.fresh()
    _, history, _ = run(corpora, tmp_path / "first", 4, model, callbacks=[StopAfter(1)])
    assert list(history.epochs) == [1]
    assert list(run(corpora, tmp_path / "second", 3, model)[1].epochs) == [1, 2, 3]


def test_a_stop_between_checkpoints_is_saved_as_it_was_before_the_end_of_the_epoch(corpora, tmp_path):
    stop = StopAfter(2)
    run(corpora, tmp_path, 6, callbacks=[stop], save_interval=4)
    assert list(checkpoints.find(str(tmp_path))[0]) == [2]
    going_on = StopAfter(9)
    run(corpora, tmp_path, 4, callbacks=[going_on])
    assert going_on.ended == 4


def test_resuming_announces_the_epoch_whose_end_it_announces(corpora, tmp_path):
    class PerEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.losses = []
            optimizer = self.model.optimizer
            optimizer.learning_rate = float(optimizer.learning_rate) / 2  # once an epoch, resumed or not

        def on_train_batch_end(self, batch, logs=None):
            self.losses.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            assert self.losses is not None

    def trained(folder, *num_epochs):
        for epochs in num_epochs:
            found, _, _ = run(
                corpora, tmp_path / folder, epochs, models.fresh("adam"), callbacks=[PerEpoch()]
            )
        return found

    assert_equal_bits(trained("straight", 3), trained("resumed", 1, 2, 3))


def test_callbacks_share_what_they_add_to_the_scores(corpora, tmp_path):
    class Add(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_own"] = epoch

    stopping = keras.callbacks.EarlyStopping("val_own", mode="min", patience=1)
    _, history, _ = run(corpora, tmp_path, 6, callbacks=[Add(), stopping])
    assert list(history.epochs) == [1, 2]


def test_metrics_that_are_arrays(corpora, tmp_path):
    class PerClass(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="per_class")
            self.total = self.add_weight(shape=(3,), initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add([1.0, 2.0, 3.0])

        def result(self):
            return self.total.value

    model = models.build()
    model.compile("adam", model.loss, metrics=[PerClass()])
    _, history, lines = run(corpora, tmp_path, 2, model)
    assert history.epochs[2]["dev"]["per_class_2"] == 6.0
    assert "per_class_0" in lines[0]


def test_a_model_folder_on_an_object_store(corpora):
    folder = f"memory://models-{uuid.uuid4().hex}"
    straight, history, _ = run(corpora, folder, 3, cleanup_old_models={"keep_last_n": 1, "keep": []})
    assert any(name.startswith("events") for name in files.list_names(files.join(folder, "tensorboard/dev")))
    assert list(checkpoints.find(folder)[0]) == list(history.epochs)
    other = f"{folder}-resumed"
    run(corpora, other, 1)
    assert_equal_bits(straight, run(corpora, other, 3)[0])


def test_another_seed_is_refused_unless_asked_for(corpora, tmp_path):
    run(corpora, tmp_path, 1)
    with pytest.raises(SeqmillError, match=r"seed was 1, is 2.*start_epoch = 2 to go on"):
        run(corpora, tmp_path, 2, seed=2)
    assert "changed since epoch 1: seed was 1, is 2" in run(corpora, tmp_path, 2, seed=2, start_epoch=2)[2]


def test_ctrl_c_in_a_branch_names_a_checkpoint_of_the_branch(corpora, tmp_path):
    class CtrlC(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    run(corpora, tmp_path, 4)
    lines = []
    with pytest.raises(KeyboardInterrupt):
        train(
            models.fresh(),
            *corpora,
            num_epochs=4,
            folder=tmp_path,
            start_epoch=2,
            callbacks=[CtrlC()],
            say=lines.append,
        )
    assert 'that of epoch 2. To go on from there, set start_epoch = "auto".' in lines[-1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_while_an_object_is_deleted_is_not_lost(corpora, tmp_path):
    class Deleted:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # the signal comes here, and Python drops what it raises

    class Delete(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                Deleted()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    try:
        with pytest.raises(KeyboardInterrupt):
            run(corpora, tmp_path, 4, callbacks=[Delete()])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(checkpoints.find(str(tmp_path))[0]) == [1]


def test_averages_are_there_when_callbacks_see_the_end(corpora, tmp_path):
    class Export(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.weights = self.model.get_weights()

    export = Export()
    model = models.fresh("averages")
    run(corpora, tmp_path, 2, model, callbacks=[export])
    for seen, final in zip(export.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(seen, final)


def test_several_steps_in_one_execution(tmp_path):
    epochs = regression_epochs([7])
    epochs[0][6] = poison(epochs[0][6], 0)
    folder = write_corpus(tmp_path / "train", epochs, SPECS)
    model = models.build()
    model.compile("adam", model.loss, steps_per_execution=3)
    with pytest.raises(NonfiniteTrainScore) as error:
        run([folder], tmp_path / "model", 1, model)
    assert 6 in [batch["batch_index"] for batch in error.value.autopsy["batches"]]


def test_a_model_that_takes_no_dict_is_told_what_it_got(corpora, tmp_path):
    model = keras.Sequential([keras.layers.Dense(5)])
    model.compile("sgd", "mse")
    with pytest.raises(SeqmillError, match=r"cannot be called on a batch(.|\n)*'data': 'float32"):
        run(corpora, tmp_path, 1, model)


def test_gradients_of_embeddings_are_looked_at_too(tmp_path):
    labels = keras.Input((None,), dtype="int32", name="classes")
    model = keras.Model(labels, keras.layers.Dense(5)(keras.layers.Embedding(5, 4)(labels)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)
    _, history, _ = run([folder], tmp_path / "model", 2, model)
    assert np.isfinite(history.epochs[2]["train"]["loss"])
