"""Saving inside an epoch, and ending a training in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from seqmill.trainer.callbacks.interrupts import Interrupts
from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint
from seqmill.trainer.scores import flat_scores
from seqmill.trainer.state.metric_states import MetricStates
from seqmill.trainer.state.random_state import random_state
from seqmill.trainer.state.values import Arrays
from seqmill.trainer.time_limit import TimeLimit


class EndedEarlyError(Exception):
    """The training ends before its last epoch; all that it did is in the newest checkpoint."""


class SaveInside(keras.callbacks.Callback):
    """Saves checkpoints inside epochs; ends a training whose time is over, or that SIGTERM has asked to end.

    Put it last: what is saved is what the callbacks before it made of the step.

    Args:
        save: Writes the checkpoints.
        minutes: Between them; ``None`` where only the end of the training asks for one.
        limit: How long the training may run.
        interrupts: Knows of SIGTERM.
        metrics: The model's, just set back.
        stopped_by: function() → the callback that has ended the training in this step.
        facts: function(epoch, from 1) → what a checkpoint inside it remembers besides.
        say: Takes a line about metrics that cannot be kept.

    Attributes:
        has_worked: This run has made a step, or has evaluated all corpora.
    """

    def __init__(
        self,
        save: SaveCheckpoint,
        minutes: float | None,
        limit: TimeLimit,
        interrupts: Interrupts,
        metrics: MetricStates,
        stopped_by: Callable[[], keras.callbacks.Callback | None],
        facts: Callable[[int], Mapping[str, Any]],
        say: Callable[[str], None],
    ):
        super().__init__()
        self._save, self._metrics, self._facts, self._say = save, metrics, facts, say
        self._stopped_by = stopped_by
        self._seconds = None if minutes is None else 60 * minutes
        self._limit, self._interrupts = limit, interrupts
        self._epoch, self._lost_said = 0, False
        self._step_ended: float | None = None
        self.has_worked = False

    @property
    def must_end(self) -> bool:
        """Whether the training must end as soon as all is saved."""
        self._limit.longest_save = self._save.longest_save
        return self._interrupts.is_terminated or self._limit.is_near()

    def end_if_due(self) -> None:
        """Ends the training, if it must end, where everything is saved. Raises EndedEarlyError.

        However short the time, a run gets on: by a step or an evaluation of all corpora.
        """
        gets_on = self.has_worked or self._interrupts.is_terminated
        if gets_on and self._save.is_saved and self.must_end:
            raise EndedEarlyError

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch."""
        self._epoch, self._step_ended = epoch + 1, None

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, and ends the training, where that is due."""
        now = time.monotonic()
        if self._step_ended is not None:
            self._limit.longest_step = max(self._limit.longest_step, now - self._step_ended)
        self._step_ended, self.has_worked = now, True
        if batch + 1 >= self.params["steps"]:  # the end of the epoch comes at once
            self._save.must_save = self.must_end or self._limit.is_near_after_evaluation()
        elif self.model.stop_training:
            if math.isfinite(float((logs or {}).get("loss", 0.0))):
                self._save_now(batch + 1, self._stopped(logs or {}))
        elif self.must_end:
            self._save_now(batch + 1)
            raise EndedEarlyError
        elif self._seconds is not None and now - self._save.saved_at >= self._seconds:
            self._save_now(batch + 1)
            self._step_ended = None

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the training, where that is due: the evaluation will be done again."""
        if self._save.is_saved and self.must_end:
            self._bring_back_variables()
            self.end_if_due()

    def _stopped(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """What to ask the callback again that has just ended the training."""
        number = self._save.number_of(self._stopped_by())
        return {} if number is None else {"stopped_by": number, "logs": flat_scores(logs)}

    def _save_now(self, batches: int, more: Mapping[str, Any] | None = None) -> None:
        self._bring_back_variables()
        arrays: Arrays = {}
        changed, lost = self._metrics.state(arrays)
        if lost and not self._lost_said:
            self._lost_said = True
            self._say(f"not kept in checkpoints inside an epoch: {', '.join(lost)}")
        facts = {**self._facts(self._epoch), **(more or {})}
        content = {**facts, "metrics": changed, "random": random_state(arrays)}
        self._save.save_inside(batches, content, arrays)

    def _bring_back_variables(self) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # they are empty between two steps
