"""Keras callbacks that live across a whole training although every epoch is a ``fit`` of its own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from seqmill.trainer.scores import flat_scores


class TrainingCallbacks(keras.callbacks.CallbackList):
    """A callback list that each epoch's ``fit`` is given.

    ``fit`` announces the beginning and end of training every time and ends an epoch before the other
    corpora are evaluated. Both are held back here: the loop announces them when they are true.

    Args:
        first: Callbacks that see the end of an epoch as soon as ``fit`` is through with it. Checkpoints keep
            no state of theirs.
        others: Callbacks that see it after evaluation, with the scores of all corpora.
        model: The model.
        num_epochs: Epochs of the whole training.
    """

    def __init__(
        self,
        first: Sequence[keras.callbacks.Callback],
        others: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        num_epochs: int,
    ):
        super().__init__([*first, *others], add_history=True, model=model, epochs=num_epochs, verbose=0)
        self._first = list(first)
        self._others = [callback for callback in self.callbacks if callback not in self._first]
        self._fresh: list[dict[str, Any]] = []
        self.epoch_logs: dict[str, float] = {}

    def begin_training(self) -> None:
        """Announces the beginning of training."""
        super().on_train_begin()
        self._fresh = [_scalars(callback) for callback in self._others]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Sets callbacks to what ``state`` returned in an earlier training."""
        entries = list(state)
        for callback in self._others:
            entry = next((entry for entry in entries if entry["class"] == type(callback).__name__), None)
            if entry is not None:
                entries.remove(entry)  # the next callback of this class gets the next state
                for name, value in entry["changed"].items():
                    setattr(callback, name, float(value["float"]) if isinstance(value, dict) else value)

    def end_training(self, logs: Mapping[str, Any]) -> None:
        """Announces the end of training."""
        super().on_train_end(dict(logs))

    def end_epoch(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Announces the end of epoch index ``epoch`` (from 0) with the scores of all corpora."""
        shared = dict(logs)  # a callback may add to it for those that follow
        for callback in self._others:
            callback.on_epoch_end(epoch, shared)

    def state(self) -> list[dict[str, Any]]:
        """Per callback the numbers, strings and booleans that changed since training began."""
        entries = []
        for callback, fresh in zip(self._others, self._fresh, strict=True):
            changed = {name: v for name, v in _scalars(callback).items() if fresh.get(name, ...) != v}
            entries.append({"class": type(callback).__name__, "changed": _to_json(changed)})
        return entries

    def on_train_begin(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_train_end(self, logs: Any = None) -> None:
        """Held back: this is one ``fit`` of many."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Passes the end of an epoch to the first callbacks, and keeps the train scores."""
        self.epoch_logs = flat_scores(logs or {})
        for callback in self._first:
            callback.on_epoch_end(epoch, dict(self.epoch_logs))


def _scalars(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """A callback's plain attributes but for those that its constructor sets."""
    values = {}
    arguments = {name for base in type(callback).__mro__ for name in _parameters(base)}
    for name, value in vars(callback).items():
        if name in arguments:
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool | int | float | str):
            values[name] = value
    return values


def _parameters(kind: type) -> list[str]:
    constructor = vars(kind).get("__init__")
    return list(inspect.signature(constructor).parameters) if inspect.isfunction(constructor) else []


def _to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN and no infinity."""
    return {
        name: {"float": repr(value)} if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
