"""Deleting old checkpoints after each epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from seqmill.trainer.callbacks.save_checkpoint import folder_path
from seqmill.trainer.cleanup import UNRANKED, clean_up
from seqmill.trainer.options import CleanupPolicy


class CleanupOldModels(keras.callbacks.Callback):
    """Deletes old checkpoints after each epoch (RETURNN: ``cleanup_old_models``).

    It ranks by the validation losses in ``scores.json`` (the train loss where nothing is validated), which
    ``SaveCheckpoint`` writes: put it behind one for the same folder. Only checkpoints of this training are
    touched; the newest and the one that ``fit`` began from always stay.

    Args:
        folder: The model folder that ``SaveCheckpoint`` writes, a path or URL.
        keep_last_n: So many of the newest stay, at least 1.
        keep_best_n: So many of the best stay, for the loss of each corpus but the train loss.
        keep: Epochs (from 1) that always stay.
        dry_run: Delete nothing, only say what would be deleted.
        keep_best_by: The score that decides which are best, ``<corpus>.<score>``: ``"val.accuracy:max"``
            where higher is better; by default the loss on each corpus but the train loss.
        say: Takes the lines of a dry run, and one where there is no score to find the best by.

    Example:
        >>> import keras, numpy as np, os, tempfile
        >>> from seqmill.trainer import CleanupOldModels, SaveCheckpoint
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> folder = tempfile.mkdtemp()
        >>> callbacks = [SaveCheckpoint(folder), CleanupOldModels(folder, keep_last_n=1, keep_best_n=0)]
        >>> _ = model.fit(np.ones((4, 3)), np.ones((4, 1)), epochs=5, verbose=0, callbacks=callbacks)
        >>> sorted(os.listdir(folder))
        ['epoch-0005', 'scores.json']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_last_n: int = CleanupPolicy.keep_last_n,
        keep_best_n: int = CleanupPolicy.keep_best_n,
        keep: Iterable[int] = CleanupPolicy.keep,
        dry_run: bool = False,
        keep_best_by: str | None = None,
        say: Callable[[str], None] = print,
    ):
        super().__init__()
        self._folder = folder_path(folder)
        self._policy = CleanupPolicy(keep_last_n, keep_best_n, frozenset(keep), keep_best_by)
        self._has_said = False
        self._dry_run = dry_run
        self._say = say
        self._resumed_from: int | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """The next epoch to begin is the first of this ``fit``."""
        self._resumed_from = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch that training goes on from."""
        if self._resumed_from is None:
            self._resumed_from = epoch

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Cleans up."""
        decisions = clean_up(self._folder, self._policy, self._resumed_from, self._dry_run)
        why = next((reason for one in decisions for reason in one.reasons if UNRANKED in reason), None)
        if why is not None and not self._has_said:
            self._has_said = True
            self._say(f"no checkpoint is deleted: {why}")
        if self._dry_run:
            for decision in decisions:
                if not decision.keep:
                    self._say(f"epoch {epoch + 1}: would delete the checkpoint of epoch {decision.epoch}")
