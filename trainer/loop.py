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

from seqmill.trainer import checkpoints, epochs, scores
from seqmill.trainer.callbacks import TrainingCallbacks
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.cleanup import CleanupOldModels
from seqmill.trainer.epochs import Corpus
from seqmill.trainer.inputs import BatchToXy, default_batch_to_xy
from seqmill.trainer.interrupts import Interrupts
from seqmill.trainer.nonfinite import StopOnNonfiniteTrainScore
from seqmill.trainer.options import CleanupPolicy, TrainOptions, cleanup_policy
from seqmill.trainer.progress import EpochTimer, ScalarWriters
from seqmill.trainer.resume import check_same_data, data_facts, find_start
from seqmill.trainer.scores import History, flat_scores
from seqmill.trainer.seeds import ReseedEveryEpoch
from seqmill.trainer.step_progress import StepProgress
from seqmill.trainer.stored_epoch import StoredEpoch
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer

Say = Callable[[str], None]
ExtraScores = Callable[[keras.Model, Corpus], Mapping[str, float]]


def _say(line: str) -> None:
    print(line, flush=True)


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
    """
    options = TrainOptions(
        num_epochs=num_epochs,
        distinct_epochs=distinct_epochs,
        save_interval=save_interval,
        start_epoch=start_epoch,
        cleanup_old_models=cleanup_policy(cleanup_old_models),
        stop_on_nonfinite_train_score=stop_on_nonfinite_train_score,
        seed=seed,
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
            return training.run(callbacks)
        except KeyboardInterrupt:
            say(f"\n{_how_to_go_on(folder, options)}")
            raise


def _how_to_go_on(folder: str, options: TrainOptions) -> str:
    history = scores.read(folder) or History()
    own = checkpoints.owned(checkpoints.find(folder)[0], history)
    if not own:
        return "interrupted; there is no checkpoint yet. The same command begins again."
    kept = f"interrupted; the last checkpoint is that of epoch {max(own)}."
    if options.start_epoch == "auto":
        return f"{kept} The same command goes on from there."
    return f'{kept} To go on from there, set start_epoch = "auto".'


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
        _check_one_device(model)
        for corpus in others.values():
            _check_same_data_keys(train, corpus)
        self._model = model
        self._train = train
        self._others = others
        self._folder = folder
        self._options = options
        self._batch_to_xy = batch_to_xy or default_batch_to_xy(model, train)
        self._extra_scores = extra_scores
        self._say = say
        self._guard = StopOnNonfiniteTrainScore(folder) if options.stop_on_nonfinite_train_score else None
        self._timer = EpochTimer(options.num_epochs)
        self._steps = StepProgress(say)
        self._interrupts = Interrupts()
        self._scalars = ScalarWriters(files.join(folder, "tensorboard"))
        self._data_facts = data_facts(train)

    def run(self, user_callbacks: Sequence[keras.callbacks.Callback]) -> History:
        checkpoints.remove_leftovers(self._folder)
        start = find_start(self._folder, self._options, self._say)
        self._prepare_model()
        if start.checkpoint is not None:
            is_explicit = self._options.start_epoch != "auto"
            check_same_data(start.checkpoint, self._data_facts, self._options.seed, is_explicit, self._say)
            checkpoints.load(self._model, start.checkpoint)
            self._say(f"going on from {start.checkpoint.folder}")
        self._history = start.history
        scores.write(self._folder, self._history)
        resumed_from = start.checkpoint.epoch if start.checkpoint else None
        self._callbacks = self._make_callbacks(user_callbacks, resumed_from)
        self._model.stop_training = False
        with self._interrupts, _ema_overwrite_at_end(self._model):
            self._callbacks.begin_training()
            if start.checkpoint is not None:
                self._resume_callbacks(start.checkpoint, has_own=bool(user_callbacks))
            logs = self._run_epochs(start.epoch)
        self._callbacks.end_training(logs)
        return self._history

    def _resume_callbacks(self, checkpoint: Checkpoint, has_own: bool) -> None:
        """Takes callbacks to the end of the checkpoint's epoch, by way of its beginning."""
        if has_own:
            self._callbacks.on_epoch_begin(checkpoint.epoch - 1)
            checkpoints.load(self._model, checkpoint)  # they may have changed the model
        self._callbacks.restore(checkpoint.content["callbacks"])

    def _run_epochs(self, first: int) -> dict[str, float]:
        logs: dict[str, float] = {}
        if first > 1:  # what a checkpoint holds is the state before the end of its epoch
            logs = self._evaluate(first - 1)
            self._callbacks.end_epoch(first - 2, logs)
        for epoch in range(first, self._options.num_epochs + 1):
            if self._model.stop_training:
                self._say(f"a callback ended the training after epoch {epoch - 1}")
                break
            logs = self._train_epoch(epoch)
        return logs

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """The steps of one epoch, in an order in which training may be killed anywhere."""
        stored = self._train.epoch(self._options.stored_epoch(epoch, self._train.num_epochs))
        self._timer.begin()
        self._fit(epoch, stored.epoch)
        self._timer.trained()
        is_whole = not self._model.stop_training
        self._history.add(epoch, "train", self._callbacks.epoch_logs)
        scores.write(self._folder, self._history)
        is_due = epoch % self._options.save_interval == 0 or epoch == self._options.num_epochs
        state = self._callbacks.state()
        if is_whole and is_due:
            self._save(epoch, state)
        logs = self._evaluate(epoch)
        self._say(self._timer.end(epoch, stored, self._history.epochs[epoch]))
        self._callbacks.end_epoch(epoch - 1, logs)
        if is_whole and not is_due and self._model.stop_training:
            self._save(epoch, state)
        return logs

    def _fit(self, epoch: int, stored: int) -> None:
        data, reader = self._dataset(self._train, stored)
        if self._guard is not None:
            self._guard.read_batch = reader.batch
        with _own_errors(reader), self._showing_steps(f"epoch {epoch}, train", data):
            self._model.fit(
                data,
                initial_epoch=epoch - 1,
                epochs=epoch,
                shuffle=False,
                verbose=0,
                callbacks=self._callbacks,
            )

    def _evaluate(self, epoch: int) -> dict[str, float]:
        """Scores the other corpora, where that is not yet done; all scores as callbacks see them."""
        known = self._history.epochs[epoch]
        for name, corpus in self._others.items():
            if name not in known:
                data, reader = self._dataset(corpus, 1)
                with _own_errors(reader), self._showing_steps(f"epoch {epoch}, {name}", data):
                    found = self._model.evaluate(data, verbose=0, callbacks=self._callbacks, return_dict=True)
                values = flat_scores(found)
                if self._extra_scores is not None:
                    values.update(self._extra_scores(self._model, corpus))
                self._history.add(epoch, name, values)
                scores.write(self._folder, self._history)
                if not all(math.isfinite(value) for value in values.values()):
                    self._say(f"epoch {epoch}: the {name} score is not finite: {values}")
        self._scalars.write(epoch, known)
        return _callback_logs(known, list(self._others))

    def _save(self, epoch: int, callbacks_state: list[dict[str, Any]]) -> None:
        content = {
            "training": self._history.training,
            "history": self._history.to_json(),
            "callbacks": callbacks_state,
            "seed": self._options.seed,
            "data": self._data_facts,
        }
        checkpoints.save(self._model, self._folder, epoch, content)

    @contextlib.contextmanager
    def _showing_steps(self, what: str, data: tf.data.Dataset) -> Iterator[None]:
        self._steps.begin(what, int(data.cardinality()))
        try:
            yield
        finally:
            self._steps.end()

    def _dataset(self, corpus: Corpus, stored: int) -> tuple[tf.data.Dataset, StoredEpoch]:
        reader = StoredEpoch(corpus.folder, corpus.epoch(stored), corpus.manifest.data_keys)
        data = epochs.dataset(corpus, stored, masks=True, transform=self._batch_to_xy, reader=reader)
        return data, reader

    def _prepare_model(self) -> None:
        """Makes all variables exist, so that a checkpoint can be loaded into them."""
        keras.utils.set_random_seed(self._options.seed)
        if not self._model.built:
            data, reader = self._dataset(self._train, 1)
            with _own_errors(reader):
                x = next(data.as_numpy_iterator())[0]
            _build(self._model, x)
        if not self._model.optimizer.built:
            self._model.optimizer.build(self._model.trainable_variables)
        compile_config = getattr(getattr(self._model, "_compile_config", None), "config", {})
        if keras.backend.backend() == "tensorflow" and compile_config.get("jit_compile") == "auto":
            self._model.jit_compile = False  # XLA would compile once per batch shape

    def _make_callbacks(
        self, user_callbacks: Sequence[keras.callbacks.Callback], resumed_from: int | None
    ) -> TrainingCallbacks:
        guard = [self._guard] if self._guard else []
        first = [ReseedEveryEpoch(self._options.seed), *guard, self._steps, self._interrupts]
        policy = self._options.cleanup_old_models
        last = [CleanupOldModels(self._folder, policy, resumed_from)] if policy else []
        return TrainingCallbacks(first, [*user_callbacks, *last], self._model, self._options.num_epochs)


def _opened(corpus: Corpus | str) -> Corpus:
    return corpus if isinstance(corpus, Corpus) else epochs.open_corpus(os.fspath(corpus))


def _check_same_data_keys(train: Corpus, other: Corpus) -> None:
    for key, spec in train.manifest.data_keys.items():
        found = other.manifest.data_keys.get(key)
        if found is None or (found.dtype, found.feature_shape) != (spec.dtype, spec.feature_shape):
            raise SeqmillError(
                f"{other.folder}: data key {key!r} is {found}, but in {train.folder} it is {spec}; "
                "run `seqmill preprocess` for both"
            )


def _build(model: keras.Model, x: Any) -> None:
    """Calls a model once, so that it makes its variables. Raises SeqmillError."""
    try:
        model(x, training=False)
    except (TypeError, ValueError, KeyError) as error:
        given = keras.tree.map_structure(lambda array: f"{array.dtype} {list(array.shape)}", x)
        raise SeqmillError(
            f"the model cannot be called on a batch: {error}\nIt was called on: {given}\n"
            "Define batch_to_xy(batch) in the model file to give it something else."
        ) from error


def _check_one_device(model: keras.Model) -> None:
    num_replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    if num_replicas > 1:
        raise SeqmillError(
            f"the model is built for {num_replicas} devices (tf.distribute), expected one: Keras splits each "
            "batch between them, and fails where its sequences do not divide evenly"
        )


def _callback_logs(scored: Mapping[str, Mapping[str, float]], others: Sequence[str]) -> dict[str, float]:
    """Train scores by their names, those of the first other corpus as ``val_…``, of all as ``<corpus>_…``."""
    logs = dict(scored["train"])
    for name in others:
        logs.update({f"{name}_{metric}": value for metric, value in scored[name].items()})
    if others:
        logs.update({f"val_{metric}": value for metric, value in scored[others[0]].items()})
    return logs


@contextlib.contextmanager
def _own_errors(reader: StoredEpoch) -> Iterator[None]:
    """Raises what went wrong while reading, which TensorFlow wraps in an error of its own."""
    try:
        yield
    except tf.errors.OpError:
        if reader.error is not None:
            raise reader.error from None
        raise


@contextlib.contextmanager
def _ema_overwrite_at_end(model: keras.Model) -> Iterator[None]:
    """Overwrites weights with their averages (``use_ema``) after the training, not after each ``fit``."""
    optimizer = model.optimizer
    optimizer.finalize_variable_values = lambda var_list: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values
    optimizer.finalize_variable_values(model.trainable_weights)
