"""Saving checkpoints that training goes on from as if it had never stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.callbacks.callback_state import CallbackStates
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.resume import find_start
from seqmill.trainer.scores import History, flat_scores


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes the scores of every epoch and, every few epochs, a checkpoint.

    ``epoch-0007/`` in the folder holds every variable of model and optimizer, seed states too, the epoch, the
    step, all scores so far and the state of other callbacks; it is there whole or not at all, whenever the
    process is killed. ``scores.json`` holds the scores. An epoch that ``stop_training`` ended before its last
    batch is not saved. ``resume`` loads the newest checkpoint.

    Put it last, but before ``CleanupOldModels``: what is saved is what callbacks before it left behind.
    In Keras' ``fit`` the order of shuffled data is drawn anew after resuming; ``seqmill.trainer.dataset``
    gives each epoch in its own fixed order.

    Args:
        folder: The model folder, a path or URL; made where it is not there.
        save_interval: A checkpoint every so many epochs, after the last one, and when a callback ends the
            training; at least 1.
        callbacks: Those whose state is kept: what changed in them since training began. They belong into
            ``fit``'s list too, before this one.
        moment: What is true of ``callbacks`` when this one sees the end of an epoch: ``"ended"``, they have
            seen it; ``"trained"``, they see it later, and see it again after resuming (as in seqmill's own
            loop, which saves before it evaluates).
        facts: More to keep in ``checkpoint.json``.
        say: Takes a line about each checkpoint that ``resume`` passes over.

    Attributes:
        history: The scores so far.

    Example:
        >>> import keras, numpy as np, os, tempfile
        >>> from seqmill.trainer import SaveCheckpoint
        >>> folder = tempfile.mkdtemp()
        >>> def train(epochs):
        ...     model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     plateau = keras.callbacks.ReduceLROnPlateau("loss")
        ...     save = SaveCheckpoint(folder, save_interval=2, callbacks=[plateau])
        ...     done = save.resume(model)
        ...     _ = model.fit(np.ones((4, 3)), np.ones((4, 1)), initial_epoch=done, epochs=epochs, verbose=0,
        ...                   callbacks=[plateau, save])
        ...     return done
        >>> train(epochs=3), train(epochs=4)
        (0, 3)
        >>> sorted(os.listdir(folder))
        ['epoch-0002', 'epoch-0003', 'epoch-0004', 'scores.json']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        save_interval: int = 1,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        moment: Literal["ended", "trained"] = "ended",
        facts: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = print,
    ):
        super().__init__()
        self._folder = folder_path(folder)
        if isinstance(save_interval, bool) or not isinstance(save_interval, int) or save_interval < 1:
            raise ValueError(f"save_interval: expected a whole number of at least 1, got {save_interval!r}")
        for callback in callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise TypeError(f"callbacks: expected Keras callbacks, got {callback!r}")
        if moment not in ("ended", "trained"):
            raise ValueError(f"moment: expected 'ended' or 'trained', got {moment!r}")
        self.history = History()
        self._save_interval = save_interval
        self._states = CallbackStates(callbacks)
        self._moment = moment
        self._facts = dict(facts or {})
        self._say = say
        self._resumed: Checkpoint | None = None
        self._steps = 0
        self._saved = 0

    def resume(self, model: keras.Model) -> int:
        """Loads the folder's newest checkpoint into a compiled model, before ``fit``.

        Returns:
            The epochs trained, for ``fit``'s ``initial_epoch``; 0 where there is no checkpoint yet.

        Raises:
            SeqmillError: The checkpoint is of another model, or broken.
        """
        checkpoints.remove_leftovers(self._folder)
        start = find_start(self._folder, "auto", self._say)
        self.history = start.history
        if start.checkpoint is not None:
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
            checkpoints.load(model, start.checkpoint)
            self._resumed = start.checkpoint
        return start.epoch - 1

    def restore_callbacks(self, checkpoint: Checkpoint) -> None:
        """Sets the callbacks to what they were when a checkpoint was written."""
        self._states.restore(checkpoint.content["callbacks"])

    @property
    def is_whole(self) -> bool:
        """Whether all batches of the epoch were trained."""
        num_batches = (self.params or {}).get("steps")
        return num_batches is None or self._steps >= num_batches

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Puts callbacks where they were."""
        self._states.begin()
        if self._resumed is not None:
            self.restore_callbacks(self._resumed)
            self._resumed = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts batches from here."""
        self._steps = 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts."""
        self._steps = batch + 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes scores and, where one is due, the checkpoint."""
        self._add_scores(epoch + 1, flat_scores(logs or {}))
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        is_stopped = self._moment == "ended" and self.model.stop_training
        if self.is_whole and ((epoch + 1) % self._save_interval == 0 or is_last or is_stopped):
            self.save(epoch + 1, self._moment)

    def save_if_not_saved(self, epoch: int) -> None:
        """Writes the checkpoint of an epoch (from 1) that all callbacks have seen the end of."""
        if self.is_whole and self._saved != epoch:
            self.save(epoch, "ended")

    def save(self, epoch: int, moment: Literal["ended", "trained"]) -> None:
        """Writes the checkpoint of an epoch (from 1)."""
        content = {
            **self._facts,
            "training": self.history.training,
            "history": self.history.to_json(),
            "callbacks": self._states.state(),
            "moment": moment,
        }
        checkpoints.save(self.model, self._folder, epoch, content)
        self._saved = epoch

    def _add_scores(self, epoch: int, values: Mapping[str, float]) -> None:
        prefix = "val_"
        validated = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        self.history = self.history.forget_from(epoch)
        self.history.add(epoch, "train", {k: v for k, v in values.items() if not k.startswith(prefix)})
        if validated:
            self.history.add(epoch, "val", validated)
        scores.write(self._folder, self.history)


def folder_path(folder: object) -> str:
    """A model folder, as users give it, as a string. Raises ValueError."""
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ValueError(f"folder: expected the path or URL of the model folder, got {folder!r}")
    return str(os.fspath(folder))
