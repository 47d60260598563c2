"""What callbacks hold that decides the rest of a training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np


class CallbackStates:
    """The state of some callbacks: what changed in them since training began.

    Args:
        callbacks: The callbacks.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]):
        self._callbacks = list(callbacks)
        self._fresh: list[dict[str, Any]] = [{} for _ in self._callbacks]

    def begin(self) -> None:
        """Training begins: what they hold now is no state."""
        self._fresh = [scalars(callback) for callback in self._callbacks]

    def state(self) -> list[dict[str, Any]]:
        """Per callback the numbers, strings and booleans that changed since training began."""
        entries = []
        for callback, fresh in zip(self._callbacks, self._fresh, strict=True):
            changed = {name: v for name, v in scalars(callback).items() if fresh.get(name, ...) != v}
            entries.append({"class": type(callback).__name__, "changed": _to_json(changed)})
        return entries

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Sets callbacks to what ``state`` returned in an earlier training."""
        entries = list(state)
        for callback in self._callbacks:
            entry = next((entry for entry in entries if entry["class"] == type(callback).__name__), None)
            if entry is not None:
                entries.remove(entry)  # the next callback of this class gets the next state
                for name, value in entry["changed"].items():
                    setattr(callback, name, float(value["float"]) if isinstance(value, dict) else value)


def scalars(callback: keras.callbacks.Callback) -> dict[str, Any]:
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
