"""Two devices against one: the same losses, gradients, scores; each sequence once."""

import subprocess
import sys

import device_trainings
import numpy as np
import pytest
from device_trainings import trained
from epoch_folders import SPECS, batches_of, write_corpus

ROWS = [1, 3, 4, 2, 5]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    epochs = {"train": ROWS, "dev": [3, 1]}
    return [write_corpus(folder / name, [batches_of(rows)], SPECS) for name, rows in epochs.items()]


@pytest.fixture(scope="module")
def begun(folders, tmp_path_factory):
    """A training of one epoch on one device."""
    folder = str(tmp_path_factory.mktemp("one") / "model")
    trained("frames", folders, folder)
    return folder


@pytest.fixture(scope="module")
def two(folders, begun, helpers, tmp_path_factory):
    """What trainings on two of TensorFlow's devices came to."""
    folder = tmp_path_factory.mktemp("two")
    arguments = (folders, begun, str(folder), str(folder / "answer.npz"))
    process = helpers.Process(target=device_trainings.on_two_devices, args=arguments)
    process.start()
    process.join()
    with np.load(folder / "answer.npz") as answer:
        return folder, dict(answer)


def assert_close(found, wanted):
    for what in ("scores", "variables"):
        np.testing.assert_allclose(found[what], wanted[what], rtol=2e-5, atol=1e-6)


def of(kind, found):
    return {what: found[f"{kind}/{what}"] for what in ("scores", "variables", "lines")}


def test_every_sequence_is_given_to_one_device(two):
    wanted = [row.sum() for batch in batches_of(ROWS) for row in batch.arrays["data"]]
    np.testing.assert_array_equal(two[1]["rows"], np.array(wanted, np.float32))


@pytest.mark.parametrize("kind", device_trainings.KINDS)
def test_two_devices_come_to_what_one_does(kind, folders, two, tmp_path):
    assert_close(of(kind, two[1]), trained(kind, folders, tmp_path))


@pytest.mark.parametrize("resumed", ["resumed", "resumed inside"])
def test_two_devices_stopped_and_resumed_are_as_never_stopped(two, resumed):
    found, wanted = of(resumed, two[1]), of("straight", two[1])
    for what in ("variables", "scores"):
        assert found[what].tobytes() == wanted[what].tobytes()


def test_two_devices_keep_all_their_state_inside_an_epoch(two):
    lines = "\n".join([*of("stopped inside", two[1])["lines"], *of("resumed inside", two[1])["lines"]])
    assert "of the 5 batches of epoch 1 are done" in lines
    assert "cannot be kept" not in lines


def test_trainings_go_on_with_another_number_of_devices(folders, two, tmp_path):
    assert_close(of("taken over", two[1]), of("straight", two[1]))
    back = trained("sum", folders, two[0] / "sum", num_epochs=2)
    assert_close(back, trained("sum", folders, tmp_path, num_epochs=2))
    assert "changed since epoch 1: the number of devices was 2, is 1" in "\n".join(back["lines"])


def test_two_devices_of_jax_come_to_what_one_of_tensorflow_does(tmp_path):
    folders = [
        write_corpus(tmp_path / name, [batches_of(rows, same_shape=True)], SPECS)
        for name, rows in {"train": [1, 3, 4], "dev": [1]}.items()
    ]
    answer = tmp_path / "answer.npz"
    subprocess.run(
        [sys.executable, device_trainings.__file__, *folders, tmp_path / "jax", answer], check=True
    )
    with np.load(answer) as found:
        assert_close(found, trained("frames", folders, tmp_path / "one"))


def test_what_a_layer_adds_to_the_loss_is_refused_by_name(two):
    refused = str(two[1]["refused"])
    assert "on 2 devices activity_regularizer of activity_regularization" in refused
    assert "several_devices = True in class Sequential" in refused
