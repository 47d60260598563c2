"""Packed batches: the sequences of a padded run behind one another, from plan to training."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from seqmill_runs import read_epochs, sequences, write_config, write_jsonl

from seqmill.trainer import batches, dataset, open_corpus, train
from seqmill.transforms.batches import manifest
from seqmill.transforms.storage.errors import SeqmillError, UsageError

DATA = {"x": {"type": "floats"}, "y": {"type": "ints"}}
OPTIONS = {"seq_ordering": "random", "batch_size": {"x": 40, "y": 60}, "num_epochs": 2}


def records(num_seqs=60):
    random = np.random.default_rng(1)
    return [
        {
            "x": random.standard_normal((random.integers(1, 15), 2)).astype("f4").tolist(),
            "y": random.integers(1, 9, random.integers(1, 25)).tolist(),
        }
        for _ in range(num_seqs)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory, silent_seqmill):
    """The same corpora, packed in ``out`` and padded in ``padded``."""
    folder = tmp_path_factory.mktemp("packed")
    write_jsonl(folder / "a.jsonl", records())
    corpora = {name: {"format": "jsonl", "files": ["a.jsonl"]} for name in ("train", "dev")}
    config = write_config(folder, DATA, corpora, packed=True, **OPTIONS)
    silent_seqmill.succeeds("preprocess", config)
    silent_seqmill.succeeds("preprocess", config, "--packed=false", f"--output={folder}/padded")
    return folder


@pytest.fixture(scope="module")
def corpus(written):
    return open_corpus(written / "out/epochs/train")


def test_batches_are_full_of_frames(written, seqmill):
    reports = json.loads(seqmill.succeeds("plan", written / "config.toml", "--json").out)
    for report in reports:
        for epoch in report["epochs"]:
            assert epoch["padding"] == {"x": 0, "y": 0}
            assert epoch["padded_frames"] == epoch["num_frames"]
    for epoch in read_epochs(written / "out"):
        for batch, following in zip(epoch, [*epoch[1:], None], strict=True):
            frames = {key: int(lengths.sum()) for key, lengths in batch.lengths.items()}
            assert {key: len(array) for key, array in batch.arrays.items()} == frames
            assert frames["x"] <= 40 and frames["y"] <= 60
            if following is not None:
                more = {key: frames[key] + following.lengths[key][0] for key in frames}
                assert more["x"] > 40 or more["y"] > 60


def test_they_hold_what_padded_ones_hold(written):
    packed, padded = read_epochs(written / "out"), read_epochs(written / "padded")
    for ours, theirs in zip(packed, padded, strict=True):
        assert len(ours) < len(theirs)
        tags = [[tag for batch in some for tag in batch.seq_tags] for some in (ours, theirs)]
        assert tags[0] == tags[1]
        for key in DATA:
            found = [batch.sequence(key, row) for batch in ours for row in range(len(batch.seq_tags))]
            for one, (_, _, expected) in zip(found, sequences(theirs, key), strict=True):
                np.testing.assert_array_equal(one, expected)


def test_they_are_verified_and_shown(written, seqmill):
    assert "compared with the store" in seqmill.succeeds("verify", written / "out").err
    assert "float32, 0.0% padding" in seqmill.succeeds("show", written / "out").out


def test_packed_and_padded_epochs_are_not_taken_for_each_other(written, tmp_path):
    content = manifest.read(str(written / "out/epochs/train"))
    lie = {**content.options, "packed": False}
    corpus = open_corpus(written / "out/epochs/train")
    corpus = replace(corpus, manifest=replace(content, options=lie))
    with pytest.raises(SeqmillError, match=r"record 0: not a batch .* expected B, T and \[2\]"):
        next(batches(corpus, 1))


def test_readers_tell_sequences_apart(corpus):
    for batch in batches(corpus, 1, tags=True):
        assert len(batch["seq_tag"]) == len(batch["x_lengths"])
        for key in DATA:
            lengths, splits = batch[f"{key}_lengths"], batch[f"{key}_row_splits"]
            assert splits.tolist() == [0, *np.cumsum(lengths)]
            assert (
                batch[f"{key}_segment_ids"].tolist() == np.repeat(np.arange(len(lengths)), lengths).tolist()
            )
            assert batch[f"{key}_positions"].tolist() == [t for length in lengths for t in range(length)]
            assert {batch[column].dtype.name for column in batch if column.startswith(f"{key}_")} == {"int32"}


def test_tensorflow_gives_the_same_columns_and_ragged_tensors(corpus):
    ragged = dataset(corpus, 2, ragged=True)
    for expected, found, rows in zip(batches(corpus, 2), dataset(corpus, 2, masks=True), ragged, strict=True):
        assert list(found) == list(expected)
        for name, column in expected.items():
            assert found[name].dtype.name == column.dtype.name
            np.testing.assert_array_equal(found[name], column)
        assert rows["x"].shape.as_list() == [len(expected["x_lengths"]), None, 2]
        np.testing.assert_array_equal(rows["x"].row_lengths(), expected["x_lengths"])
        np.testing.assert_array_equal(rows["y"].flat_values, expected["y"])
    assert isinstance(ragged.element_spec["y"], tf.RaggedTensorSpec)


def test_several_readers_share_whole_batches(corpus, written):
    shares = [list(batches(corpus, 1, tags=True, reader=(number, 3), by="batches")) for number in range(3)]
    assert [one["seq_tag"] for one in shares[1]] == [one["seq_tag"] for one in batches(corpus, 1, tags=True)][
        1::3
    ]
    for read in (batches, dataset):
        with pytest.raises(UsageError, match=r'reader=\(0, 2\), by="rows": packed batches have no rows'):
            read(corpus, 1, reader=(0, 2))
    with pytest.raises(UsageError, match=r"ragged=True: expected packed batches; those in .* are padded"):
        dataset(open_corpus(written / "padded/epochs/train"), 1, ragged=True)


def test_a_model_is_trained_by_the_names_of_columns(corpus, written, tmp_path):
    labels = keras.Input((), name="y", dtype="int32")
    positions = keras.Input((), name="y_positions", dtype="int32")
    hidden = keras.layers.Embedding(9, 4)(labels) + keras.layers.Embedding(30, 4)(positions)
    model = keras.Model([labels, positions], keras.layers.Dense(9)(hidden))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = train(
        model,
        corpus,
        str(written / "out/epochs/dev"),
        num_epochs=2,
        folder=str(tmp_path / "model"),
        say=lambda line: None,
    )
    assert history.epochs[2]["dev"]["loss"] < history.epochs[1]["dev"]["loss"]
    with pytest.raises(SeqmillError, match=r"its batches are padded, but those in .* are packed"):
        train(model, corpus, str(written / "padded/epochs/dev"), num_epochs=1, folder=str(tmp_path / "b"))
