"""Trainings that follow a stream: every window once, in order, whatever ends them."""

import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import helper_processes
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from training_runs import assert_equal_bits, run
from windows import bring, name_of

from seqmill.trainer import checkpoints
from seqmill.trainer.corpus import open_corpus
from seqmill.transforms.batches.stream import windows
from seqmill.transforms.storage.errors import SeqmillError, UsageError

NUM_WINDOWS = 6


def follow(folder, model_folder, num_epochs=None, **more):
    return run((str(folder),), model_folder, num_epochs, follow=True, **more)


def trained(model_folder):
    """The window of every epoch, as the newest checkpoint knows it."""
    found = checkpoints.find(str(model_folder))[0]
    return list(found[max(found)].content["history"]["windows"].values())


@pytest.fixture
def stream(tmp_path):
    folder = tmp_path / "train"
    for number in range(3):
        bring(folder, number)
    return folder


def test_windows_are_trained_on_once_each_in_order_and_late_panes_when_they_appear(stream, tmp_path):
    model_folder = tmp_path / "model"
    _, history, lines = follow(stream, model_folder, follow_idle=0.01)
    assert trained(model_folder) == [name_of(0), name_of(1), name_of(2)]
    assert history.measured_on[2]["train"] == f"window {name_of(1)}"
    assert "no window for" in lines[-1] and lines[-2].startswith("epoch 3  train loss")

    late, new = bring(stream, 0, pane=1), bring(stream, 3)
    values, _, _ = follow(stream, model_folder, follow_idle=0.01)
    assert trained(model_folder)[3:] == [late, new]

    # All of them at once, in that order, give the same bits.
    in_order = tmp_path / "in-order"
    in_order.mkdir()
    shutil.copy(stream / "stream.json", in_order)
    for number, name in enumerate(trained(model_folder)):
        shutil.copytree(stream / name, in_order / name_of(number))
    at_once, _, _ = follow(in_order, tmp_path / "at-once", num_epochs=5)
    assert_equal_bits(values, at_once)


def test_windows_are_removed_behind_a_checkpoint_and_never_trained_on_again(stream, tmp_path):
    model_folder = tmp_path / "model"
    follow(stream, model_folder, num_epochs=2, remove_windows=True)
    assert windows(str(stream)) == [name_of(2)]
    bring(stream, 0)  # by a retry that comes late
    assert windows(str(stream)) == [name_of(2)]
    follow(stream, model_folder, follow_idle=0.01, remove_windows=True, save_interval=5)
    assert trained(model_folder) == [name_of(0), name_of(1), name_of(2)]
    left = {path.name for path in stream.iterdir()}
    assert left == {*(f"{name_of(number)}.consumed" for number in range(3)), "stream.json"}


def test_a_training_says_what_it_waits_for(tmp_path):
    folder, lines = tmp_path / "train", []

    def say(line):
        lines.append(line)
        if "waiting for" in line:
            bring(folder, len(lines))

    run((str(folder),), tmp_path / "model", 2, follow=True, tell=say)
    first, second = (line for line in lines if "waiting for" in line)
    assert first.startswith("waiting for the first window in ")
    assert second.startswith("waiting for window 2 in ") and "1 of 2 trained" in second
    assert second.endswith("nobody says that more will come")


def test_a_training_does_not_wait_for_windows_beside_a_dev_corpus_that_is_not_whole(tmp_path):
    """It would keep the watch away, which must finish that corpus before it makes windows."""
    dev = tmp_path / "dev"
    write_corpus(dev, regression_epochs([2]), SPECS)
    (dev / "epoch-0001/manifest.json").unlink()
    folders = (str(tmp_path / "train"), str(dev))
    with pytest.raises(SeqmillError, match=r"dev: epoch 1 is not there, .* with --watch for a stream"):
        run(folders, tmp_path / "model", None, follow=True, follow_idle=60, tell=pytest.fail)


def test_what_is_no_window_of_the_stream_is_refused(stream, tmp_path):
    with pytest.raises(SeqmillError, match="is a stream of windows"):
        open_corpus(str(stream))
    with pytest.raises(UsageError, match="epochs_ahead: not an option"):
        follow(stream, tmp_path / "model", epochs_ahead=2)
    other = {**SPECS, "classes": replace(SPECS["classes"], num_labels=6)}
    write_corpus(tmp_path / "other/train", regression_epochs([2]), other)
    shutil.copytree(tmp_path / "other/train", stream / name_of(1, pane=1))
    with pytest.raises(
        SeqmillError, match=r"00001: holds windows of other data \(of classes, num_labels is "
    ):
        follow(stream, tmp_path / "model", num_epochs=4)


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [2, pytest.param(60, marks=pytest.mark.long)])
def test_a_following_training_that_is_killed_loses_nothing_and_repeats_nothing(helpers, tmp_path, num_kills):
    """While windows appear; consumed ones are removed."""
    straight = tmp_path / "straight"
    for number in range(NUM_WINDOWS):
        bring(straight, number)
    process = start(helpers, straight)
    process.join()
    assert process.exitcode == 0
    rng, kills, rounds = random.Random(5), 0, 0
    while kills < num_kills:
        rounds += 1
        stream = tmp_path / f"killed-{rounds}"
        arriving = iter(range(NUM_WINDOWS))
        while not Path(f"{stream}.npz").exists():
            process = start(helpers, stream)
            before = checkpoint_names(stream)
            while process.is_alive() and checkpoint_names(stream) <= before:
                if (number := next(arriving, None)) is not None:
                    bring(stream, number)
                time.sleep(0.01)
            process.join(rng.uniform(0, 0.2) if kills < num_kills else None)
            if process.is_alive():
                process.kill()
                kills += 1
            process.join()
        assert Path(f"{stream}.npz").read_bytes() == Path(f"{straight}.npz").read_bytes()
        assert windows(str(stream)) == []


def start(helpers, stream):
    arguments = (str(stream), f"{stream}-model", NUM_WINDOWS)
    process = helpers.Process(target=helper_processes.follow_to_the_end, args=arguments)
    process.start()
    return process


def checkpoint_names(stream):
    return {path.name for path in Path(f"{stream}-model").glob("epoch-*")}
