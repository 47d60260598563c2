"""Keras callbacks that live across a whole training although every epoch is a ``fit`` of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras.src.utils.python_utils import pythonify_logs

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

    Attributes:
        users: The user's.
        stopped_by: The callback that has ended the training in the last step, if one has.
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
        self.users = list(users)
        self._replayed = [one for one in self.callbacks if one not in after and one not in self._at_once]
        self._first_batch = 0
        self.stopped_by: keras.callbacks.Callback | None = None
        self._go_on: Callable[[], None] | None = None

    def begin_training(self) -> None:
        """Announces the beginning of training."""
        super().on_train_begin()

    def end_training(self, logs: Mapping[str, Any]) -> None:
        """Announces the end of training."""
        super().on_train_end(dict(logs))

    def expect_steps(
        self, num_batches: int, first_batch: int = 0, go_on: Callable[[], None] | None = None
    ) -> None:
        """Another ``fit`` is to come.

        Args:
            num_batches: Batches of the whole epoch.
            first_batch: How many of them were trained before; ``fit`` counts from 0 all the same.
            go_on: Puts back what the beginning of an epoch sets back, where its beginning was announced
                before (``replay_epoch_begin``); ``None`` where it is yet to be announced.
        """
        self._first_batch, self._go_on = first_batch, go_on
        self.set_params(
            {"verbose": 0, "epochs": self._num_epochs, "steps": num_batches, "first_batch": first_batch}
        )

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

    def replay_epoch_begin(self, epoch: int, users: Sequence[keras.callbacks.Callback] | None = None) -> None:
        """Announces the beginning of an epoch that was trained before, to those that were not there.

        Args:
            epoch: Its index, from 0.
            users: Which of the user's are told; by default all.
        """
        silent = [] if users is None else [one for one in self.users if one not in users]
        for callback in self._replayed:
            if callback not in silent:
                callback.on_epoch_begin(epoch, {})

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Passes the beginning of an epoch to all, or to those that have not been told of it yet."""
        if self._go_on is None:
            super().on_epoch_begin(epoch, logs)
            return
        for callback in self.callbacks:
            if callback not in self._replayed:
                callback.on_epoch_begin(epoch, {})
        self._go_on()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Passes on the beginning of a step, by its number in the epoch."""
        super().on_train_batch_begin(batch + self._first_batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Passes on the end of a step, by its number in the epoch."""
        logs = pythonify_logs(logs)
        self.stopped_by = None
        for callback in self.callbacks:
            before = self.model.stop_training
            callback.on_train_batch_end(batch + self._first_batch, logs)
            if self.model.stop_training and not before:
                self.stopped_by = callback

    def on_train_begin(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_train_end(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Passes the end of an epoch to those that see it at once."""
        for callback in self._at_once:
            callback.on_epoch_end(epoch, flat_scores(logs or {}))
