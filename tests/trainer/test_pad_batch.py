"""Batches that are filled up to as many rows train to what they do without."""

import keras
import numpy as np
import pytest
from device_trainings import trained
from epoch_folders import SPECS, batches_of, write_corpus

from seqmill import SeqmillError, dataset, open_corpus, train
from seqmill.trainer.feed import Feed


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Per value of pad_batch the folders of train and dev; batches of at most 8 rows."""
    folder = tmp_path_factory.mktemp("filled")
    epochs = {"train": [1, 3, 8, 2, 5], "dev": [3, 1]}
    return {
        pad_batch: [
            write_corpus(
                folder / f"{pad_batch}" / name, [batches_of(rows)], SPECS, options={"pad_batch": pad_batch}
            )
            for name, rows in epochs.items()
        ]
        for pad_batch in (True, False)
    }


@pytest.mark.parametrize("kind", ["frames", "masked", "whole"])
def test_filled_batches_come_to_what_others_do(kind, folders, tmp_path):
    found, wanted = (trained(kind, folders[pads], tmp_path / f"{pads}") for pads in (True, False))
    for what in ("scores", "variables"):
        np.testing.assert_allclose(found[what], wanted[what], rtol=2e-5, atol=1e-6)


def test_a_training_sees_rows_that_its_readers_do_not(folders):
    corpus = open_corpus(folders[True][0])
    with Feed(corpus, lambda batch: (batch["data"], batch["classes"]), 1).epoch(1) as data:
        assert {len(x) for x, _, _ in data} == {8}
    assert [len(batch["data"]) for batch in dataset(corpus, 1)] == [1, 3, 8, 2, 5]


def test_what_would_count_filling_is_refused_or_said(folders, tmp_path):
    train_on, data = folders[True][0], keras.Input((None, 3), name="data")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    penalized = keras.Model(data, keras.layers.Dense(5)(keras.layers.ActivityRegularization(0.1)(data)))
    penalized.compile("sgd", loss)
    with pytest.raises(SeqmillError, match="with pad_batch activity_regularizer"):
        train(penalized, train_on, num_epochs=1, folder=str(tmp_path / "refused"))
    lines = []
    normalized = keras.Model(data, keras.layers.Dense(5)(keras.layers.BatchNormalization()(data)))
    normalized.compile("sgd", loss)
    train(normalized, train_on, num_epochs=1, folder=str(tmp_path / "said"), say=lines.append)
    assert any("with pad_batch batch normalization" in line for line in lines)
