"""Scoring the other corpora after an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from seqmill.trainer import scores
from seqmill.trainer.callbacks.step_progress import StepProgress
from seqmill.trainer.corpus import EVALUATED_EPOCH, Corpus
from seqmill.trainer.feed import Feed
from seqmill.trainer.inputs import BatchToXy
from seqmill.trainer.progress import ScalarWriters
from seqmill.trainer.scores import History, callback_logs, flat_scores
from seqmill.transforms.storage import files

ExtraScores = Callable[[keras.Model, Corpus], Mapping[str, float]]


class Evaluation:
    """Evaluates a model on corpora, and writes their scores.

    Args:
        model: The model.
        corpora: By name.
        folder: The model folder.
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight).
        extra_scores: function(model, corpus) → more scores by name.
        steps: Shows how far it is.
        say: Takes a line about a score that is not finite.
        multiple: How batches are filled up; see ``Feed``.
    """

    def __init__(
        self,
        model: keras.Model,
        corpora: Mapping[str, Corpus],
        folder: str,
        batch_to_xy: BatchToXy,
        extra_scores: ExtraScores | None,
        steps: StepProgress,
        say: Callable[[str], None],
        multiple: int | None = None,
    ):
        self._model, self._corpora, self._folder = model, corpora, folder
        self._feeds = {name: Feed(corpus, batch_to_xy, multiple) for name, corpus in corpora.items()}
        self._extra_scores = extra_scores
        self._steps, self._say = steps, say
        self._scalars = ScalarWriters(files.join(folder, "tensorboard"))

    def open_any(self) -> AbstractContextManager[tf.data.Dataset]:
        """Batches of the first of the corpora."""
        return next(iter(self._feeds.values())).epoch(EVALUATED_EPOCH)

    def run(
        self,
        epoch: int,
        history: History,
        callbacks: keras.callbacks.CallbackList,
        missing_only: bool = False,
    ) -> dict[str, float]:
        """Scores the corpora after an epoch; all its scores as callbacks see them.

        Args:
            epoch: The epoch, from 1.
            history: Takes the scores.
            callbacks: Told of each batch.
            missing_only: Corpora that have scores are passed over, and what is in TensorBoard is not
                written again.
        """
        known = history.epochs[epoch]
        new = [name for name in self._corpora if not missing_only or name not in known]
        for name in new:
            found = self._scores_of(epoch, name, callbacks)
            history.add(epoch, name, found, self._corpora[name].manifest.fingerprint)
            scores.write(self._folder, history)
            if not all(math.isfinite(value) for value in known[name].values()):
                self._say(f"epoch {epoch}: the {name} score is not finite: {known[name]}")
        written = {name: known[name] for name in new} if missing_only else known
        self._scalars.write(epoch, written)
        return callback_logs(known, list(self._corpora))

    def _scores_of(self, epoch: int, name: str, callbacks: keras.callbacks.CallbackList) -> dict[str, float]:
        corpus = self._corpora[name]
        num_batches = corpus.epoch(EVALUATED_EPOCH).num_batches
        with (
            self._feeds[name].epoch(EVALUATED_EPOCH) as data,
            self._steps.showing(f"epoch {epoch}, {name}", num_batches),
        ):
            found = self._model.evaluate(data, verbose=0, callbacks=callbacks, return_dict=True)
        values = flat_scores(found)
        if self._extra_scores is not None:
            values.update(self._extra_scores(self._model, corpus))
        return values
