"""What a user changes between two runs: taken over or refused, and always said."""

import shutil
from pathlib import Path

import keras
import models
import numpy as np
import orjson
import pytest
from epoch_folders import SPECS, regression_epochs, write_corpus
from test_all_state import LOSS, KillAt, Killed, frames, plain
from training_runs import run

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.cleanup import clean_up
from seqmill.trainer.options import CleanupPolicy
from seqmill.trainer.resume import check_same_data
from seqmill.transforms.storage.errors import SeqmillError, UsageError


@pytest.fixture(scope="module")
def corpora(small_corpora):
    return small_corpora


@pytest.fixture(scope="module")
def trained(corpora, tmp_path_factory):
    """The folder of a training of one epoch, which no test may change."""
    folder = tmp_path_factory.mktemp("trained")
    run(corpora, folder, 1, sgd(0.1))
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def sgd(rate, momentum=0.9, **arguments):
    return frames(list, keras.optimizers.SGD(rate, momentum=momentum), **arguments)


def test_another_learning_rate_takes_effect_and_is_said(corpora, folder):
    model = sgd(0.01)
    lines = run(corpora, folder, 2, model)[2]
    assert "changed since the training began: optimizer's learning_rate was 0.1, is 0.01" in lines
    assert float(model.optimizer.learning_rate) == np.float32(0.01)
    lines = run(corpora, folder, 3, sgd(0.01))[2]
    assert not any("changed since" in line for line in lines)


def test_a_learning_rate_that_a_callback_lowered_stays_lowered(corpora, tmp_path):
    class Lower(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.03

    run(corpora, tmp_path, 1, sgd(0.1), callbacks=[Lower()])
    model = sgd(0.1)
    run(corpora, tmp_path, 2, model)
    assert float(model.optimizer.learning_rate) == np.float32(0.03)


def test_other_hyperparameters_and_another_loss_are_said(corpora, folder):
    model = sgd(0.1, momentum=0.5)
    model.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=4)
    lines = run(corpora, folder, 2, model)[2]
    assert "changed since the training began: optimizer's momentum was 0.9, is 0.5" in lines
    assert "changed since the training began: the loss" in lines


def test_a_training_that_has_all_its_epochs_says_so(corpora, folder):
    lines = run(corpora, folder, 1, sgd(0.1))[2]
    assert lines[-1] == "epochs trained: 1, asked for: 1; nothing left to train"


def test_a_changed_vocabulary_is_named_with_what_to_do():
    def facts(labels, num_labels, dtype="int32"):
        key = {"dtype": dtype, "feature_shape": [], "num_labels": num_labels, "labels": labels}
        return {"fingerprint": "f", "options": {}, "data_keys": {"classes": key}}

    def compare(now):
        content = {"data": facts("abc", 19), "seed": 1}
        trained = Checkpoint("model/epoch-0003", 3, "id", content, content)
        check_same_data(trained, now, seed=1, explicit=True, say=list)

    compare(facts("abc", 19))
    for labels, num_labels in (("other order", 19), ("one more", 20)):
        with pytest.raises(
            SeqmillError, match=rf"vocabulary of classes .*19 .*{num_labels} .*set data\.classes\.vocab"
        ):
            compare(facts(labels, num_labels))
    with pytest.raises(SeqmillError, match=r"other data: data\.classes: dtype was 'int32', is 'float32'"):
        compare(facts(None, None, "float32"))


def frozen():
    return frames(lambda: [keras.layers.Dense(4, trainable=False)], keras.optimizers.SGD(0.1, momentum=0.9))


def unfrozen():
    return frames(lambda: [keras.layers.Dense(4)], keras.optimizers.SGD(0.1, momentum=0.9))


def test_another_optimizer_is_refused_unless_weights_alone_are_wanted(corpora, folder):
    other = frames(list, keras.optimizers.RMSprop(0.01))
    with pytest.raises(SeqmillError, match=r'optimizer was SGD, is RMSprop.*resume = "weights"'):
        run(corpora, folder, 2, other)
    first = checkpoints.find(str(folder))[0][1]
    _, history, lines = run(corpora, folder, 2, other, resume="weights")
    assert sorted(history.epochs) == [1, 2] and int(other.optimizer.iterations) == 2
    assert f"going on from {first.folder}: its weights, with a fresh optimizer and fresh callbacks" in lines


def test_unfrozen_layers_are_refused_unless_weights_alone_are_wanted(corpora, tmp_path):
    run(corpora, tmp_path, 1, frozen())
    with pytest.raises(SeqmillError, match=r"layer .* learns now: the optimizer's state does not fit"):
        run(corpora, tmp_path, 2, unfrozen())
    assert sorted(run(corpora, tmp_path, 2, unfrozen(), resume="weights")[1].epochs) == [1, 2]


def test_added_layers_are_refused_unless_weights_alone_are_wanted(corpora, folder):
    def wider():
        keras.utils.set_random_seed(1)
        data = keras.Input((None, 3), name="data")
        added = keras.layers.Dense(3, name="added")(data)
        model = keras.Model(data, keras.layers.Dense(5)(added))
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), LOSS(), run_eagerly=True)
        return model

    with pytest.raises(SeqmillError, match="is of another model: 2 variables, the model has 4"):
        run(corpora, folder, 2, wider())
    lines = run(corpora, folder, 2, wider(), resume="weights")[2]
    assert any(
        "does not hold added/kernel, added/bias: left as the model file makes them" in x for x in lines
    )


def test_a_new_training_begins_with_the_weights_of_another(corpora, folder, tmp_path):
    source = str(folder / "epoch-0001")
    seen = []

    class See(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(self.model.get_weights())

    lines = run(corpora, tmp_path / "tuned", 1, sgd(0.5), init_from=source, callbacks=[See()])[2]
    assert f"beginning with the weights of {source}" in lines
    stored = sgd(0.1)
    stored.load_weights(folder / "epoch-0001/model.weights.h5")
    for a, b in zip(seen[0], stored.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(SeqmillError, match=r"nowhere: no checkpoint\.json"):
        run(corpora, tmp_path / "other", 1, sgd(0.5), init_from="nowhere")


def test_a_layer_that_a_callback_unfroze_is_unfrozen_when_training_goes_on(corpora, tmp_path):
    class Unfreeze(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.layers[1].trainable = True
                optimizer = keras.optimizers.SGD(0.01, momentum=0.5)
                self.model.compile(optimizer, LOSS(), run_eagerly=True)

    straight, resumed = frozen(), frozen()
    run(corpora, tmp_path / "a", 3, straight, callbacks=[Unfreeze()])
    with pytest.raises(Killed):
        run(corpora, tmp_path / "b", 3, frozen(), callbacks=[Unfreeze(), KillAt(2)])
    lines = run(corpora, tmp_path / "b", 3, resumed, callbacks=[Unfreeze()])[2]
    assert any("those that a callback had set" in line for line in lines)
    assert len(resumed.trainable_variables) == 4
    for a, b in zip(models.values(straight), models.values(resumed), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("name", ["state.npz", "model.weights.h5", "ended.npz"])
def test_a_newest_checkpoint_that_is_rotten_is_named_and_the_one_before_used(corpora, tmp_path, name):
    run(corpora, tmp_path, 2, plain())
    path = tmp_path / "epoch-0002" / name
    content = path.read_bytes()
    path.write_bytes(bytes(byte ^ 1 for byte in content))
    _, history, lines = run(corpora, tmp_path, 3, plain())
    assert any(line.startswith("passed over:") and "epoch-0002" in line for line in lines)
    assert any(line.endswith("epoch-0001") and line.startswith("going on") for line in lines)
    assert sorted(history.epochs) == [1, 2, 3]


def test_scores_on_other_data_are_not_ranked_together_nor_monitored(corpora, tmp_path):
    def stopping():
        return [keras.callbacks.EarlyStopping("val_loss", mode="min", patience=9)]

    run(corpora, tmp_path / "m", 2, plain(), callbacks=stopping())
    other = write_corpus(tmp_path / "dev", regression_epochs([1], seed=9), SPECS, fingerprint="other data")
    watching = stopping()
    lines = run([corpora[0], other], tmp_path / "m", 4, plain(), callbacks=watching)[2]
    assert any("the data that val_loss is measured on have changed: it starts anew" in line for line in lines)
    history = scores.read(str(tmp_path / "m"))
    assert [history.measured_on[epoch]["dev"] for epoch in (1, 4)] == ["fingerprint", "other data"]
    ranked = history.ranked()
    assert list(ranked[1]) == ["dev_loss on other data (fingerpr)"] and list(ranked[4]) == ["dev_loss"]
    assert watching[0].best == min(history.epochs[epoch]["dev"]["loss"] for epoch in (3, 4))


def test_checkpoints_are_ranked_by_the_score_that_is_asked_for(corpora, tmp_path):
    per = {1: 0.3, 2: 0.1, 3: 0.2, 4: 0.4}

    def extra_scores(model, corpus):
        return {"per": per[len(checkpoints.find(str(tmp_path))[0])]}

    run(corpora, tmp_path, 4, plain(), extra_scores=extra_scores)
    for by, best in (("dev.per", 2), ("dev.per:max", 4), ("dev.per:min", 2)):
        policy = CleanupPolicy(1, 1, frozenset(), by)
        assert [one.epoch for one in clean_up(str(tmp_path), policy, dry_run=True) if one.keep] == sorted(
            {best, 4}
        )
    with pytest.raises(UsageError, match=r"keep_best_by: 'per'; expected <corpus>\.<score>"):
        CleanupPolicy(keep_best_by="per")


def test_without_a_score_to_rank_by_nothing_is_deleted(corpora, tmp_path):
    policy = {"keep_last_n": 1, "keep_best_n": 1, "keep": [], "keep_best_by": "dev.per"}
    lines = run(corpora, tmp_path, 3, plain(), cleanup_old_models=policy)[2]
    assert sorted(checkpoints.find(str(tmp_path))[0]) == [1, 2, 3]
    assert len([line for line in lines if "no checkpoint is deleted: dev.per is no score" in line]) == 1


def test_the_final_model_is_what_the_training_arrived_at(corpora, tmp_path):
    stopping = keras.callbacks.EarlyStopping("val_loss", mode="max", patience=1, restore_best_weights=True)
    model = plain()
    _, history, _ = run(corpora, tmp_path, 6, model, callbacks=[stopping])
    assert max(history.epochs) == 2
    told = orjson.loads((tmp_path / "final/model.json").read_bytes())
    assert told["epoch"] == 2 and told["file"] == "model.keras" and told["scores"]["dev"]["loss"] > 0
    loaded = keras.saving.load_model(tmp_path / "final/model.keras")
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_final_model_that_keras_cannot_load_is_weights(corpora, tmp_path):
    class Unregistered(keras.layers.Layer):
        def call(self, x):
            return x * 2

    model = frames(lambda: [Unregistered()])
    run(corpora, tmp_path, 1, model)
    told = orjson.loads((tmp_path / "final/model.json").read_bytes())
    assert told["file"] == "model.weights.h5" and told["why_no_model"]
    assert not (tmp_path / "final/model.keras").exists()


def test_steps_of_an_epoch_that_was_stopped_inside_are_in_the_final_model(corpora, tmp_path):
    class StepLimit(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = int(self.model.optimizer.iterations) >= 3

    model = plain()
    lines = run(corpora, tmp_path, 4, model, callbacks=[StepLimit()])[2]
    assert "a callback ended the training inside epoch 2" in lines[-1]
    assert list(checkpoints.find(str(tmp_path))[0]) == [1]
    loaded = keras.saving.load_model(tmp_path / "final/model.keras")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_backup_and_restore_is_refused(corpora, tmp_path):
    with pytest.raises(UsageError, match="BackupAndRestore: puts back epochs of its own"):
        run(corpora, tmp_path, 1, plain(), callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "b")])
