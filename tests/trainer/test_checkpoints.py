from pathlib import Path

import helper_processes
import keras
import models
import numpy as np
import orjson
import pytest
from training_runs import load, save

from seqmill.trainer import checkpoints
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


@pytest.fixture(scope="module")
def model():
    model = models.build()
    model.fit(np.ones((4, 6, 3), "f4"), np.ones((4, 6), "i4"), verbose=0)
    return model


@pytest.fixture
def saved(model, tmp_path):
    save(model, tmp_path, 7)
    return tmp_path / "epoch-0007"


def test_a_checkpoint_holds_every_variable_and_facts(model, saved):
    found, broken = checkpoints.find(str(saved.parent))
    assert broken == [] and list(found) == [7]
    content = found[7].content
    assert content["global_step"] == 1 and content["training"] == "abc"
    assert content["versions"]["keras"] == keras.version()
    restored = models.fresh()
    load(restored, found[7])
    for a, b in zip(
        [*model.variables, *model.optimizer.variables],
        [*restored.variables, *restored.optimizer.variables],
        strict=True,
    ):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_keras_loads_the_weights_alone(model, saved):
    other = models.fresh()
    other.load_weights(saved / "model.weights.h5")
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_checkpoint_is_replaced_whole(model, saved):
    save(model, saved.parent, 7, "xyz")
    assert checkpoints.read(str(saved)).training == "xyz"
    assert [path.name for path in saved.parent.iterdir()] == ["epoch-0007"]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.weights.h5", lambda path: path.unlink(), "not a complete checkpoint"),
        ("model.weights.h5", lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes"),
        ("state.npz", lambda path: path.unlink(), "not a complete checkpoint"),
        ("checkpoint.json", lambda path: path.unlink(), "no checkpoint.json"),
        ("checkpoint.json", lambda path: path.write_text('{"format": "other/3"}'), "'other/3', expected"),
        ("checkpoint.json", lambda path: path.write_text("{"), "not valid JSON"),
    ],
)
def test_incomplete_and_foreign_directories_are_named_and_passed_over(saved, name, damage, message):
    damage(saved / name)
    found, broken = checkpoints.find(str(saved.parent))
    assert found == {}
    assert len(broken) == 1 and "epoch-0007" in broken[0] and message in broken[0]


def test_a_renamed_checkpoint_is_not_taken_for_another_epoch(saved):
    saved.rename(saved.with_name("epoch-0009"))
    found, broken = checkpoints.find(str(saved.parent))
    assert found == {} and "is the checkpoint of epoch 7" in broken[0]


def test_changed_bytes_are_never_loaded(saved):
    weights = saved / "model.weights.h5"
    content = weights.read_bytes()
    kernel = fresh_kernel_position(content, saved)
    weights.write_bytes(content[:kernel] + b"\x00\x01\x02\x03" + content[kernel + 4 :])
    with pytest.raises(SeqmillError, match=r"dense.*/kernel is not what was saved"):
        load(models.fresh(), checkpoints.read(str(saved)))


def fresh_kernel_position(content, saved):
    model = models.fresh()
    model.load_weights(saved / "model.weights.h5")
    return content.index(model.weights[0].numpy().tobytes()) + 8


def test_a_checkpoint_of_another_model_is_refused(saved):
    data = keras.Input((None, 3))
    other = keras.Model(data, keras.layers.Dense(7)(data))
    other.compile("sgd", "mse")
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(SeqmillError, match=r"another model: 7 variables.*dense.*/kernel.*\[3, 16\]"):
        load(other, checkpoints.read(str(saved)))


def test_deleting_and_leftovers(model, saved):
    checkpoints.delete(checkpoints.read(str(saved)))
    (saved.parent / ".tmp-epoch-0008-x").mkdir()
    (saved.parent / "notes.txt").write_text("mine")
    checkpoints.remove_leftovers(str(saved.parent))
    assert [path.name for path in saved.parent.iterdir()] == ["notes.txt"]


def test_checkpoints_on_an_object_store(model):
    save(model, "memory://runs/model", 3)
    found, broken = checkpoints.find("memory://runs/model")
    assert list(found) == [3] and broken == []
    load(models.fresh(), found[3])
    files.remove("memory://runs/model/epoch-0003/checkpoint.json")
    assert checkpoints.find("memory://runs/model")[0] == {}


def test_a_full_disk_is_told_and_leaves_what_was_there(helpers, tmp_path):
    folder, answer = tmp_path / "model", tmp_path / "answer.txt"
    process = helpers.Process(target=helper_processes.save_with_little_room, args=(str(folder), str(answer)))
    process.start()
    process.join()
    assert "epoch-0002: the checkpoint could not be written" in answer.read_text()
    assert [path.name for path in folder.iterdir()] == ["epoch-0001"]
    assert list(checkpoints.find(str(folder))[0]) == [1]


def test_sizes_in_json_are_checked(saved):
    path = Path(saved, "checkpoint.json")
    content = orjson.loads(path.read_bytes())
    content["file_bytes"]["state.npz"] += 1
    path.write_bytes(orjson.dumps(content))
    assert "state.npz" in checkpoints.find(str(saved.parent))[1][0]
