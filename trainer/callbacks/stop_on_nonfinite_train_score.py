"""Stopping at the first step whose loss is not finite, before anything poisoned is saved."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

import keras

from seqmill.trainer.corpus import Corpus, open_corpus
from seqmill.trainer.gradient_check import GradientCheck
from seqmill.trainer.nonfinite import (
    NonfiniteTrainScore,
    describe,
    is_finite,
    message_of,
    nonfinite_variables,
)
from seqmill.trainer.scores import flat_scores
from seqmill.trainer.source import BatchSource, open_source
from seqmill.trainer.state.values import value_of
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


class StopOnNonfiniteTrainScore(keras.callbacks.Callback):
    """Ends training in the first step whose loss is NaN or infinite (RETURNN: the option of that name).

    It raises ``NonfiniteTrainScore``, which ``fit`` passes on, in the very step: no callback that saves at
    the end of an epoch gets to see it. The error and its ``autopsy`` name the epoch, the step, the index of
    its batch, the variables that are not finite and, where the corpus is known, the tags of the batch's
    sequences and which of them hold data that are not finite.

    The loss that Keras reports is a mean over the epoch so far, which turns non-finite in the very step
    whose loss does, so one number tells. With the TensorFlow backend gradients are looked at too
    (``GradientCheck``), which finds infinite gradients of a finite loss in their own step. Weights and
    optimizer state are always checked at the end of the epoch.

    Put it before callbacks that save.

    Args:
        folder: Where ``nonfinite-epoch-0003.json`` is written, a path or URL; ``None`` writes none.
        corpus: The corpus that is trained on (or its folder, ``epochs/train``), to name sequences. Its
            batches must be trained in their order, as ``seqmill.trainer.dataset`` gives them; its epochs go
            round.
        open_epoch: function(epoch, from 1) → its batches; in place of ``corpus``, where no one has all.

    Example:
        >>> import keras, numpy as np
        >>> from seqmill.trainer import NonfiniteTrainScore, StopOnNonfiniteTrainScore
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((6, 3))
        >>> x[5] = np.nan
        >>> try:
        ...     _ = model.fit(x, np.ones((6, 1)), batch_size=2, shuffle=False, verbose=0,
        ...                   callbacks=[StopOnNonfiniteTrainScore()])
        ... except NonfiniteTrainScore as error:
        ...     print(str(error).splitlines()[0])
        epoch 1: the train loss is nan in step 3 of the epoch (batch 2)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        corpus: Corpus | str | os.PathLike[str] | None = None,
        open_epoch: Callable[[int], BatchSource] | None = None,
    ):
        super().__init__()
        opened = corpus if corpus is None or isinstance(corpus, Corpus) else open_corpus(corpus)
        self._corpus = opened
        self._open_epoch = open_epoch or (None if opened is None else self._open_stored)
        self._folder = None if folder is None else os.fspath(folder)
        self._epoch = 1
        self._next_step = 0
        self._gradient_check: GradientCheck | None = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch, and makes the check of gradients a part of each step."""
        self._epoch, self._next_step = epoch + 1, (self.params or {}).get("first_batch", 0)
        if self._gradient_check is None or self._gradient_check.optimizer is not self.model.optimizer:
            self._gradient_check = GradientCheck(self.model)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks the loss up to step ``batch`` (from 0) of the epoch."""
        first, self._next_step = self._next_step, batch + 1
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"the train loss is {loss}", list(range(first, batch + 1)))
        if self._gradient_check is not None and self._gradient_check.may_have_failed():
            self._check_weights(list(range(first, batch + 1)))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks every train score and the weights, before anything is written."""
        for name, value in flat_scores(logs or {}).items():
            if not name.startswith("val_") and not math.isfinite(value):
                self._stop(f"the train score {name} is {value}", [])
        self._check_weights([])

    def _open_stored(self, epoch: int) -> BatchSource:
        """The epoch of the corpus that an epoch of the training reads: its epochs go round."""
        assert self._corpus is not None
        schedule = self._corpus.manifest.schedule
        return open_source(self._corpus, schedule.stored((epoch - 1) % schedule.num_epochs + 1))

    def _check_weights(self, steps: list[int]) -> None:
        learned = [*self.model.trainable_variables, *self.model.optimizer.variables]
        if not all(is_finite(variable) for variable in learned):
            self._stop("weights or optimizer state are not finite", steps)

    def _stop(self, what: str, steps: list[int]) -> None:
        autopsy = {
            "epoch": self._epoch,
            "reason": what,
            "global_step": int(value_of(self.model.optimizer.iterations)),
            "step": steps[-1] + 1 if steps else None,
            "batches": self._describe(steps),
            "variables": nonfinite_variables(self.model),
        }
        message = message_of(autopsy, steps)
        if self._folder is not None:
            path = files.join(self._folder, f"nonfinite-epoch-{self._epoch:04d}.json")
            files.write_json(path, autopsy)
            message += f"\nThe full account is in {path}."
        raise NonfiniteTrainScore(message, autopsy)

    def _describe(self, steps: list[int]) -> list[dict[str, Any]]:
        if self._open_epoch is None or not steps:
            return []
        described: list[dict[str, Any]] = []
        # With steps_per_execution Keras counts beyond the last one.
        with (
            suppress(IndexError, SeqmillError),
            closing(self._open_epoch(self._epoch)) as source,
        ):
            described.extend(describe(source.batch(step), step) for step in steps)
        return described
