"""The training loop: one ``fit`` per epoch, checkpoints in between.

from seqmill.trainer import train

train(model, "work/g2p/epochs/train", "work/g2p/epochs/dev", num_epochs=10, folder="work/g2p/model")
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.callbacks.cleanup_old_models import CleanupOldModels
from seqmill.trainer.callbacks.interrupts import Interrupts
from seqmill.trainer.callbacks.reseed_every_epoch import ReseedEveryEpoch
from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint
from seqmill.trainer.callbacks.step_progress import StepProgress
from seqmill.trainer.callbacks.stop_on_nonfinite_train_score import StopOnNonfiniteTrainScore
from seqmill.trainer.callbacks.training_callbacks import TrainingCallbacks
from seqmill.trainer.checkpoints import TRAINED, Checkpoint
from seqmill.trainer.corpus import Corpus, open_corpus
from seqmill.trainer.feed import Feed, check_same_data_keys
from seqmill.trainer.inputs import BatchToXy, default_batch_to_xy
from seqmill.trainer.load_checkpoint import load, load_weights
from seqmill.trainer.options import CleanupPolicy, TrainOptions
from seqmill.trainer.prepare_model import (
    check_callbacks,
    check_one_device,
    device_scope,
    prepare_model,
    without_averages,
)
from seqmill.trainer.progress import EpochTimer, ScalarWriters
from seqmill.trainer.resume import check_same_data, data_facts, find_start, how_to_go_on
from seqmill.trainer.scores import History, callback_logs, flat_scores
from seqmill.trainer.state.model_state import ModelState
from seqmill.trainer.write_model import save_final
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_options import checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer
from seqmill.transforms.storage.terminal import printable

Say = Callable[[str], None]
ExtraScores = Callable[[keras.Model, Corpus], Mapping[str, float]]


def _say(line: str) -> None:
    print(printable(line), flush=True)


def train(
    model: keras.Model,
    train: Corpus | str,
    dev: Corpus | str | Mapping[str, Corpus | str] | None = None,
    *,
    num_epochs: int,
    folder: str,
    distinct_epochs: int | None = None,
    save_interval: int = 1,
    start_epoch: int | Literal["auto"] = "auto",
    resume: Literal["all", "weights"] = "all",
    init_from: str | None = None,
    cleanup_old_models: bool | Mapping[str, Any] | CleanupPolicy = False,
    stop_on_nonfinite_train_score: bool = True,
    seed: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    batch_to_xy: BatchToXy | None = None,
    extra_scores: ExtraScores | None = None,
    say: Say = _say,
) -> History:
    """Trains a model on stored epochs, going on from the last checkpoint in ``folder``.

    Args:
        model: A compiled model.
        train: The corpus to train on, or its folder.
        dev: A corpus to evaluate after each epoch (named ``dev``), or several by name. Callbacks see the
            scores of the first as ``val_loss`` … and those of all as ``<name>_loss`` ….
        num_epochs: Epochs to train in all.
        folder: The model folder (path or URL), for checkpoints, ``scores.json`` and TensorBoard scalars.
        distinct_epochs: See ``TrainOptions``; so for the options that follow.
        save_interval: See ``TrainOptions``.
        start_epoch: See ``TrainOptions``.
        resume: See ``TrainOptions``.
        init_from: See ``TrainOptions``.
        cleanup_old_models: ``True``, a table or a ``CleanupPolicy``.
        stop_on_nonfinite_train_score: See ``TrainOptions``.
        seed: See ``TrainOptions``. The model's initial weights are the caller's.
        callbacks: Keras callbacks; they live across the whole training.
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight), where ``batch`` is a dict of columns
            (``seqmill.trainer.epochs.dataset`` with masks); default: ``trainer.inputs.default_batch_to_xy``.
        extra_scores: function(model, corpus) → more scores of a corpus by name (an error rate, say), computed
            after each evaluation and kept with the others.
        say: Takes the progress lines and warnings.

    Returns:
        The scores of every epoch.

    Raises:
        SeqmillError: The training cannot go on; the message says why and what to do.

    >>> import seqmill
    >>> data = keras.Input((None,), name="data", dtype="int32")
    >>> model = keras.Model(data, keras.layers.Dense(17)(keras.layers.Embedding(17, 8)(data)))
    >>> loss = keras.losses.SparseCategoricalCrossentropy(
    ...     from_logits=True, reduction="mean_with_sample_weight"
    ... )
    >>> model.compile("adam", loss)
    >>> history = seqmill.train(
    ...     model, "work/epochs/train", num_epochs=2, folder="work/model", say=lambda line: None
    ... )
    >>> sorted(history.epochs), list(history.epochs[2]["train"])
    ([1, 2], ['loss'])
    """
    options = checked(
        TrainOptions,
        {
            "num_epochs": num_epochs,
            "distinct_epochs": distinct_epochs,
            "save_interval": save_interval,
            "start_epoch": start_epoch,
            "resume": resume,
            "init_from": init_from,
            "cleanup_old_models": cleanup_old_models,
            "stop_on_nonfinite_train_score": stop_on_nonfinite_train_score,
            "seed": seed,
        },
    )
    others = dev if isinstance(dev, Mapping) else {"dev": dev} if dev is not None else {}
    opened = {name: _opened(corpus) for name, corpus in others.items()}
    return train_with(
        options, model, _opened(train), opened, os.fspath(folder), callbacks, batch_to_xy, extra_scores, say
    )


def train_with(
    options: TrainOptions,
    model: keras.Model,
    train: Corpus,
    others: Mapping[str, Corpus],
    folder: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    batch_to_xy: BatchToXy | None = None,
    extra_scores: ExtraScores | None = None,
    say: Say = _say,
) -> History:
    """``train``, with its options as a ``TrainOptions``."""
    with only_writer(folder, "training"):
        training = _Training(model, train, dict(others), folder, options, batch_to_xy, extra_scores, say)
        try:
            with device_scope(model):
                return training.run(callbacks)
        except KeyboardInterrupt:
            say(f"\n{how_to_go_on(folder, options.start_epoch)}")
            raise


class _Training:
    """One training, from its beginning or a checkpoint to its last epoch."""

    def __init__(
        self,
        model: keras.Model,
        train: Corpus,
        others: dict[str, Corpus],
        folder: str,
        options: TrainOptions,
        batch_to_xy: BatchToXy | None,
        extra_scores: ExtraScores | None,
        say: Say,
    ):
        options.stored_epoch(1, train.num_epochs)
        check_one_device(model)
        for corpus in others.values():
            check_same_data_keys(train, corpus)
        self._model = model
        self._train = train
        self._others = others
        self._folder = folder
        self._options = options
        batch_to_xy = batch_to_xy or default_batch_to_xy(model, train)
        self._feed = Feed(train, batch_to_xy)
        self._feeds = {name: Feed(corpus, batch_to_xy) for name, corpus in others.items()}
        self._extra_scores = extra_scores
        self._say = say
        self._timer = EpochTimer(options.num_epochs)
        self._steps = StepProgress(say)
        self._scalars = ScalarWriters(files.join(folder, "tensorboard"))
        self._data_facts = data_facts(train)

    def run(self, users: Sequence[keras.callbacks.Callback]) -> History:
        checkpoints.remove_leftovers(self._folder)
        users = keras.tree.flatten(list(users))  # Keras takes lists in lists
        check_callbacks(users)
        prepare_model(self._model, self._options.seed, lambda: self._feed.epoch(1))
        state = ModelState(self._model)
        start = find_start(
            self._folder, self._options.start_epoch, self._say, lambda found: self._load(state, found)
        )
        if start.checkpoint is not None:
            alone = ": its weights, with a fresh optimizer and fresh callbacks"
            what = "" if self._options.resume == "all" else alone
            self._say(f"going on from {start.checkpoint.folder}{what}")
        elif self._options.init_from is not None:
            load_weights(self._model, checkpoints.read(self._options.init_from), self._say)
            self._say(f"beginning with the weights of {self._options.init_from}")
        scores.write(self._folder, start.history)
        self._make_callbacks(users, start.history, state)
        self._model.stop_training = False
        with self._interrupts:
            self._callbacks.begin_training()
            logs: dict[str, float] = {}
            if start.checkpoint is not None and self._options.resume == "all":
                logs = self._resume(state, start.checkpoint)
            logs = self._run_epochs(start.epoch, logs)
        self._model.optimizer.finalize_variable_values(self._model.trainable_weights)
        self._callbacks.end_training(logs)
        save_final(state, self._folder, self._save.history)
        return self._save.history

    def _load(self, state: ModelState, checkpoint: Checkpoint) -> None:
        is_explicit = self._options.start_epoch != "auto"
        then, now = checkpoint.content["versions"]["backend"], keras.backend.backend()
        if then != now:
            self._say(f"changed since epoch {checkpoint.epoch}: Keras' backend was {then}, is {now}")
        check_same_data(checkpoint, self._data_facts, self._options.seed, is_explicit, self._say)
        if self._options.resume == "all":
            load(state, checkpoint, self._say)
        else:
            load_weights(self._model, checkpoint, self._say)

    def _make_callbacks(
        self, users: Sequence[keras.callbacks.Callback], history: History, state: ModelState
    ) -> None:
        """The three of ``seqmill.trainer``, the loop's own and the user's."""
        facts = {"seed": self._options.seed, "data": self._data_facts}
        self._save = SaveCheckpoint(
            self._folder, self._options.save_interval, users, "trained", facts, self._say
        )
        self._save.history, self._save.model_state = history, state
        self._interrupts = Interrupts()
        guard = []
        if self._options.stop_on_nonfinite_train_score:
            guard = [StopOnNonfiniteTrainScore(self._folder, self._train, self._stored_epoch)]
        cleanup = []
        if (policy := self._options.cleanup_old_models) is not None:
            cleanup = [
                CleanupOldModels(
                    self._folder,
                    policy.keep_last_n,
                    policy.keep_best_n,
                    policy.keep,
                    keep_best_by=policy.keep_best_by,
                    say=self._say,
                )
            ]
        self._callbacks = TrainingCallbacks(
            before=[ReseedEveryEpoch(self._options.seed), *guard, self._steps, self._interrupts],
            users=users,
            after=[self._save, *cleanup],
            at_once=[*guard, self._save],
            model=self._model,
            num_epochs=self._options.num_epochs,
        )

    def _resume(self, state: ModelState, checkpoint: Checkpoint) -> dict[str, float]:
        """Takes model and callbacks to where they were when the checkpoint's epoch had ended."""
        epoch = checkpoint.epoch
        if checkpoint.content["moment"] == TRAINED:  # killed while evaluating: that is done again
            self._callbacks.replay_epoch_begin(epoch - 1)
            self._put_back(state, checkpoint)
            return self._end_epoch(epoch, self._evaluate(epoch, anew=True))
        self._save.restore_callbacks(checkpoint, self._say, self._changed_data(epoch))
        logs = self._evaluate(epoch)
        self._put_back(state, checkpoint)
        self._ask_again(state, checkpoint, logs)
        return logs

    def _put_back(self, state: ModelState, checkpoint: Checkpoint) -> None:
        """Model and callbacks as the checkpoint has them, whatever callbacks did to them since."""
        load(state, checkpoint, _nothing)
        self._save.restore_callbacks(checkpoint, _nothing, self._changed_data(checkpoint.epoch))

    def _ask_again(self, state: ModelState, checkpoint: Checkpoint, logs: Mapping[str, float]) -> None:
        """A callback that had ended the training may, with more patience or time, not do so again."""
        stopped_by = checkpoint.content.get("stopped_by")
        callback = None if stopped_by is None else self._save.callback_of(checkpoint, stopped_by)
        if callback is not None and self._save.restore_before_end(checkpoint, callback):
            callback.on_epoch_end(checkpoint.epoch - 1, dict(logs))
            if not self._model.stop_training:
                self._put_back(state, checkpoint)

    def _changed_data(self, epoch: int) -> list[str]:
        """Prefixes of the scores whose corpora are not those that were scored after an epoch."""
        now = {name: corpus.manifest.fingerprint for name, corpus in self._others.items()}
        return self._save.history.changed_scores(epoch, now)

    def _run_epochs(self, first: int, logs: dict[str, float]) -> dict[str, float]:
        epoch = first - 1
        if epoch >= self._options.num_epochs:
            self._say(
                f"epochs trained: {epoch}, asked for: {self._options.num_epochs}; nothing left to train"
            )
        while epoch < self._options.num_epochs and not self._model.stop_training:
            epoch += 1
            logs = self._train_epoch(epoch)
        if self._model.stop_training and not self._save.is_whole:
            self._say(
                f"a callback ended the training inside epoch {epoch}: its steps are in model/final alone, "
                "and the same command trains them again"
            )
        elif self._model.stop_training and epoch < self._options.num_epochs:
            self._say(f"a callback ended the training after epoch {epoch}")
        return logs

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """The steps of one epoch, in an order in which training may be killed anywhere."""
        stored = self._train.epoch(self._stored_epoch(epoch))
        self._timer.begin()
        self._fit(epoch, stored.epoch)  # writes the train score and the checkpoint
        self._timer.trained()
        logs = self._evaluate(epoch)
        self._say(self._timer.end(epoch, stored, self._save.history.epochs[epoch]))
        return self._end_epoch(epoch, logs)

    def _end_epoch(self, epoch: int, logs: dict[str, float]) -> dict[str, float]:
        """Lets the callbacks see the end of an epoch, and keeps what they made of it."""
        stopped_by = self._callbacks.end_epoch(epoch - 1, logs)
        if self._save.is_whole:
            self._save.end_epoch(epoch, stopped_by)
        return logs

    def _fit(self, epoch: int, stored: int) -> None:
        with self._feed.epoch(stored) as data, self._showing(f"epoch {epoch}, train", data):
            num_batches = int(data.cardinality())
            self._callbacks.expect_steps(num_batches)
            self._model._initial_epoch = None  # a callback's wish to begin elsewhere
            with without_averages(self._model):
                self._model.fit(
                    data,
                    initial_epoch=epoch - 1,
                    epochs=epoch,
                    shuffle=False,
                    verbose=0,
                    callbacks=self._callbacks,
                )
        if not self._model.stop_training and not self._save.has_trained(epoch, num_batches):
            raise SeqmillError(
                f"epoch {epoch}: {num_batches} batches were to be trained, but Keras trained fewer; what "
                "a callback does to the model must not end an epoch early (stop_training ends the training)"
            )

    def _evaluate(self, epoch: int, anew: bool = False) -> dict[str, float]:
        """Scores the other corpora, where not yet done or ``anew``; all scores as callbacks see them."""
        history = self._save.history
        known = history.epochs[epoch]
        for name, corpus in self._others.items():
            if anew or name not in known:
                found = self._scores_of(epoch, name, corpus)
                history.add(epoch, name, found, corpus.manifest.fingerprint)
                scores.write(self._folder, history)
                if not all(math.isfinite(value) for value in known[name].values()):
                    self._say(f"epoch {epoch}: the {name} score is not finite: {known[name]}")
        self._scalars.write(epoch, known)
        return callback_logs(known, list(self._others))

    def _scores_of(self, epoch: int, name: str, corpus: Corpus) -> dict[str, float]:
        with self._feeds[name].epoch(1) as data, self._showing(f"epoch {epoch}, {name}", data):
            found = self._model.evaluate(data, verbose=0, callbacks=self._callbacks, return_dict=True)
        values = flat_scores(found)
        if self._extra_scores is not None:
            values.update(self._extra_scores(self._model, corpus))
        return values

    @contextlib.contextmanager
    def _showing(self, what: str, data: tf.data.Dataset) -> Iterator[None]:
        self._steps.begin(what, int(data.cardinality()))
        try:
            yield
        finally:
            self._steps.end()

    def _stored_epoch(self, epoch: int) -> int:
        return self._options.stored_epoch(epoch, self._train.num_epochs)


def _nothing(line: str) -> None:
    """Says nothing: it has been said."""


def _opened(corpus: Corpus | str) -> Corpus:
    return corpus if isinstance(corpus, Corpus) else open_corpus(corpus)
