"""Saving checkpoints that training goes on from as if it had never stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras

from seqmill.trainer import checkpoints, scores
from seqmill.trainer.checkpoints import ENDED, INSIDE, TRAINED, Checkpoint
from seqmill.trainer.load_checkpoint import load, reading
from seqmill.trainer.resume import find_start
from seqmill.trainer.scores import History, flat_scores
from seqmill.trainer.state.callback_states import CallbackStates, Entry
from seqmill.trainer.state.model_state import ModelState
from seqmill.trainer.state.values import Arrays
from seqmill.trainer.write_checkpoint import save, save_end
from seqmill.transforms.storage import files


class SaveCheckpoint(keras.callbacks.Callback):
    """Writes the scores of every epoch and, every few epochs, a checkpoint.

    ``epoch-0007/`` in the folder holds every variable of model and optimizers, seed states too, what changed
    in attributes of the model, the epoch, the step, all scores so far and the state of other callbacks. It is
    read back and compared, and is there whole or not at all, whenever the process is killed. What cannot be
    kept is said by name at the first save. ``scores.json`` holds the scores. An epoch that ``stop_training``
    ended before its last batch is not saved. ``resume`` loads the newest checkpoint.

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
        say: Takes lines about what ``resume`` finds changed, and what cannot be kept.

    Attributes:
        history: The scores so far.
        is_saved: The last epoch has its checkpoint.
        must_save: The epoch that ends next is saved, whatever ``save_interval`` says.
        inside: The checkpoint inside the epoch, where there is one.
        saved_at: When the last checkpoint was written, or this was made (``time.monotonic``).
        longest_save: Seconds that the longest save took.
        behind: The last epoch behind whose end a checkpoint was written.
        data: Fingerprint of what the epoch is trained on; by default that of ``data`` in ``facts``.
        window: The window of a stream that it is, if it is one.

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
        self.model_state: ModelState | None = None
        self.is_saved = self.must_save = False
        self.saved_at, self.longest_save = time.monotonic(), 0.0
        self.behind = 0
        self.data = str(dict(facts or {}).get("data", {}).get("fingerprint", ""))
        self.window: str | None = None
        self._save_interval = save_interval
        self._states = CallbackStates(callbacks)
        self._has_begun = False
        self._moment = moment
        self._facts = dict(facts or {})
        self._say = say
        self._resumed: Checkpoint | None = None
        self._said_lost = False
        self._before: tuple[list[dict[str, Any]], Arrays] = ([], {})
        self._epoch, self._steps = 0, 0
        self.inside = ""

    def resume(self, model: keras.Model) -> int:
        """Loads the folder's newest checkpoint into a compiled, built model, before ``fit``.

        Returns:
            The epochs trained, for ``fit``'s ``initial_epoch``; 0 where there is no checkpoint yet.

        Raises:
            SeqmillError: The checkpoint is of another model.
        """
        checkpoints.remove_leftovers(self._folder)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        state = self.model_state = ModelState(model)
        start = find_start(self._folder, "auto", self._say, lambda found: load(state, found, self._say))
        self.history, self._resumed = start.history, start.checkpoint
        return start.epoch - 1

    def restore_callbacks(
        self, checkpoint: Checkpoint, say: Callable[[str], None], anew: Sequence[str] = ()
    ) -> None:
        """Sets the callbacks to what they were when a checkpoint was written.

        Args:
            checkpoint: The checkpoint.
            say: Takes messages about callbacks that are not what they were.
            anew: Prefixes of scores; callbacks that monitor these start anew.
        """
        entries = self._states.find(checkpoint.content["callbacks"], say, anew)
        with reading(checkpoint) as arrays:
            missing = self._states.restore(entries, arrays.read)
        if missing:
            say(f"{checkpoint.folder}: holds what callbacks have no place for now: {', '.join(missing)}")

    def restore_before_end(self, checkpoint: Checkpoint, callback: keras.callbacks.Callback) -> bool:
        """Sets one callback to what it was before it saw the end of the epoch; whether that is known."""
        content = checkpoint.content
        before: Sequence[Entry] = content.get("callbacks_before", checkpoint.before["callbacks"])
        found = self._states.find(before, lambda line: None)
        index = self._states.index(callback)
        if (entry := found[index]) is None:
            return False
        with reading(checkpoint) as arrays:
            self._states.restore_one(index, entry, arrays.read)
        return True

    def callback_of(self, checkpoint: Checkpoint, number: int) -> keras.callbacks.Callback | None:
        """The callback that entry ``number`` of a checkpoint is about, if there is one now."""
        entries = checkpoint.content["callbacks"]
        found = self._states.find(entries, lambda line: None)
        pairs = zip(self._states.callbacks, found, strict=True)
        return next((callback for callback, entry in pairs if entry is entries[number]), None)

    def not_told_again(self, checkpoint: Checkpoint) -> list[keras.callbacks.Callback]:
        """Callbacks whose whole state a checkpoint holds: they need not hear again of what they had heard."""
        found = self._states.find(checkpoint.content["callbacks"], lambda line: None)
        pairs = zip(self._states.callbacks, found, strict=True)
        return [one for one, entry in pairs if entry is not None and entry.get("is_all", "own" in entry)]

    def save_inside(self, batches: int, content: Mapping[str, Any], arrays: Arrays) -> None:
        """Writes a checkpoint inside an epoch; the ones before it go.

        Args:
            batches: How many of the epoch's batches are done.
            content: For ``checkpoint.json`` besides.
            arrays: Those that ``content`` refers to.
        """
        self.inside = self._save(self._epoch, INSIDE, arrays, content, batches)

    def has_trained(self, epoch: int, num_batches: int) -> bool:
        """Whether the last ``fit`` trained all batches of an epoch (from 1)."""
        return self._epoch == epoch and self._steps >= num_batches

    @property
    def is_whole(self) -> bool:
        """Whether all batches of the epoch were trained."""
        num_batches = (self.params or {}).get("steps")
        return num_batches is None or self._steps >= num_batches

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Puts callbacks where they were."""
        if self.model_state is None or self.model_state.model is not self.model:
            self.model_state = ModelState(self.model)
        if not self._has_begun:
            self._states.begin(self.model_state.object_ids())
            self._has_begun = True
        if self._resumed is not None:
            self.restore_callbacks(self._resumed, self._say)
            self._resumed = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts batches from here."""
        self._epoch, self._steps = epoch + 1, (self.params or {}).get("first_batch", 0)
        self.is_saved, self.inside = False, ""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts."""
        self._steps = batch + 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes scores and, where one is due, the checkpoint."""
        self._add_scores(epoch + 1, flat_scores(logs or {}))
        is_last = epoch + 1 == (self.params or {}).get("epochs")
        is_stopped = self._moment == ENDED and self.model.stop_training
        is_due = (epoch + 1) % self._save_interval == 0 or self.must_save
        if self.is_whole and (is_due or is_last or is_stopped):
            self._save(epoch + 1, self._moment, {}, {})
        elif self._moment == TRAINED:
            arrays: Arrays = {}
            self._before = (self._states.state(arrays)[0], arrays)

    def end_epoch(self, epoch: int, stopped_by: keras.callbacks.Callback | None) -> None:
        """Keeps what callbacks and evaluation changed after ``on_epoch_end``, where ``moment`` is "trained".

        Args:
            epoch: The epoch, from 1.
            stopped_by: The callback that ended the training, if one did.
        """
        stopped = {} if stopped_by is None else {"stopped_by": self._states.index(stopped_by)}
        if self.is_saved:
            arrays: Arrays = {}
            content = {**self._content(arrays), **stopped, "moment": ENDED}
            save_end(self.model, files.join(self._folder, checkpoints.folder_name(epoch)), content, arrays)
        elif (stopped or self.must_save) and self.is_whole:
            before = {**stopped, "callbacks_before": self._before[0]} if stopped else {}
            self._save(epoch, ENDED, dict(self._before[1]) if stopped else {}, before)

    def end_inside(self) -> None:
        """As ``end_epoch``, in an epoch that a callback has ended before its last batch."""
        if self.inside:
            arrays: Arrays = {}
            save_end(self.model, self.inside, {**self._content(arrays), "moment": ENDED}, arrays)

    def number_of(self, callback: keras.callbacks.Callback | None) -> int | None:
        """The number of a callback among those whose state is kept, if it is one of them."""
        return next((i for i, one in enumerate(self._states.callbacks) if one is callback), None)

    def _save(
        self,
        epoch: int,
        moment: str,
        arrays: Arrays,
        more: Mapping[str, Any],
        batches: int | None = None,
    ) -> str:
        begun = time.monotonic()
        content = {**self._facts, **self._content(arrays), **more, "moment": moment}
        folder = save(self.model, self._folder, epoch, content, arrays, batches)
        checkpoints.remove_inside(self._folder, epoch, but=files.name(folder))
        self.is_saved, self.must_save = batches is None, False
        self.behind = epoch if batches is None else epoch - 1
        self.saved_at = time.monotonic()
        self.longest_save = max(self.longest_save, self.saved_at - begun)
        return folder

    def _content(self, arrays: Arrays) -> dict[str, Any]:
        assert self.model_state is not None
        content, lost_of_model = self.model_state.describe(arrays)
        callbacks, lost = self._states.state(arrays)
        lost = [*lost_of_model, *lost]
        if lost and not self._said_lost:
            self._said_lost = True
            self._say(f"not kept in checkpoints: {', '.join(lost)}")
        return {
            **content,
            "callbacks": callbacks,
            "not_kept": lost,
            "training": self.history.training,
            "history": self.history.to_json(),
        }

    def _add_scores(self, epoch: int, values: Mapping[str, float]) -> None:
        prefix = "val_"
        validated = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        self.history = self.history.forget_from(epoch)
        trained = {k: v for k, v in values.items() if not k.startswith(prefix)}
        self.history.add(epoch, "train", trained, self.data)
        if self.window is not None:
            self.history.windows[epoch] = self.window
        if validated:
            self.history.add(epoch, "val", validated)
        scores.write(self._folder, self.history)


def folder_path(folder: object) -> str:
    """A model folder, as users give it, as a string. Raises ValueError."""
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ValueError(f"folder: expected the path or URL of the model folder, got {folder!r}")
    return str(os.fspath(folder))
