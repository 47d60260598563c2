import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import models
import numpy as np
import orjson
import pytest
import tensorflow as tf
from epoch_folders import SPECS, regression_epochs, write_corpus
from optional import needs_torch
from training_runs import SIZES, assert_equal_bits, run

from seqmill.trainer import checkpoints, scores, train
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer


class Recorder(keras.callbacks.Callback):
    """What a user's callback gets to see."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.steps = {}
        self.logs = {}

    def on_train_begin(self, logs=None):
        self.seen.append("train begin")

    def on_train_end(self, logs=None):
        self.seen.append("train end")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.steps.setdefault(epoch, 0)

    def on_train_batch_end(self, batch, logs=None):
        self.steps[self.epoch] += 1

    def on_test_begin(self, logs=None):
        self.seen.append("test")

    def on_epoch_end(self, epoch, logs=None):
        self.logs[epoch] = logs


def test_every_epoch_trains_exactly_its_batches_and_callbacks_live_once(corpora, tmp_path):
    recorder = Recorder()
    _, history, lines = run(corpora, tmp_path, 4, callbacks=[recorder])
    assert list(recorder.steps.values()) == SIZES[:4]
    assert recorder.seen == ["train begin", *["test"] * 4, "train end"]
    assert set(recorder.logs[3]) == {
        "loss", "accuracy", "val_loss", "val_accuracy", "dev_loss", "dev_accuracy",
    }  # fmt: skip
    assert recorder.logs[3]["val_loss"] == history.epochs[4]["dev"]["loss"]
    assert history.epochs[4]["dev"]["loss"] < history.epochs[1]["dev"]["loss"]
    assert [line.split("  ")[0] for line in lines] == [f"epoch {epoch}/4" for epoch in range(1, 5)]
    assert all(
        word in lines[0] for word in ("train loss", "dev loss", "seqs/s", "frames/s", "padding", "to go")
    )
    assert scores.read(str(tmp_path)) == history
    assert sorted(checkpoints.find(str(tmp_path))[0]) == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=needs_torch)])
def test_other_backends_train_exactly_the_batches_too(tmp_path, backend):
    code = (
        "import sys, test_training_loop as t\n"
        "recorder = t.Recorder()\n"
        "t.run([sys.argv[2]], sys.argv[1], 2, callbacks=[recorder])\n"
        "for _ in range(3):\n"
        "    t.run([sys.argv[2]], sys.argv[1], 4, callbacks=[recorder], stop_after=0.001)\n"
        "resumed, _, _ = t.run([sys.argv[2]], sys.argv[1], 4, callbacks=[recorder])\n"
        "straight, _, _ = t.run([sys.argv[2]], sys.argv[1] + '/straight', 4)\n"
        "t.assert_equal_bits(straight, resumed)\n"
        f"assert t.keras.backend.backend() == '{backend}'\n"
        "assert list(recorder.steps.values()) == [3, 5, 2, 7], recorder.steps\n"
    )
    folder = write_corpus(tmp_path / "train", regression_epochs([3, 5, 2, 7], same_shape=True), SPECS)
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model"), folder],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_resumed_training_is_bit_identical(corpora, tmp_path):
    straight, history, _ = run(corpora, tmp_path / "straight", 6)
    run(corpora, tmp_path / "resumed", 2)
    run(corpora, tmp_path / "resumed", 5, save_interval=2)
    resumed, resumed_history, lines = run(corpora, tmp_path / "resumed", 6)
    assert lines[0].endswith("epoch-0005")
    assert_equal_bits(straight, resumed)
    assert resumed_history.epochs == history.epochs
    assert len(straight) > 15


def test_all_randomness_depends_on_the_epoch_alone(corpora, tmp_path):
    class Draw(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.drawn = {}

        def on_epoch_begin(self, epoch, logs=None):
            eager = float(tf.random.uniform(())), float(keras.random.uniform(()))
            self.drawn[epoch] = (random.random(), float(np.random.rand()), *eager)

    straight, resumed = Draw(), Draw()
    run(corpora, tmp_path / "straight", 3, callbacks=[straight])
    run(corpora, tmp_path / "resumed", 2, callbacks=[Draw()])
    run(corpora, tmp_path / "resumed", 3, callbacks=[resumed])
    assert resumed.drawn == straight.drawn  # what it drew before is its state
    assert len({numbers for drawn in straight.drawn.values() for numbers in drawn}) == 12


def test_distinct_epochs_go_round_and_save_interval_saves_the_last(corpora, tmp_path):
    recorder = Recorder()
    run(corpora, tmp_path, 5, callbacks=[recorder], distinct_epochs=2, save_interval=3)
    assert list(recorder.steps.values()) == [3, 5, 3, 5, 3]
    assert sorted(checkpoints.find(str(tmp_path))[0]) == [3, 5]


def test_callbacks_that_steer_go_on_where_they_were(corpora, tmp_path):
    def steering():
        plateau = keras.callbacks.ReduceLROnPlateau("val_loss", 0.5, patience=1, min_delta=0.6)
        return [plateau, keras.callbacks.EarlyStopping("val_loss", patience=4, min_delta=2.0)]

    model = models.fresh("adam")
    straight, history, lines = run(corpora, tmp_path / "straight", 6, model, callbacks=steering())
    assert float(model.optimizer.learning_rate) < 0.01
    for epochs in (1, 3, 6):
        resumed, resumed_history, _ = run(
            corpora, tmp_path / "resumed", epochs, models.fresh("adam"), callbacks=steering()
        )
    assert_equal_bits(straight, resumed)
    assert resumed_history.epochs == history.epochs
    assert max(history.epochs) < 6 and "a callback ended the training" in lines[-1]


def test_callbacks_of_one_class_keep_a_state_each(corpora, tmp_path):
    class Count(keras.callbacks.Callback):
        def __init__(self, by):
            super().__init__()
            self.by, self.total = by, 0

        def on_epoch_end(self, epoch, logs=None):
            self.total += self.by

    run(corpora, tmp_path, 2, callbacks=[Count(1), Count(10)])
    once_more = [Count(1), Count(10)]
    run(corpora, tmp_path, 4, callbacks=once_more)
    assert [callback.total for callback in once_more] == [4, 40]


def test_a_callback_that_stops_inside_an_epoch_leaves_no_checkpoint_of_it(corpora, tmp_path):
    class StopInSecond(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = self.epoch == 1 and batch == 1

    run(corpora, tmp_path, 4, callbacks=[StopInSecond()])
    assert sorted(checkpoints.find(str(tmp_path))[0]) == [1]


def test_missing_dev_scores_are_made_up_for(corpora, tmp_path):
    _, history, _ = run(corpora, tmp_path, 2)
    path = tmp_path / scores.FILE_NAME
    content = orjson.loads(path.read_bytes())
    del content["epochs"]["2"]["dev"]
    path.write_bytes(orjson.dumps(content))
    assert run(corpora, tmp_path, 2)[1].epochs == history.epochs


def test_averaged_weights_overwrite_only_at_the_end(corpora, tmp_path):
    straight, _, _ = run(corpora, tmp_path / "straight", 3, models.fresh("averages"))
    plain = models.fresh("adam")
    run(corpora, tmp_path / "plain", 3, plain)
    last = checkpoints.find(str(tmp_path / "straight"))[0][3]
    saved = models.fresh()
    saved.load_weights(last.weights_file)
    for trained, stored in zip(plain.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(trained.numpy(), stored.numpy())
    assert not np.array_equal(straight[0], plain.weights[0].numpy())


def test_subclassed_models_are_built_before_resuming(corpora, tmp_path):
    class Tagger(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(8)
            self.dropout = keras.layers.Dropout(0.2)
            self.out = keras.layers.Dense(5)

        def call(self, inputs, training=False):
            return self.out(self.dropout(self.hidden(inputs["data"]), training=training))

    def tagger():
        keras.utils.set_random_seed(1)
        model = Tagger()
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    straight, _, _ = run(corpora, tmp_path / "straight", 3, tagger())
    run(corpora, tmp_path / "resumed", 1, tagger())
    resumed, _, _ = run(corpora, tmp_path / "resumed", 3, tagger())
    assert_equal_bits(straight, resumed)


def test_cleanup_deletes_only_what_this_training_wrote(corpora, tmp_path):
    run(corpora, tmp_path / "other", 2)
    Path(tmp_path, "other/epoch-0002").rename(tmp_path / "epoch-0099")
    Path(tmp_path, "epoch-note").mkdir()
    keep = {"keep_last_n": 1, "keep_best_n": 1, "keep": [2]}
    _, history, _ = run(corpora, tmp_path, 5, cleanup_old_models=keep, start_epoch=1)
    best = min(history.epochs, key=lambda epoch: history.epochs[epoch]["dev"]["loss"])
    assert sorted(checkpoints.find(str(tmp_path))[0]) == sorted({2, 5, best})
    assert Path(tmp_path, "epoch-0099").is_dir() and Path(tmp_path, "epoch-note").is_dir()


def test_start_epoch_goes_back_and_later_checkpoints_no_longer_count(corpora, tmp_path):
    straight, _, _ = run(corpora, tmp_path, 4)
    _, history, _ = run(corpora, tmp_path, 3, start_epoch=3)
    assert sorted(history.epochs) == [1, 2, 3]
    resumed, _, lines = run(corpora, tmp_path, 4)
    assert any("epoch-0004: written by another training" in line for line in lines)
    assert_equal_bits(straight, resumed)
    with pytest.raises(UsageError, match=r"start_epoch = 9 needs the checkpoint of epoch 8; .*1, 2, 3, 4"):
        run(corpora, tmp_path, 9, distinct_epochs=4, start_epoch=9)


def test_a_lost_history_is_found_in_the_newest_checkpoint(corpora, tmp_path):
    _, history, _ = run(corpora, tmp_path, 2)
    Path(tmp_path, scores.FILE_NAME).unlink()
    assert run(corpora, tmp_path, 2)[1].epochs == history.epochs


def test_a_second_training_in_the_folder_is_refused(corpora, tmp_path):
    with only_writer(str(tmp_path), "training"), pytest.raises(SeqmillError, match=f"process {os.getpid()}"):
        run(corpora, tmp_path, 1)


def test_too_few_epochs(corpora, tmp_path):
    with pytest.raises(UsageError, match=r"num_epochs = 9, but 6 epochs are stored.*distinct_epochs = 6"):
        run(corpora, tmp_path, 9)


def test_inputs_that_do_not_fit_list_both_sides(corpora, tmp_path):
    data = keras.Input((None, 4), name="data")
    model = keras.Model(data, keras.layers.Dense(5)(data))
    model.compile("sgd", "mse")
    with pytest.raises(SeqmillError) as error:
        run(corpora, tmp_path, 1, model)
    assert "data: float32 [any, any, 4]" in str(error.value)
    assert "data: float32 [any, any, 3]" in str(error.value)
    assert "classes_lengths: int32 [any]" in str(error.value)


def test_a_shard_deleted_while_training_is_named(tmp_path):
    folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)

    class Delete(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                for file in Path(folder, "epoch-0002").iterdir():
                    file.unlink()
                for file in Path(folder, "epoch-0003").iterdir():
                    file.unlink()

    with pytest.raises(SeqmillError, match=r"batches-0000.-of-0000.\.tfrecord: .*not there"):
        run([folder], tmp_path / "model", 3, callbacks=[Delete()])
    assert 1 in checkpoints.find(str(tmp_path / "model"))[0]


def test_without_dev_the_train_score_ranks(corpora, tmp_path):
    _, history, _ = run(corpora[:1], tmp_path, 2)
    assert set(history.epochs[2]) == {"train"}
    assert history.ranked()[2] == {"train_loss": history.epochs[2]["train"]["loss"]}


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        (
            {"seq_ordering": "random"},
            {"seq_ordering": "sorted"},
            "another order.*seq_ordering was 'random', is 'sorted'",
        ),
        ({"partition_epoch": 2}, {"partition_epoch": 3}, "start_epoch = 2 to go on"),
    ],
)
def test_another_order_of_the_data_is_refused_unless_asked_for(tmp_path, then, now, message):
    folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS, options=then)
    run([folder], tmp_path / "model", 1)
    write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS, options=now, fingerprint="other")
    with pytest.raises(SeqmillError, match=message):
        run([folder], tmp_path / "model", 2)
    assert sorted(run([folder], tmp_path / "model", 2, start_epoch=2)[1].epochs) == [1, 2]


def test_other_changes_are_said(tmp_path):
    folder = write_corpus(
        tmp_path / "train",
        regression_epochs(SIZES),
        SPECS,
        options={"batch_size": {"data": 1}, "num_epochs": 6},
    )
    run([folder], tmp_path / "model", 1)
    write_corpus(
        tmp_path / "train",
        regression_epochs(SIZES),
        SPECS,
        options={"batch_size": {"data": 2}, "num_epochs": 7},
    )
    lines = run([folder], tmp_path / "model", 2)[2]
    assert "changed since epoch 1: batch_size was {'data': 1}, is {'data': 2}" in lines
    assert not any("num_epochs" in line for line in lines)


def test_another_schedule_of_later_epochs_is_said_and_of_trained_ones_refused(tmp_path):
    def planned(*entries):
        return write_corpus(
            tmp_path / "train", regression_epochs(SIZES), SPECS, options={"schedule": list(entries)}
        )

    run([planned({"epochs": "2-3", "max_seqs": 5})], tmp_path / "model", 1)
    later = planned({"epochs": "2-2", "max_seqs": 5}, {"epochs": "3-3", "seq_ordering": "sorted"})
    lines = run([later], tmp_path / "model", 2)[2]
    assert (
        "changed since epoch 1: from epoch 3 on: max_seqs was 5, is 8; seq_ordering was 'random', is 'sorted'"
        in lines
    )
    earlier = planned({"epochs": "2-2", "seq_ordering": "sorted"})
    with pytest.raises(SeqmillError, match=r"another order.*seq_ordering was 'random', is 'sorted'"):
        run([earlier], tmp_path / "model", 3)


def test_other_labels_are_refused(tmp_path):
    folder = write_corpus(tmp_path / "train", regression_epochs(SIZES), SPECS)
    run([folder], tmp_path / "model", 1)
    specs = {**SPECS, "classes": ArraySpec(type="words", dtype="<i4", feature_shape=(), num_labels=6)}
    write_corpus(tmp_path / "train", regression_epochs(SIZES), specs)
    with pytest.raises(SeqmillError, match=r"data\.classes: num_labels was 5, is 6;"):
        run([folder], tmp_path / "model", 2, start_epoch=2)


def test_a_dev_corpus_of_other_arrays_is_refused(corpora, tmp_path):
    specs = {"data": SPECS["data"]}
    dev = write_corpus(tmp_path / "dev", regression_epochs([1]), specs)
    with pytest.raises(SeqmillError, match="has no data key 'classes', unlike"):
        run([corpora[0], dev], tmp_path / "model", 1)


def test_other_statistics_of_frames_are_refused(tmp_path):
    spec = replace(SPECS["data"], norm="norm/data.json", processing={"normalization": "statistics"})
    specs = {**SPECS, "data": spec}

    def write(name, digest):
        others = {"norm/data.json": Checksum(3, digest * 32)}
        return write_corpus(tmp_path / name, regression_epochs(SIZES), specs, others=others)

    train, dev = write("train", "1"), write("dev", "2")
    with pytest.raises(SeqmillError, match="'data' is normalized by other statistics than in"):
        run([train, dev], tmp_path / "model", 1)
    run([train], tmp_path / "model", 1)
    write("train", "2")
    with pytest.raises(SeqmillError, match=r"data\.data: norm was '1+', is '2+';"):
        run([train], tmp_path / "model", 2)
    plain = write_corpus(tmp_path / "plain", regression_epochs(SIZES), SPECS)
    with pytest.raises(SeqmillError, match=r"'data', norm is not set, not .*; normalization is not set, "):
        run([train, plain], tmp_path / "other", 1)


def test_ctrl_c_says_how_to_go_on(corpora, tmp_path):
    class CtrlC(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    lines = []
    with pytest.raises(KeyboardInterrupt):
        train(
            models.fresh(),
            *corpora,
            num_epochs=4,
            folder=str(tmp_path),
            callbacks=[CtrlC()],
            say=lines.append,
        )
    assert "the last checkpoint is that of epoch 2" in lines[-1]
    straight, _, _ = run(corpora, tmp_path / "straight", 4)
    assert_equal_bits(straight, run(corpora, tmp_path, 4)[0])


def test_tensorboard_scalars_can_be_read(corpora, tmp_path):
    _, history, _ = run(corpora, tmp_path, 2)
    found = {}
    for corpus in ("train", "dev"):
        for path in Path(tmp_path, "tensorboard", corpus).iterdir():
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    assert value.metadata.plugin_data.plugin_name == "scalars"
                    found[event.step, corpus, value.tag] = float(tf.make_ndarray(value.tensor))
    want = {
        (epoch, corpus, name): np.float32(value)
        for epoch, by_corpus in history.epochs.items()
        for corpus, values in by_corpus.items()
        for name, value in values.items()
    }
    assert found == want
