"""Putting a training back to where a checkpoint has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint
from seqmill.trainer.callbacks.training_callbacks import TrainingCallbacks
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.load_checkpoint import load, reading
from seqmill.trainer.state.metric_states import MetricStates
from seqmill.trainer.state.model_state import ModelState
from seqmill.trainer.state.random_state import restore_random_state


class PutBack:
    """Sets the model and callbacks of a training to what a checkpoint holds.

    Args:
        model: The model's state.
        metrics: Its metrics'.
        save: Keeps the state of callbacks.
        callbacks: All of them.
        say: Takes messages about callbacks that are not what they were.
    """

    def __init__(
        self,
        model: ModelState,
        metrics: MetricStates,
        save: SaveCheckpoint,
        callbacks: TrainingCallbacks,
        say: Callable[[str], None],
    ):
        self._model, self._metrics = model, metrics
        self._save, self._callbacks, self._say = save, callbacks, say

    def all(self, checkpoint: Checkpoint, anew: Sequence[str] = ()) -> None:
        """Model and callbacks as the checkpoint has them, whatever callbacks did to them since.

        Args:
            checkpoint: The checkpoint, which has been loaded once.
            anew: Prefixes of scores; callbacks that monitor these start anew.
        """
        load(self._model, checkpoint, _nothing)
        self._save.restore_callbacks(checkpoint, _nothing, anew)

    def begin_inside(self, checkpoint: Checkpoint, anew: Sequence[str]) -> None:
        """Before the ``fit`` that goes on inside an epoch.

        Callbacks that hold something that cannot be kept, an open file perhaps, hear of the epoch's beginning
        again, and so can make it anew; what can be kept is put back after that.
        """
        self._save.restore_callbacks(checkpoint, self._say, anew)
        told = self._save.not_told_again(checkpoint)
        users = [one for one in self._callbacks.users if one not in told]
        self._callbacks.replay_epoch_begin(checkpoint.epoch - 1, users)
        self.all(checkpoint, anew)

    def stops_again(self, checkpoint: Checkpoint, anew: Sequence[str]) -> bool:
        """Whether the callback that had ended the training inside the epoch does so again."""
        stopped_by = checkpoint.before.get("stopped_by")
        callback = None if stopped_by is None else self._save.callback_of(checkpoint, stopped_by)
        if callback is not None:
            callback.on_train_batch_end((checkpoint.batches or 0) - 1, dict(checkpoint.before["logs"]))
            if self._model.model.stop_training:
                return True
            self.all(checkpoint, anew)
        return False

    def go_on_inside(self, checkpoint: Checkpoint) -> None:
        """In that ``fit``, when it has set back the metrics."""
        with reading(checkpoint) as arrays:
            self._metrics.restore(checkpoint.content["metrics"], arrays.read)
            restore_random_state(checkpoint.content["random"], arrays.read)

    def ask_again(self, checkpoint: Checkpoint, logs: Mapping[str, float], anew: Sequence[str]) -> None:
        """A callback that had ended the training may, with more patience or time, not do so again."""
        stopped_by = checkpoint.content.get("stopped_by")
        callback = None if stopped_by is None else self._save.callback_of(checkpoint, stopped_by)
        if callback is not None and self._save.restore_before_end(checkpoint, callback):
            callback.on_epoch_end(checkpoint.epoch - 1, dict(logs))
            if not self._model.model.stop_training:
                self.all(checkpoint, anew)


def _nothing(line: str) -> None:
    """Says nothing: it has been said."""
