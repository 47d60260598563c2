"""What callbacks hold that decides the rest of a training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras

from seqmill.trainer.state.attributes import Read, WatchedObjects
from seqmill.trainer.state.values import Arrays, CannotBeKeptError, decode, encode, has_contract
from seqmill.trainer.state.walk import walk

Entry = Mapping[str, Any]


class CallbackStates:
    """The state of some callbacks: what changed in their attributes since training began.

    A callback with ``get_state()`` and ``set_state(state)`` says itself what its state is. In a checkpoint a
    callback is found by its class and the arguments of its constructor.

    Args:
        callbacks: The callbacks, before training begins.

    Attributes:
        callbacks: These.
    """

    def __init__(self, callbacks: Iterable[keras.callbacks.Callback]):
        self.callbacks = list(callbacks)
        self._identities = [_identity(callback) for callback in self.callbacks]
        self._watched: list[WatchedObjects] = []

    def begin(self, in_model: set[int]) -> None:
        """Training begins: what they hold now is no state.

        Args:
            in_model: Ids of the objects that the model holds, which are not the callbacks'.
        """
        self._watched = [
            WatchedObjects(walk(callback, set(in_model)), with_variables=True) for callback in self.callbacks
        ]

    def state(self, arrays: Arrays) -> tuple[list[dict[str, Any]], list[str]]:
        """An entry per callback, and descriptions of what cannot be kept.

        Args:
            arrays: Takes the arrays in them.
        """
        entries, lost = [], []
        for callback, identity, watched in zip(self.callbacks, self._identities, self._watched, strict=True):
            if has_contract(callback):
                try:
                    entries.append({**identity, "own": encode(callback.get_state(), arrays)})
                    continue
                except CannotBeKeptError as error:
                    lost.append(f"{identity['class']}.get_state() ({error})")
            changed, unkept = watched.changed(arrays)
            entries.append({**identity, "changed": changed, "is_all": not watched.unkept})
            lost += [f"{identity['class']}.{one}" for one in unkept]
        return entries, lost

    def index(self, callback: keras.callbacks.Callback) -> int:
        """The number of a callback, from 0."""
        return next(index for index, one in enumerate(self.callbacks) if one is callback)

    def find(
        self, entries: Sequence[Entry], say: Callable[[str], None], anew: Sequence[str] = ()
    ) -> list[Entry | None]:
        """The entry of each callback, ``None`` where it starts anew.

        Args:
            entries: Of a checkpoint.
            say: Takes a message about each callback that starts anew, and each entry that is no callback's.
            anew: Prefixes of scores; callbacks that monitor these start anew.
        """
        left = list(entries)
        found: list[Entry | None] = []
        for identity in self._identities:
            same = next((entry for entry in left if _is_same(entry, identity)), None)
            found.append(same)
            if same is not None:
                left.remove(same)
        for index, identity in enumerate(self._identities):
            other = next((entry for entry in left if entry["class"] == identity["class"]), None)
            if found[index] is None and other is not None:
                left.remove(other)
                found[index] = _of_another(other, identity, say)
        for index, identity in enumerate(self._identities):
            monitor = identity["arguments"].get("monitor")
            if found[index] is not None and isinstance(monitor, str) and monitor.startswith(tuple(anew)):
                say(f"{_name(identity)}: the data that {monitor} is measured on have changed: it starts anew")
                found[index] = None
        for entry in left:
            if entry.get("changed") or "own" in entry:
                say(f"the checkpoint's state of {_name(entry)} is that of no callback now")
        return found

    def restore(self, entries: Sequence[Entry | None], read: Read) -> list[str]:
        """Sets each callback to what its entry says, one after the other.

        Args:
            entries: From ``find``.
            read: Reads an array of the checkpoint.

        Returns:
            What has no place in them any more.
        """
        pairs = [(index, entry) for index, entry in enumerate(entries) if entry is not None]
        return [missing for index, entry in pairs for missing in self.restore_one(index, entry, read)]

    def restore_one(self, index: int, entry: Entry, read: Read) -> list[str]:
        """Sets callback number ``index`` to what an entry says; what has no place in it any more."""
        callback = self.callbacks[index]
        if "own" in entry and has_contract(callback):
            callback.set_state(decode(entry["own"], read))
            return []
        missing = self._watched[index].restore(entry.get("changed", {}), read)
        return [f"{entry['class']}.{path}" for path in missing]


def _identity(callback: keras.callbacks.Callback) -> dict[str, Any]:
    kind = type(callback)
    arguments = {}
    for name in sorted({name for base in kind.__mro__ for name in _parameters(base)}):
        value = getattr(callback, name, getattr(callback, f"_{name}", None))
        try:
            arguments[name] = encode(value, None)
        except CannotBeKeptError:
            continue  # a function, another callback: no telling whether it is the same
    return {"class": kind.__qualname__.rpartition("<locals>.")[2], "arguments": arguments}


def _parameters(kind: type) -> list[str]:
    constructor = vars(kind).get("__init__")
    if not inspect.isfunction(constructor) or kind is keras.callbacks.Callback:
        return []
    return [name for name in inspect.signature(constructor).parameters if name != "self"]


def _is_same(entry: Entry, identity: Entry) -> bool:
    return bool(entry["class"] == identity["class"] and entry["arguments"] == identity["arguments"])


def _of_another(entry: Entry, identity: Entry, say: Callable[[str], None]) -> Entry | None:
    """The entry of a callback of the same class with other arguments, unless it means something else now."""
    then, now = entry["arguments"], identity["arguments"]
    differing = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    shown = ", ".join(f"{name} was {then.get(name)!r}, is {now.get(name)!r}" for name in differing)
    state = entry.get("changed", {}).get("", {})
    if {"monitor", "mode"} & set(differing) or any(n in state or f"_{n}" in state for n in differing):
        say(f"{identity['class']}: {shown}: it starts anew")
        return None
    say(f"{identity['class']}: {shown}: it goes on with its state")
    return entry


def _name(entry: Entry) -> str:
    arguments = ", ".join(
        f"{name}={value!r}" for name, value in entry["arguments"].items() if value is not None
    )
    return f"{entry['class']}({arguments})"
