"""The models of the examples: that they build, learn a little and decode."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqmill.trainer.fill_rows import filled
from seqmill.trainer.model_file import load_model_file
from seqmill.trainer.packed_columns import packed_columns
from seqmill.transforms.features.array_spec import ArraySpec

EXAMPLES = Path(__file__).parents[2] / "examples"


def module_of(model_file):
    return SimpleNamespace(**model_file.build.__globals__)


def learn(model, *batch):
    """The loss of each of 60 steps on the same batch."""
    losses = []
    for _ in range(60):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
    return losses


@pytest.fixture
def letters():
    """A model of letters to phonemes, its module, and a batch in which every letter is its own phoneme."""
    loaded = load_model_file(f"{EXAMPLES}/g2p/model.py:build")
    labels = {key: ArraySpec("chars", "<i4", (), 12) for key in ("data", "classes")}
    keras.utils.set_random_seed(1)
    words = np.random.default_rng(1).integers(4, 12, (64, 3)).astype("i4")
    words[::2, 2] = 0
    phonemes = np.zeros((64, 5), "i4")
    phonemes[:, 0] = 2
    for row, word in zip(phonemes, words, strict=True):
        known = word[word > 0]
        row[1 : 1 + len(known)], row[1 + len(known)] = known, 3
    batch = {"data": words, "classes": phonemes, "classes_mask": phonemes > 0}
    return loaded.build(SimpleNamespace(data_keys=labels)), module_of(loaded), batch


@pytest.mark.slow
def test_letters_learn_to_be_phonemes(letters):
    model, module, batch = letters
    model.compile(keras.optimizers.Adam(0.01), model.loss)  # the own schedule warms up for long
    x, y, weights = module.batch_to_xy(batch)
    losses = learn(model, x, y, weights)
    assert losses[-1] < losses[0] / 4
    decoded = module.decode(model, batch["data"])
    right = [guess == word[word > 0].tolist() for guess, word in zip(decoded, batch["data"], strict=True)]
    assert np.mean(right) > 0.5


def test_letters_are_predicted_as_phonemes(letters, tmp_path):
    model, module, batch = letters
    labels = [f"P{label}" for label in range(12)]
    (tmp_path / "classes.txt").write_text("\n".join(labels) + "\n")
    spec = ArraySpec("words", "<i4", (), 12, "classes.txt")
    corpus = SimpleNamespace(folder=tmp_path, manifest=SimpleNamespace(data_keys={"classes": spec}))
    found = module.predict(model, batch, corpus)
    decoded = module.decode(model, batch["data"])
    assert found == [" ".join(f"P{label}" for label in guess) for guess in decoded] and len(found) == 64


def test_padding_adds_nothing_to_the_loss_of_letters(letters):
    model, module, batch = letters
    x, y, weights = module.batch_to_xy(batch)
    wider = {key: np.pad(array, ((0, 0), (0, 4))) for key, array in batch.items()}
    plain = model.compute_loss(x, y, model(x), weights)
    padded_x, padded_y, padded_weights = module.batch_to_xy(wider)
    padded = model.compute_loss(padded_x, padded_y, model(padded_x), padded_weights)
    np.testing.assert_allclose(padded, plain, rtol=1e-4)


@pytest.fixture
def speech():
    """A model of speech to characters, its module, and a batch of noise, padded."""
    loaded = load_model_file(f"{EXAMPLES}/speech/model.py:build")
    keys = {
        "data": ArraySpec("log_mel", "<f4", (40,)),
        "classes": ArraySpec("chars", "<i4", (), 9),
    }
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    batch = {
        "data": rng.standard_normal((4, 60, 40)).astype("f4"),
        "data_lengths": np.array([60, 51, 40, 60], "i4"),
        "classes": rng.integers(1, 9, (4, 6)).astype("i4"),
        "classes_lengths": np.array([6, 3, 5, 1], "i4"),
    }
    for row, (frames, labels) in enumerate(zip(batch["data_lengths"], batch["classes_lengths"], strict=True)):
        batch["data"][row, frames:] = 0
        batch["classes"][row, labels:] = 0
    return loaded.build(SimpleNamespace(data_keys=keys)), module_of(loaded), batch


def test_the_loss_of_speech_is_that_of_keras(speech):
    model, module, batch = speech
    x, y = module.batch_to_xy(batch)
    scores = model(x)
    lengths = module.num_outputs(batch["data_lengths"])
    loss = keras.ops.ctc_loss(batch["classes"], scores, batch["classes_lengths"], lengths, mask_index=0)
    wanted = keras.ops.mean(loss / batch["classes_lengths"])
    np.testing.assert_allclose(model.compute_loss(x, y, scores), wanted, rtol=1e-4)
    x, y, weights = filled(module.batch_to_xy, 3)(keras.tree.map_structure(tf.constant, batch))
    np.testing.assert_allclose(model.compute_loss(x, y, model(x), weights), wanted, rtol=1e-4)


def test_speech_does_not_depend_on_its_padding(speech):
    model, module, batch = speech
    wider = {**batch, "data": np.pad(batch["data"], ((0, 0), (0, 30), (0, 0)))}
    assert module.decode(model, wider) == module.decode(model, batch)
    x, y = module.batch_to_xy(batch)
    padded = model.compute_loss(module.batch_to_xy(wider)[0], y, model(module.batch_to_xy(wider)[0]))
    np.testing.assert_allclose(padded, model.compute_loss(x, y, model(x)), rtol=1e-4)


@pytest.mark.slow
def test_speech_learns_a_batch_by_heart(speech):
    model, module, batch = speech
    x, y = module.batch_to_xy(batch)
    losses = learn(model, x, y)
    assert losses[-1] < losses[0] / 4


@pytest.fixture
def packed():
    """A model of the next label, its module, and the same sequences packed and padded."""
    loaded = load_model_file(f"{EXAMPLES}/packed/model.py:build")
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    sequences = [rng.integers(1, 11, length).astype("i4") for length in (5, 2, 9, 1, 7, 3)]
    lengths = np.array([len(one) for one in sequences], np.int32)
    columns = {"data": np.concatenate(sequences), **packed_columns("data", lengths)}
    mask = np.arange(9) < lengths[:, None]
    padded = {"data": np.zeros(mask.shape, "i4"), "data_mask": mask}
    padded["data"][mask] = columns["data"]
    labels = {"data": ArraySpec("words", "<i4", (), 11)}
    return loaded.build(SimpleNamespace(data_keys=labels, num_steps=100)), module_of(loaded), columns, padded


def test_the_loss_of_packed_sequences_is_that_of_padded_ones(packed):
    model, module, *both = packed
    losses = []
    for batch in both:
        x, y, weights = keras.tree.map_structure(keras.ops.convert_to_tensor, module.batch_to_xy(batch))
        assert keras.ops.sum(weights) == 27 - 6
        losses.append(float(model.compute_loss(x, y, model(x), weights)))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_packed_sequences_do_not_see_one_another(packed):
    model, module, columns, _ = packed
    other = {**columns, "data": np.concatenate([[3, 4, 5, 6, 7], columns["data"][5:]]).astype("i4")}
    scores, of_other = (np.asarray(model(module.batch_to_xy(batch)[0]))[0] for batch in (columns, other))
    np.testing.assert_allclose(scores[5:], of_other[5:], atol=1e-5)
    assert np.abs(scores[:5] - of_other[:5]).max() > 1e-3
