"""StopOnNonfiniteTrainScore, SaveCheckpoint and CleanupOldModels in Keras' own ``fit``."""

import doctest
import importlib
import runpy
from pathlib import Path

import keras
import models
import numpy as np
import orjson
import pytest
from epoch_folders import SPECS, poison, regression_epochs, write_corpus
from training_runs import assert_equal_bits

from seqmill.trainer import (
    CleanupOldModels,
    NonfiniteTrainScore,
    SaveCheckpoint,
    StopOnNonfiniteTrainScore,
    checkpoints,
    dataset,
    open_corpus,
    scores,
)
from seqmill.transforms.storage.errors import SeqmillError, UsageError

EXAMPLE = Path(__file__).parents[2] / "examples/plain_fit/train.py"


def batch_to_xy(batch):
    return batch["data"], batch["classes"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two epochs as one data set: what a script that knows nothing of stored epochs trains on."""
    folder = write_corpus(tmp_path_factory.mktemp("plain") / "train", regression_epochs([4]), SPECS)
    return dataset(open_corpus(folder), 1, transform=batch_to_xy)


def fit(data, folder, epochs, **arguments):
    """Trains the small model from the newest checkpoint in ``folder``, with all three and one that steers."""
    model = models.fresh("adam")
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=9.0)
    save = SaveCheckpoint(folder, callbacks=[plateau], **arguments)
    done = save.resume(model)
    model.fit(
        data,
        validation_data=data,
        initial_epoch=done,
        epochs=epochs,
        verbose=0,
        callbacks=[
            StopOnNonfiniteTrainScore(folder),
            plateau,
            save,
            CleanupOldModels(folder, keep_last_n=1, keep_best_n=1, keep=[2]),
        ],
    )
    return done, models.values(model), float(model.optimizer.learning_rate)


def test_going_on_is_bit_identical_and_cleans_up(data, tmp_path):
    _, straight, rate = fit(data, tmp_path / "straight", 5)
    assert rate < 0.01
    assert fit(data, tmp_path / "resumed", 2)[0] == 0
    done, resumed, _ = fit(data, tmp_path / "resumed", 5)
    assert done == 2
    assert_equal_bits(straight, resumed)
    history = scores.read(str(tmp_path / "resumed"))
    assert list(history.epochs) == [1, 2, 3, 4, 5] and set(history.epochs[5]) == {"train", "val"}
    assert history.epochs == scores.read(str(tmp_path / "straight")).epochs
    best = min(history.epochs, key=lambda epoch: history.epochs[epoch]["val"]["loss"])
    assert set(checkpoints.find(str(tmp_path / "resumed"))[0]) == {2, 5, best}


def test_save_interval_saves_the_last_and_where_a_callback_stops(data, tmp_path):
    fit(data, tmp_path / "a", 5, save_interval=3)
    assert 5 in checkpoints.find(str(tmp_path / "a"))[0]
    stop = keras.callbacks.EarlyStopping("loss", patience=1, min_delta=9.0)
    save = SaveCheckpoint(tmp_path / "b", save_interval=4)
    models.fresh("adam").fit(data, epochs=9, verbose=0, callbacks=[stop, save])
    assert list(checkpoints.find(str(tmp_path / "b"))[0]) == [2]


def test_an_epoch_that_was_stopped_inside_is_not_saved(data, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    models.fresh("adam").fit(data, verbose=0, callbacks=[Stop(), SaveCheckpoint(tmp_path)])
    assert checkpoints.find(str(tmp_path))[0] == {}


def test_a_dry_run_only_says(data, tmp_path):
    lines = []
    cleanup = CleanupOldModels(tmp_path, 1, 0, [], dry_run=True, say=lines.append)
    models.fresh("adam").fit(data, epochs=2, verbose=0, callbacks=[SaveCheckpoint(tmp_path), cleanup])
    assert lines == ["epoch 2: would delete the checkpoint of epoch 1"]
    assert sorted(checkpoints.find(str(tmp_path))[0]) == [1, 2]


def test_a_second_training_in_the_folder_does_not_take_the_first_for_its_own(data, tmp_path):
    for _ in 1, 2:
        save = SaveCheckpoint(tmp_path)
        models.fresh("adam").fit(data, epochs=2, verbose=0, callbacks=[save])
        models.fresh("adam").fit(data, epochs=1, verbose=0, callbacks=[SaveCheckpoint(tmp_path)])
    said = []
    assert SaveCheckpoint(tmp_path, say=said.append).resume(models.fresh("adam")) == 1
    assert "epoch-0002: written by another training" in said[0]


def test_bad_data_are_named(tmp_path):
    epochs = regression_epochs([2, 4])
    epochs[1][2] = poison(epochs[1][2], 0)
    folder = write_corpus(tmp_path / "train", epochs, SPECS)
    corpus = open_corpus(folder)
    for given, tags in ((folder, ["e2-b2-s0"]), (None, [])):
        model, guard = models.fresh("adam"), StopOnNonfiniteTrainScore(tmp_path, corpus=given)
        with pytest.raises(NonfiniteTrainScore, match="epoch 2: the train loss is nan in step 3") as error:
            for epoch in 1, 2:
                model.fit(
                    dataset(corpus, epoch, transform=batch_to_xy),
                    initial_epoch=epoch - 1,
                    epochs=epoch,
                    verbose=0,
                    callbacks=[guard],
                )
        batches = error.value.autopsy["batches"]
        assert [batch["seq_tags"][0] for batch in batches] == tags
        assert error.value.autopsy["variables"]
        assert orjson.loads((tmp_path / "nonfinite-epoch-0002.json").read_bytes()) == error.value.autopsy


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SaveCheckpoint(""), ValueError, "folder: expected .* got ''"),
        (lambda: SaveCheckpoint("m", save_interval=0), ValueError, "save_interval: .* at least 1, got 0"),
        (lambda: SaveCheckpoint("m", callbacks=["x"]), TypeError, "callbacks: expected .* got 'x'"),
        (lambda: SaveCheckpoint("m", moment="now"), ValueError, "moment: .* got 'now'"),
        (lambda: CleanupOldModels(None), ValueError, "folder: expected .* got None"),
        (lambda: CleanupOldModels("m", keep_last_n=0), UsageError, "keep_last_n: 0; expected"),
        (lambda: CleanupOldModels("m", keep=[0]), UsageError, "keep: 0; expected"),
        (lambda: StopOnNonfiniteTrainScore(corpus="nowhere"), SeqmillError, r"nowhere: no manifest\.json"),
    ],
)
def test_what_is_lacking_is_said_at_construction(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["stop_on_nonfinite_train_score", "save_checkpoint", "cleanup_old_models"])
def test_examples_in_docstrings(name):
    tested = doctest.testmod(importlib.import_module(f"seqmill.trainer.callbacks.{name}"))
    assert tested.attempted > 0 and tested.failed == 0


def test_the_example_runs_and_goes_on(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLE))["main"]
    main(tmp_path, 2)
    main(tmp_path, 3)
    assert "2 of 3 epochs are done" in capsys.readouterr().out
    assert scores.read(str(tmp_path)).epochs[3]["val"]["accuracy"] > 0.5
    assert np.isin([2, 3], list(checkpoints.find(str(tmp_path))[0])).all()
