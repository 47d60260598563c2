"""``best``, ``average`` and ``export``, of a plain model and of one that Keras' file does not hold whole."""

import shutil
from pathlib import Path

import keras
import numpy as np
import orjson
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus

from seqmill.trainer import model_commands
from seqmill.trainer.average import load_average
from seqmill.trainer.checkpoints import find
from seqmill.trainer.command import train_command
from seqmill.trainer.load_checkpoint import load_model
from seqmill.trainer.options import CleanupPolicy, TrainOptions
from seqmill.trainer.saved_models import read_saved
from seqmill.trainer.state.model_state import weights
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer

MODEL = """
import keras
import tensorflow as tf

def build(manifest):
    data = keras.Input((None, 3), name="data")
    hidden = keras.layers.Dropout(0.1)(keras.layers.Dense(4)(data))
    model = MAKE(data, keras.layers.Dense(5)(hidden))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model
"""
HIDING = """
class Hiding(keras.Model):
    def __init__(self, *arguments, **others):
        super().__init__(*arguments, **others)
        self.scale = tf.Variable(1.0)
        self.steps = tf.Variable(0)
        self.temperature = 1.0

    def train_step(self, data):
        self.scale.assign_add(0.1)
        self.steps.assign_add(1)
        self.temperature += 1.0
        return super().train_step(data)
"""


@pytest.fixture(scope="module", params=["plain", "hiding"])
def trained(request, tmp_path_factory):
    """Output and options of a training of four epochs, which no test may change."""
    output = tmp_path_factory.mktemp(request.param)
    write_corpus(output / "epochs/train", regression_epochs([2] * 4), SPECS)
    write_corpus(output / "epochs/dev", regression_epochs([1], seed=5), SPECS)
    make = "keras.Model" if request.param == "plain" else "Hiding"
    (output / "model.py").write_text(MODEL.replace("MAKE", make) + HIDING)
    options = TrainOptions(num_epochs=4, model=f"{output}/model.py:build")
    assert train_command(options, str(output), ["train", "dev"]) == 0
    return output, options


@pytest.fixture
def output(trained, tmp_path):
    return str(shutil.copytree(trained[0], tmp_path / "out"))


@pytest.fixture
def options(trained):
    return trained[1]


def loaded(options, output, source):
    _, state = model_commands.build(options, output)
    load_model(state, source)
    return state


def values(state):
    return [slot.array() for slot in weights(state.model)]


def test_best_prints_the_ranking_and_needs_no_model(output, capsys):
    epochs = orjson.loads(Path(output, "model/scores.json").read_bytes())["epochs"]
    losses = {epoch: scored["dev"]["loss"] for epoch, scored in epochs.items()}
    shutil.rmtree(f"{output}/model/epoch-0002")
    model_commands.best_command(CleanupPolicy(), output)
    *table, best = capsys.readouterr().out.splitlines()
    rows = [line.split("│")[1:-1] for line in table if line.startswith("│")]
    assert [row[1].strip() for row in rows] == sorted(losses, key=losses.get)
    assert [row[1].strip() for row in rows if not row[3].strip()] == ["2"]
    kept = min((epoch for epoch in losses if epoch != "2"), key=losses.get)
    assert best.startswith(f"best: {output}/model/epoch-000{kept} (dev_loss")


def test_the_average_of_floats_and_the_newest_of_all_else(output, options, capsys):
    model_commands.average_command(options, output, None, [4, 2, 2])
    assert "the average of epochs 2, 4" in capsys.readouterr().out
    found, _ = find(f"{output}/model")
    second, fourth = (values(loaded(options, output, found[epoch])) for epoch in (2, 4))
    saved = read_saved(f"{output}/model/average")
    assert saved.content["average_of"] == [2, 4]
    state = loaded(options, output, saved)
    for a, b, mean in zip(second, fourth, values(state), strict=True):
        want = ((a.astype("f8") + b.astype("f8")) / 2).astype(a.dtype) if a.dtype.kind == "f" else b
        assert mean.tobytes() == want.tobytes()
    if hasattr(state.model, "temperature"):
        assert state.model.temperature == 9.0 and int(state.model.steps) == 8

    model_commands.average_command(options, output, 1)  # replaces it
    of = read_saved(f"{output}/model/average").content["average_of"]
    assert of == [model_commands.ModelFolder(f"{output}/model", CleanupPolicy()).choose("best").epoch]
    alone = loaded(options, output, found[of[0]])
    load_average(alone, [found[of[0]]])
    for a, b in zip(
        values(alone), values(loaded(options, output, read_saved(f"{output}/model/average"))), strict=True
    ):
        assert a.tobytes() == b.tobytes()


def test_final_and_exported_models_hold_all_that_the_last_checkpoint_does(output, options, capsys):
    last = values(loaded(options, output, find(f"{output}/model")[0][4]))
    for name in ("final", "4"):
        model_commands.export_command(options, output, name, None)
    assert "epoch-0004" in capsys.readouterr().out
    folders = [f"{output}/model/final", f"{output}/export/final", f"{output}/export/epoch-0004"]
    for folder in folders:
        saved = read_saved(folder)
        assert saved.epoch == 4 and saved.content["scores"]["dev"]["loss"] > 0
        state = loaded(options, output, saved)
        for a, b in zip(last, values(state), strict=True):
            assert a.tobytes() == b.tobytes()
        if saved.content["file"] == "model.keras":
            model = keras.saving.load_model(f"{folder}/model.keras")
            assert [w.tobytes() for w in model.get_weights()] == [
                w.tobytes() for w in state.model.get_weights()
            ]
        else:
            assert hasattr(state.model, "scale") and saved.content["why_no_model"]


def test_an_export_replaces_nothing_but_an_export(output, options, tmp_path):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    for folder in (target, f"{output}/model/epoch-0001", f"{output}/model", tmp_path / "out/model.py"):
        with pytest.raises(UsageError, match="--to="):
            model_commands.export_command(options, output, "last", str(folder))
    assert (target / "thesis.tex").read_text() == "years of work"
    (target / "thesis.tex").rename(target / "model.json")  # as other tools call theirs
    with pytest.raises(UsageError, match="holds something else"):
        model_commands.export_command(options, output, "last", str(target))
    for name in ("1", "last"):
        model_commands.export_command(options, output, name, str(tmp_path / "new"))
    assert read_saved(str(tmp_path / "new")).epoch == 4
    (tmp_path / "new/notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        model_commands.export_command(options, output, "last", str(tmp_path / "new"))
    assert not list(tmp_path.glob(".tmp-*"))


def test_an_export_to_an_object_store(output, options):
    for name in ("1", "last"):
        model_commands.export_command(options, output, name, "memory://exports/model")
    last = loaded(options, output, find(f"{output}/model")[0][4])
    for a, b in zip(
        values(last), values(loaded(options, output, read_saved("memory://exports/model"))), strict=True
    ):
        assert a.tobytes() == b.tobytes()


def test_damage_other_models_and_trainings_at_work_are_named(output, options):
    with only_writer(f"{output}/model", "training"), pytest.raises(SeqmillError, match="another training"):
        model_commands.average_command(options, output, 2)
    path = Path(output, "model/final/state.npz")
    if path.stat().st_size < 100:  # all is in Keras' file
        path = Path(output, "model/final/model.keras")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content), 7):
        content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(SeqmillError, match=r"final: .*(is not what was saved|cannot be read)"):
        model_commands.export_command(options, output, "final", None)
    model = Path(output, "model.py")
    model.write_text(model.read_text().replace("Dense(4)", "Dense(6)"))
    with pytest.raises(SeqmillError, match=r"is of another model(.|\n)*use the model file"):
        model_commands.average_command(TrainOptions(model=f"{model}:build"), output, 2)
    assert not Path(output, "model/average").exists()
    np.testing.assert_array_equal(sorted(find(f"{output}/model")[0]), [1, 2, 3, 4])
