"""What changed in the attributes of an object, and of those that it holds, since training began."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import keras
import numpy as np

from seqmill.trainer.state.values import Arrays, CannotBeKeptError, array_entry, decode, encode, value_of
from seqmill.trainer.state.walk import attributes, is_users, is_variable

Changed = dict[str, dict[str, Any]]
Read = Callable[[Mapping[str, Any]], np.ndarray]

_BEGUN = time.time()
_ABSENT = object()
_VARIABLES = "*"  # no path of an object


class WatchedObjects:
    """Some objects whose attributes are compared with what they are now.

    Args:
        objects: (path, object) pairs, from ``walk``.
        with_variables: Variables are looked at too, those in layers and optimizers among the objects as well.

    Attributes:
        unkept: Whether something had changed at the last ``changed`` that cannot be kept, and be it in an
            object of Keras', of which nothing is said.
    """

    def __init__(self, objects: Iterable[tuple[str, Any]], with_variables: bool):
        self._with_variables = with_variables
        self.unkept = False
        objects = list(objects)
        self._objects = {path: holder for path, holder in objects if not is_variable(holder)}
        named = {id(value) for holder in self._objects.values() for _, value in self._named(holder)}
        self._variables = {
            path: one for path, one in objects if with_variables and is_variable(one) and id(one) not in named
        }
        self._fresh_variables = {path: array_entry(value_of(one)) for path, one in self._variables.items()}
        self._fresh = {
            path: {name: (value, self._comparable(value)) for name, value in self._named(holder)}
            for path, holder in self._objects.items()
        }

    def changed(self, arrays: Arrays) -> tuple[Changed, list[str]]:
        """Per path the changed attributes as JSON, and descriptions of those that cannot be kept.

        Args:
            arrays: Takes the arrays in them.
        """
        changed: Changed = {}
        lost = []
        self.unkept = False
        for path, variable in self._variables.items():
            if array_entry(value_of(variable)) != self._fresh_variables[path]:
                changed.setdefault(_VARIABLES, {})[path] = encode(variable, arrays)
        for path, holder in self._objects.items():
            for name, value in self._named(holder):
                before, comparable = self._fresh[path].get(name, (_ABSENT, _ABSENT))
                now = self._comparable(value)
                is_same = now == comparable and (now is not None or before is value)
                if is_same and not _is_iterator(value):
                    continue
                try:
                    if _is_time_of_day(value):
                        raise CannotBeKeptError("a time of day")
                    encoded = encode(value, arrays, self._with_variables)
                    changed.setdefault(path, {})[name] = encoded
                except CannotBeKeptError as error:
                    self.unkept = True
                    if is_users(holder):
                        lost.append(f"{path}.{name}".lstrip(".") + f" ({error})")
        return changed, lost

    def restore(self, changed: Mapping[str, Mapping[str, Any]], read: Read) -> list[str]:
        """Sets attributes to what ``changed`` returned; the paths of objects that are not there."""
        missing = []
        for path, value in changed.get(_VARIABLES, {}).items():
            if path in self._variables:
                decode(value, read, self._variables[path])
            else:
                missing.append(path)
        for path, values in changed.items():
            if path == _VARIABLES:
                continue
            if path not in self._objects:
                missing.append(path)
                continue
            holder = self._objects[path]
            for name, value in values.items():
                setattr(holder, name, decode(value, read, getattr(holder, name, None)))
        return missing

    def _named(self, holder: Any) -> list[tuple[str, Any]]:
        """An object's attributes without Keras' bookkeeping and without variables that are kept elsewhere."""
        found = attributes(holder)
        if isinstance(holder, keras.Layer):
            found = {name: value for name, value in found.items() if name not in _names_of_layers()}
        if not is_users(holder) and not isinstance(holder, keras.callbacks.Callback):
            found = {name: value for name, value in found.items() if not name.startswith("_")}
        return [
            (name, value) for name, value in found.items() if self._with_variables or not is_variable(value)
        ]

    def _comparable(self, value: Any) -> Any:
        """What is equal where a value is; ``None`` where only its identity tells."""
        try:
            return (encode(value, None, self._with_variables),)
        except CannotBeKeptError:
            return None


def _is_iterator(value: Any) -> bool:
    """Whether a value goes on without being replaced, and nobody can tell how far."""
    return isinstance(value, Iterator) and not isinstance(value, io.IOBase)


def _is_time_of_day(value: Any) -> bool:
    return isinstance(value, float) and _BEGUN <= value <= time.time()


@cache
def _names_of_layers() -> frozenset[str]:
    """Attributes that Keras itself gives to layers and models."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    found = {*vars(model), *vars(model.layers[0]), *vars(keras.layers.Layer())}
    own = {"kernel", "units", "bias", "use_bias", "activation", "activity_regularizer"}
    return frozenset(found - own | {"stop_evaluating", "stop_predicting", "stop_training", "optimizer"})
