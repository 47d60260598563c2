"""What a model holds that decides the rest of a training."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from seqmill.trainer.state import compiled
from seqmill.trainer.state.attributes import Read, WatchedObjects
from seqmill.trainer.state.values import (
    Arrays,
    CannotBeKeptError,
    array_entry,
    decode,
    encode,
    has_contract,
    value_of,
)
from seqmill.trainer.state.walk import Walked, is_variable, walk_model
from seqmill.transforms.storage.errors import SeqmillError

Content = Mapping[str, Any]

WEIGHTS, OTHERS = "model", "others"


@dataclass(frozen=True)
class Slot:
    """A variable, and where it belongs.

    Attributes:
        group: WEIGHTS for those that Keras counts among the model's (seed states too), an optimizer's path,
            or OTHERS for those that only an attribute leads to.
        name: Its path.
        variable: Of Keras or TensorFlow.
    """

    group: str
    name: str
    variable: Any

    def array(self) -> np.ndarray:
        """Its value."""
        return value_of(self.variable)

    @property
    def kind(self) -> tuple[list[int], str]:
        """Shape and dtype."""
        return list(self.variable.shape), keras.backend.standardize_dtype(self.variable.dtype)

    def entry(self) -> dict[str, Any]:
        """What a checkpoint's JSON says about it."""
        return {"group": self.group, "name": self.name, **array_entry(self.array())}


def slots(model: keras.Model, walked: Walked | None = None) -> list[Slot]:
    """Every variable of every layer and optimizer that a model holds, each once.

    Those of the model come first, in Keras' order, then those of each optimizer, then those that Keras does
    not know of.

    Args:
        model: A built model.
        walked: What it holds, from ``walk_model``, where that is known.
    """
    walked = walk_model(model) if walked is None else walked
    found: dict[int, Slot] = {}
    for variable in model.variables:
        found.setdefault(id(variable), Slot(WEIGHTS, variable.path, variable))
    for path, optimizer in compiled.optimizers(walked).items():
        for variable in optimizer.variables:
            found.setdefault(id(variable), Slot(path, variable.path, variable))
    for path, variable in walked:
        if is_variable(variable):
            found.setdefault(id(variable), Slot(OTHERS, path, variable))
    return list(found.values())


class ModelState:
    """The state of a model.

    A model with ``get_state()`` and ``set_state(state)`` says itself what it holds beside variables;
    otherwise these are the attributes of the model, its layers and the user's objects in it that changed
    since training began.

    Args:
        model: A built model with a built optimizer, before a checkpoint is loaded.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        walked = walk_model(model)
        self.at_begin = compiled.describe(model, walked)
        self._watched = WatchedObjects(walked, with_variables=False)

    def object_ids(self) -> set[int]:
        """The ids of the objects that the model holds."""
        return {id(one) for _, one in walk_model(self.model)}

    def describe(self, arrays: Arrays) -> tuple[dict[str, Any], list[str]]:
        """All but the arrays of variables, and descriptions of what cannot be kept.

        Args:
            arrays: Takes the arrays in attributes.
        """
        walked = walk_model(self.model)
        every = slots(self.model, walked)
        place = {id(slot.variable): index for index, slot in enumerate(every)}
        attributes, lost = self._attributes(arrays)
        content = {
            "variables": [slot.entry() for slot in every],
            "built_on": {
                path: [place[id(v)] for v in getattr(one, "_trainable_variables", ()) if id(v) in place]
                for path, one in compiled.optimizers(walked).items()
                if one.built
            },
            "attributes": attributes,
            "compiled": {"at_begin": self.at_begin, "now": compiled.describe(self.model, walked)},
        }
        return content, lost

    def prepare(self, content: Content, where: str, say: Callable[[str], None]) -> dict[str, float]:
        """Makes the model's variables those of a checkpoint, without their values.

        Args:
            content: From ``describe``, in an earlier process.
            where: The checkpoint, for messages.
            say: Takes messages about what changed on purpose.

        Returns:
            Per optimizer the learning rate that was changed in the model file.

        Raises:
            SeqmillError: The checkpoint is of another model.
        """
        then = content["compiled"]
        first_weights = [entry for entry in content["variables"] if entry["group"] == WEIGHTS]
        _check_same(first_weights, [s for s in slots(self.model) if s.group == WEIGHTS], where)
        rates = compiled.check_unchanged(then["at_begin"], self.at_begin, where, say)
        if compiled.differs(then["at_begin"], then["now"]):
            compiled.apply(self.model, then["now"])
            say(f"{where}: the optimizer and the layers that learn are those that a callback had set")
        self._build_optimizers(content)
        _check_same(content["variables"], slots(self.model), where)
        return rates

    def restore(self, content: Content, read: Read) -> None:
        """Sets every variable and attribute to what a checkpoint holds.

        Args:
            content: From ``describe``, of a checkpoint that ``prepare`` accepted.
            read: Reads an array of the checkpoint.
        """
        for slot, entry in _paired(content["variables"], slots(self.model)):
            slot.variable.assign(read(entry))
        self._restore_attributes(content["attributes"], read)

    def restore_model(self, content: Content, read: Read, where: str) -> None:
        """Sets variables and attributes to what a checkpoint holds, but not those of optimizers.

        Args:
            content: From ``describe``.
            read: Reads an array of the checkpoint.
            where: The checkpoint, for messages.

        Raises:
            SeqmillError: The checkpoint is of another model.
        """
        for slot, entry in paired_weights(self.model, content, where):
            slot.variable.assign(read(entry))
        self._restore_attributes(content["attributes"], read)

    def _restore_attributes(self, attributes: Content, read: Read) -> None:
        if "own" in attributes and has_contract(self.model):
            self.model.set_state(decode(attributes["own"], read))
        else:
            self._watched.restore(attributes.get("changed", {}), read)

    def _attributes(self, arrays: Arrays) -> tuple[dict[str, Any], list[str]]:
        if has_contract(self.model):
            try:
                return {"own": encode(self.model.get_state(), arrays)}, []
            except CannotBeKeptError as error:
                return {}, [f"{type(self.model).__name__}.get_state() ({error})"]
        changed, lost = self._watched.changed(arrays)
        return {"changed": changed}, [f"{type(self.model).__name__}.{one}" for one in lost]

    def _build_optimizers(self, content: Content) -> None:
        walked = walk_model(self.model)
        own, optimizers = slots(self.model, walked), compiled.optimizers(walked)
        for path, indices in content["built_on"].items():
            optimizer = optimizers.get(path)
            if optimizer is not None and not optimizer.built:
                optimizer.build([own[index].variable for index in indices])


def num_bytes(model: keras.Model) -> int:
    """What the variables of a model and its optimizers take."""
    return sum(
        int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in (one.kind for one in slots(model))
    )


def weights(model: keras.Model) -> list[Slot]:
    """The variables of a model, without those of its optimizers."""
    return [slot for slot in slots(model) if slot.group in (WEIGHTS, OTHERS)]


def paired_weights(model: keras.Model, content: Content, where: str) -> list[tuple[Slot, Content]]:
    """The variables of a model, but its optimizers', each with what a checkpoint says of it.

    Args:
        model: A built model.
        content: The checkpoint's.
        where: The checkpoint, for messages.

    Raises:
        SeqmillError: The checkpoint is of another model.
    """
    own = weights(model)
    entries = [entry for entry in content["variables"] if entry["group"] in (WEIGHTS, OTHERS)]
    _check_same(entries, own, where, "train again, or use the model file that it was trained with")
    return list(_paired(entries, own))


def arrays_of(content: Content) -> Iterator[Content]:
    """The entries of all arrays in a checkpoint's JSON."""
    for part in ("variables", "attributes", "callbacks", "callbacks_before", "metrics", "random"):
        yield from _arrays_in(content.get(part))


def take_weights(model: keras.Model, content: Content, read: Read, where: str) -> list[str]:
    """Sets a model's weights to those of a checkpoint that may be of another model.

    All are taken in their order where number and shapes are the same; otherwise those of the same path (but
    for the numbers that Keras adds) and shape.

    Args:
        model: A built model.
        content: The checkpoint's.
        read: Reads an array of the checkpoint.
        where: The checkpoint, for messages.

    Returns:
        The paths of the model's weights that it does not hold.

    Raises:
        SeqmillError: It holds none of them.
    """
    theirs = [entry for entry in content["variables"] if entry["group"] == WEIGHTS]
    ours = [slot for slot in slots(model) if slot.group == WEIGHTS]
    if [(list(one["shape"]), one["dtype"]) for one in theirs] == [slot.kind for slot in ours]:
        pairs: list[tuple[Slot, Content | None]] = list(zip(ours, theirs, strict=True))
    else:
        by_name: dict[Any, Content] = {}
        for entry in theirs:
            by_name.setdefault((_unnumbered(entry["name"]), tuple(entry["shape"])), entry)
        pairs = [(s, by_name.pop((_unnumbered(s.name), tuple(s.kind[0])), None)) for s in ours]
    missing = [slot.name for slot, entry in pairs if entry is None]
    if len(missing) == len(ours):
        raise SeqmillError(f"{where}: holds no weights of this model, such as {ours[0].name} {ours[0].kind}")
    for slot, entry in pairs:
        if entry is not None:
            slot.variable.assign(read(entry))
    return missing


def _arrays_in(value: Any) -> Iterator[Content]:
    if isinstance(value, Mapping):
        if "xxh128" in value:
            yield value
        else:
            for inner in value.values():
                yield from _arrays_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _arrays_in(inner)


def _unnumbered(path: str) -> str:
    return "/".join(re.sub(r"_\d+$", "", part) for part in path.split("/"))


def _paired(entries: list[Content], own: list[Slot]) -> Iterator[tuple[Slot, Content]]:
    """Variables with what a checkpoint says: by order in their group, those in OTHERS by name."""
    for group in dict.fromkeys(entry["group"] for entry in entries):
        theirs = [entry for entry in entries if entry["group"] == group]
        ours = [slot for slot in own if slot.group == group]
        if group == OTHERS:
            by_name = {slot.name: slot for slot in ours}
            ours = [by_name[entry["name"]] for entry in theirs]
        yield from zip(ours, theirs, strict=True)


_GO_ON = 'change it back, or set resume = "weights" to go on with the weights that fit'


def _check_same(entries: list[Content], own: list[Slot], where: str, hint: str = _GO_ON) -> None:
    """Raises SeqmillError where a checkpoint's variables are not those of the model."""
    theirs = _in_order([(one["group"], one["name"], (list(one["shape"]), one["dtype"])) for one in entries])
    ours = _in_order([(slot.group, slot.name, slot.kind) for slot in own])
    if [_comparable(one) for one in theirs] == [_comparable(one) for one in ours]:
        return
    pairs = zip(theirs, ours, strict=False)
    different = (i for i, (a, b) in enumerate(pairs) if _comparable(a) != _comparable(b))
    first = next(different, min(len(theirs), len(ours)))
    named = [
        f"{side[first][1]} {side[first][2]}" if first < len(side) else "nothing" for side in (theirs, ours)
    ]
    raise SeqmillError(
        f"{where}: is of another model: {len(theirs)} variables, the model has {len(ours)}; "
        f"number {first + 1} is {named[0]}, in the model {named[1]}; {hint}"
    )


_Described = tuple[str, str, tuple[list[int], str]]


def _in_order(described: list[_Described]) -> list[_Described]:
    """Those in OTHERS last and by name: in which order they are found depends on that of attributes."""
    return sorted(described, key=lambda one: (one[0] == OTHERS, one[1] if one[0] == OTHERS else ""))


def _comparable(one: _Described) -> tuple[Any, ...]:
    return (one[0], one[1] if one[0] == OTHERS else "", one[2])
