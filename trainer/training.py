"""One training: from its beginning or a checkpoint to its last epoch, or as far as its time allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.callbacks.cleanup_old_models import CleanupOldModels
from seqmill.trainer.callbacks.interrupts import Interrupts
from seqmill.trainer.callbacks.reseed_every_epoch import ReseedEveryEpoch
from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint
from seqmill.trainer.callbacks.save_inside import EndedEarlyError, SaveInside
from seqmill.trainer.callbacks.step_progress import StepProgress
from seqmill.trainer.callbacks.stop_on_nonfinite_train_score import StopOnNonfiniteTrainScore
from seqmill.trainer.callbacks.training_callbacks import TrainingCallbacks
from seqmill.trainer.checkpoints import INSIDE, TRAINED, Checkpoint
from seqmill.trainer.corpus import Corpus
from seqmill.trainer.devices import check_splittable, num_devices, say_changed_devices, say_filling
from seqmill.trainer.evaluation import Evaluation, ExtraScores
from seqmill.trainer.feed import Feed, check_same_data_keys, pads_batches
from seqmill.trainer.inputs import BatchToXy, default_batch_to_xy
from seqmill.trainer.load_checkpoint import load, load_weights
from seqmill.trainer.options import TrainOptions
from seqmill.trainer.prepare_model import check_callbacks, prepare_model, without_averages
from seqmill.trainer.progress import EpochTimer, duration
from seqmill.trainer.put_back import PutBack
from seqmill.trainer.resume import (
    Start,
    check_same_data,
    data_facts,
    find_checkpoint,
    find_start,
    how_to_go_on,
)
from seqmill.trainer.scores import History
from seqmill.trainer.source import BatchSource, open_source
from seqmill.trainer.state.metric_states import MetricStates, build_metrics
from seqmill.trainer.state.model_state import ModelState, num_bytes
from seqmill.trainer.supply import EpochData, Supply
from seqmill.trainer.time_limit import TimeLimit
from seqmill.trainer.write_model import save_final
from seqmill.transforms.storage.errors import SeqmillError

TERMINATED = 143  # what shells report for a process that SIGTERM ended

Say = Callable[[str], None]


class Training:
    """One training, from its beginning or a checkpoint to its last epoch.

    Args:
        model: A compiled model.
        supply: What its epochs consist of.
        others: Corpora to evaluate, by name.
        folder: The model folder.
        options: The options.
        batch_to_xy: See ``train``; so for what follows.
        extra_scores: See ``train``.
        say: See ``train``.
        begun: When ``stop_after`` begins, by ``time.monotonic``.
    """

    def __init__(
        self,
        model: keras.Model,
        supply: Supply,
        others: Mapping[str, Corpus],
        folder: str,
        options: TrainOptions,
        batch_to_xy: BatchToXy | None,
        extra_scores: ExtraScores | None,
        say: Say,
        begun: float,
    ):
        train = supply.common
        for corpus in others.values():
            check_same_data_keys(train, corpus)
        self._model, self._supply, self._others = model, supply, others
        self._folder, self._options, self._say = folder, options, say
        self._num_devices = num_devices(model, say)
        check_splittable([train, *others.values()], self._num_devices)
        batch_to_xy = batch_to_xy or default_batch_to_xy(model, train)
        fills = self._num_devices > 1 or any(map(pads_batches, [train, *others.values()]))
        self._multiple = self._num_devices if fills else None
        if self._multiple == 1:
            say_filling(model, say)
        self._feed = Feed(train, batch_to_xy, self._multiple)
        self._timer = EpochTimer(options.num_epochs)
        self._steps = StepProgress(say)
        self._evaluation = Evaluation(
            model, others, folder, batch_to_xy, extra_scores, self._steps, say, self._multiple
        )
        self._data_facts = data_facts(train.manifest)
        self._limit = TimeLimit(options.stop_after, begun)
        self._interrupts = Interrupts()

    def run(self, users: Sequence[keras.callbacks.Callback]) -> History:
        """Trains; the scores of every epoch so far.

        Args:
            users: The user's callbacks.

        Raises:
            SystemExit: SIGTERM has arrived, and all is saved.
        """
        try:
            return self._run(users)
        finally:
            self._supply.close()

    def _run(self, users: Sequence[keras.callbacks.Callback]) -> History:
        checkpoints.remove_leftovers(self._folder)
        users = keras.tree.flatten(list(users))  # Keras takes lists in lists
        check_callbacks(users)
        # Batches are needed even where nothing is left to train, for models that are built by them.
        most = self._options.num_epochs - (not self._others)
        found = find_checkpoint(self._folder, self._options.start_epoch)
        self._supply.begin(replace(found, epoch=min(found.epoch, most + 1)))
        open_feed = self._open_any
        prepare_model(self._model, self._options.seed, open_feed, self._multiple)
        build_metrics(self._model, open_feed)
        state, metrics = ModelState(self._model), MetricStates(self._model)
        load_it, why_not = partial(self._load, state), self._why_not
        start = find_start(self._folder, self._options.start_epoch, self._say, load_it, why_not)
        self._supply.begin(start)
        self._say_start(start)
        scores.write(self._folder, start.history)
        self._make_callbacks(users, start.history, state, metrics)
        self._model.stop_training = False
        with self._interrupts:
            self._callbacks.begin_training()
            try:
                logs = self._run_epochs(start)
            except EndedEarlyError:
                return self._end_early()
        self._model.optimizer.finalize_variable_values(self._model.trainable_weights)
        self._callbacks.end_training(logs)
        save_final(state, self._folder, self._save.history)
        self._supply.close(is_over=True)
        return self._save.history

    def _open_any(self) -> AbstractContextManager[tf.data.Dataset]:
        """Batches such as those that are trained on: those that are next, where not all epochs are there."""
        data = self._supply.any(is_needed=not self._others)
        return self._evaluation.open_any() if data is None else self._open(data)

    def _open(self, data: EpochData, first_batch: int = 0) -> AbstractContextManager[tf.data.Dataset]:
        return self._feed.epoch(data.stored, first_batch, data.corpus)

    def _say_start(self, start: Start) -> None:
        if start.checkpoint is not None:
            where = start.checkpoint.folder
            if start.first_batch:
                num_batches = start.checkpoint.content["batches_of"]["num_batches"]
                where += (
                    f" ({start.first_batch:,} of the {num_batches:,} batches of epoch {start.epoch} are done)"
                )
            alone = ": its weights, with a fresh optimizer and fresh callbacks"
            self._say(f"going on from {where}{'' if self._resumes_all else alone}")
        elif self._options.init_from is not None:
            load_weights(self._model, checkpoints.read(self._options.init_from), self._say)
            self._say(f"beginning with the weights of {self._options.init_from}")

    def _end_early(self) -> History:
        """All is saved, and the training is to end before its last epoch."""
        spent = duration(time.monotonic() - self._limit.begun)
        why = "terminated" if self._interrupts.is_terminated else "ended, as stop_after asks"
        self._say(f"{why}, after {spent}; {how_to_go_on(self._folder, self._options.start_epoch)}")
        if self._interrupts.is_terminated:
            raise SystemExit(TERMINATED)
        return self._save.history

    def _why_not(self, inside: Checkpoint) -> str:
        if inside.epoch > self._options.num_epochs:
            return f"num_epochs = {self._options.num_epochs} ends before it"
        return self._supply.why_not_inside(inside)

    def _load(self, state: ModelState, checkpoint: Checkpoint) -> None:
        is_explicit = self._options.start_epoch != "auto"
        then, now = checkpoint.content["versions"]["backend"], keras.backend.backend()
        if then != now:
            self._say(f"changed since epoch {checkpoint.epoch}: Keras' backend was {then}, is {now}")
        say_changed_devices(checkpoint, self._num_devices, self._say)
        check_same_data(checkpoint, self._data_facts, self._options.seed, is_explicit, self._say)
        if self._resumes_all:
            load(state, checkpoint, self._say)
        else:
            load_weights(self._model, checkpoint, self._say)

    def _make_callbacks(
        self,
        users: Sequence[keras.callbacks.Callback],
        history: History,
        state: ModelState,
        metrics: MetricStates,
    ) -> None:
        """The three of ``seqmill.trainer``, the loop's own and the user's."""
        options, say = self._options, self._say
        facts = {"seed": options.seed, "data": self._data_facts, "devices": self._num_devices}
        self._save = SaveCheckpoint(self._folder, options.save_interval, users, "trained", facts, say)
        self._save.history, self._save.model_state = history, state
        self._limit.bytes = num_bytes(self._model)
        self._inside = SaveInside(
            self._save,
            options.save_minutes,
            self._limit,
            self._interrupts,
            metrics,
            lambda: self._callbacks.stopped_by,
            self._facts_inside,
            say,
        )
        guard = []
        if options.stop_on_nonfinite_train_score:
            guard = [StopOnNonfiniteTrainScore(self._folder, open_epoch=self._batches_of)]
        self._callbacks = TrainingCallbacks(
            before=[ReseedEveryEpoch(options.seed), *guard, self._steps, self._interrupts],
            users=users,
            after=[self._save, self._inside, *self._cleanup()],
            at_once=[*guard, self._save],
            model=self._model,
            num_epochs=options.num_epochs,
        )
        self._put_back = PutBack(state, metrics, self._save, self._callbacks, say)
        self._supply.watch(lambda: self._save.behind, lambda: self._inside.must_end)

    def _cleanup(self) -> list[CleanupOldModels]:
        policy = self._options.cleanup_old_models
        if policy is None:
            return []
        kept = policy.keep_last_n, policy.keep_best_n, policy.keep
        return [CleanupOldModels(self._folder, *kept, keep_best_by=policy.keep_best_by, say=self._say)]

    def _batches_of(self, epoch: int) -> BatchSource:
        data = self._supply.of(epoch)
        return open_source(data.corpus, data.stored)

    def _facts_inside(self, epoch: int) -> dict[str, Any]:
        """What a checkpoint inside an epoch remembers of it."""
        return {"batches_of": self._supply.of(epoch).facts, "seconds": self._timer.spent()}

    def _run_epochs(self, start: Start) -> dict[str, float]:
        epoch, num_epochs = start.epoch - 1, self._options.num_epochs
        inside = start.checkpoint if start.first_batch else None
        logs: dict[str, float] = {}
        if start.checkpoint is not None and self._resumes_all:
            if inside is None:
                logs = self._resume(start.checkpoint)
            else:
                inside = replace(inside, content=inside.before)
                changed = self._changed_data(epoch)
                self._put_back.begin_inside(inside, changed)
                if self._put_back.stops_again(inside, changed):
                    epoch, logs = inside.epoch, self._stay_stopped(start.checkpoint)
        if epoch >= num_epochs:
            self._say(f"epochs trained: {epoch}, asked for: {num_epochs}; nothing left to train")
        while epoch < num_epochs and not self._model.stop_training:
            self._inside.end_if_due()
            if not self._supply.wait_for(epoch + 1):
                if self._supply.is_over:
                    break
                raise EndedEarlyError
            epoch += 1
            logs = self._train_epoch(epoch, inside)
            inside = None
        if self._model.stop_training and not self._save.is_whole:
            self._say(
                f"a callback ended the training inside epoch {epoch}; where it no longer does so, the same "
                "command goes on there"
            )
        elif self._model.stop_training and epoch < num_epochs:
            self._say(f"a callback ended the training after epoch {epoch}")
        return logs

    def _stay_stopped(self, inside: Checkpoint) -> dict[str, float]:
        """Takes all to where a callback ended the training inside an epoch, and would do so again."""
        epoch = inside.epoch
        data = self._supply.of(epoch)
        self._save.data, self._save.window = data.corpus.manifest.fingerprint, data.window
        self._callbacks.expect_steps(data.planned.num_batches, inside.batches or 0)
        self._save.on_epoch_begin(epoch - 1)
        self._save.inside = inside.folder
        if inside.content["moment"] == INSIDE:  # killed while evaluating
            self._callbacks.on_epoch_end(epoch - 1, inside.content["logs"])
            return self._end_epoch(epoch, self._evaluate(epoch))
        self._save.history = scores.from_json(inside.content["history"], inside.folder)
        scores.write(self._folder, self._save.history)
        logs = self._evaluate(epoch, missing_only=True)
        self._put_back.all(inside)
        self._model.stop_training = True
        return logs

    def _resume(self, checkpoint: Checkpoint) -> dict[str, float]:
        """Takes model and callbacks to where they were when the checkpoint's epoch had ended."""
        epoch = checkpoint.epoch
        self._save.is_saved = True
        if checkpoint.content["moment"] == TRAINED:  # killed while evaluating: that is done again
            self._callbacks.replay_epoch_begin(epoch - 1)
            self._put_back.all(checkpoint, self._changed_data(epoch))
            return self._end_epoch(epoch, self._evaluate(epoch))
        self._save.restore_callbacks(checkpoint, self._say, self._changed_data(epoch))
        logs = self._evaluate(epoch, missing_only=True)
        changed = self._changed_data(epoch)
        self._put_back.all(checkpoint, changed)
        self._put_back.ask_again(checkpoint, logs, changed)
        return logs

    def _changed_data(self, epoch: int) -> list[str]:
        """Prefixes of the scores whose corpora are not those that were scored after an epoch."""
        now = {name: corpus.manifest.fingerprint for name, corpus in self._others.items()}
        return self._save.history.changed_scores(epoch, now)

    def _train_epoch(self, epoch: int, inside: Checkpoint | None) -> dict[str, float]:
        """The steps of one epoch, in an order in which training may be killed anywhere.

        Args:
            epoch: The epoch, from 1.
            inside: The checkpoint inside of it that training goes on from.
        """
        data = self._supply.of(epoch)
        self._save.data, self._save.window = data.corpus.manifest.fingerprint, data.window
        self._timer.begin(0.0 if inside is None else float(inside.content["seconds"]))
        self._fit(epoch, data, inside)  # writes the train score and the checkpoint
        self._timer.trained()
        self._inside.end_if_due()
        logs = self._evaluate(epoch)
        self._say(self._timer.end(epoch, data.planned, self._save.history.epochs[epoch]))
        return self._end_epoch(epoch, logs)

    def _end_epoch(self, epoch: int, logs: dict[str, float]) -> dict[str, float]:
        """Lets the callbacks see the end of an epoch, and keeps what they made of it."""
        stopped_by = self._callbacks.end_epoch(epoch - 1, logs)
        # Before a wait all is saved: a training that is ended or killed in it has lost nothing.
        must_save = self._inside.must_end or not self._supply.is_there(epoch + 1)
        self._save.must_save = self._save.must_save or must_save
        if self._save.is_whole:
            self._save.end_epoch(epoch, stopped_by)
        else:
            self._save.end_inside()
        return logs

    def _fit(self, epoch: int, data: EpochData, inside: Checkpoint | None) -> None:
        num_batches = data.planned.num_batches
        first = 0 if inside is None else inside.batches or 0
        go_on = None
        if inside is not None and self._resumes_all:
            go_on = partial(self._put_back.go_on_inside, inside)
        self._callbacks.expect_steps(num_batches, first, go_on)
        with (
            self._open(data, first) as dataset,
            self._steps.showing(f"epoch {epoch}, train", num_batches, first),
            without_averages(self._model),
        ):
            self._model._initial_epoch = None  # a callback's wish to begin elsewhere
            self._model.fit(
                dataset,
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

    def _evaluate(self, epoch: int, missing_only: bool = False) -> dict[str, float]:
        begun = time.monotonic()
        logs = self._evaluation.run(epoch, self._save.history, self._callbacks, missing_only)
        if not missing_only:
            self._inside.has_worked = True
            self._limit.evaluated(time.monotonic() - begun)
        return logs

    @property
    def _resumes_all(self) -> bool:
        return self._options.resume == "all"
