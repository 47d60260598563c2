"""Keras callbacks that live across a whole training although every epoch is a ``fit`` of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from seqmill.trainer.scores import flat_scores


class TrainingCallbacks(keras.callbacks.CallbackList):
    """A callback list that each epoch's ``fit`` is given.

    ``fit`` announces the beginning and end of training every time and ends an epoch before the other
    corpora are evaluated. Both are held back here: the loop announces them when they are true.

    Args:
        before: The loop's callbacks that come before the user's.
        users: The user's.
        after: The loop's callbacks that come after them.
        at_once: Those of all that see the end of an epoch as soon as ``fit`` is through with it, in this
            order. All others see it after evaluation, with the scores of all corpora.
        model: The model.
        num_epochs: Epochs of the whole training.
    """

    def __init__(
        self,
        before: Sequence[keras.callbacks.Callback],
        users: Sequence[keras.callbacks.Callback],
        after: Sequence[keras.callbacks.Callback],
        at_once: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        num_epochs: int,
    ):
        super().__init__([*before, *users, *after], add_history=True, model=model)
        self._num_epochs = num_epochs
        self._at_once = list(at_once)
        self._replayed = [one for one in self.callbacks if one not in after and one not in self._at_once]

    def begin_training(self) -> None:
        """Announces the beginning of training."""
        super().on_train_begin()

    def end_training(self, logs: Mapping[str, Any]) -> None:
        """Announces the end of training."""
        super().on_train_end(dict(logs))

    def expect_steps(self, num_batches: int) -> None:
        """``num_batches`` batches are to come in the next epoch."""
        self.set_params({"verbose": 0, "epochs": self._num_epochs, "steps": num_batches})

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> keras.callbacks.Callback | None:
        """Announces the end of an epoch to those that do not see it at once.

        Args:
            epoch: Its index, from 0.
            logs: The scores of all corpora.

        Returns:
            The callback that ended the training, if one did.
        """
        shared = dict(logs)  # a callback may add to it for those that follow
        stopped_by = None
        for callback in self.callbacks:
            if callback not in self._at_once:
                callback.on_epoch_end(epoch, shared)
                if self.model.stop_training and stopped_by is None:
                    stopped_by = callback
        return stopped_by

    def replay_epoch_begin(self, epoch: int) -> None:
        """Announces the beginning of an epoch that was trained before, to those that were not there."""
        for callback in self._replayed:
            callback.on_epoch_begin(epoch, {})

    def on_train_begin(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_train_end(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Passes the end of an epoch to those that see it at once."""
        for callback in self._at_once:
            callback.on_epoch_end(epoch, flat_scores(logs or {}))
