"""How a model is put together for training: optimizers, loss, which layers learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from seqmill.trainer.state.walk import Walked, walk_model
from seqmill.transforms.storage.errors import SeqmillError

MAIN = "optimizer"


def optimizers(walked: Walked) -> dict[str, keras.optimizers.Optimizer]:
    """The optimizers that a model holds, by the path of their attribute; that of ``compile`` is MAIN."""
    return {path: one for path, one in walked if isinstance(one, keras.optimizers.Optimizer)}


def describe(model: keras.Model, walked: Walked) -> dict[str, Any]:
    """A model's optimizers with their hyperparameters, its loss and its layers that learn, as JSON."""
    return {
        "optimizers": {path: _plain(_serialized(one)) for path, one in optimizers(walked).items()},
        "loss": _plain(_serialized(model.loss)),
        "trainable": {path: layer.trainable for path, layer in walked if isinstance(layer, keras.Layer)},
    }


def check_unchanged(
    then: Mapping[str, Any], now: Mapping[str, Any], where: str, say: Callable[[str], None]
) -> dict[str, float]:
    """Compares how the model file puts its model together with how it did when a training began.

    Args:
        then: ``describe`` of the model when the training began.
        now: ``describe`` of the model that is to go on.
        where: The checkpoint, for messages.
        say: Takes a message about each change that is taken over.

    Returns:
        Per optimizer the learning rate that was changed, which replaces the checkpoint's.

    Raises:
        SeqmillError: Another optimizer, or other layers that learn: the checkpoint's state does not fit.
    """
    hint = 'change it back, or set resume = "weights" to go on with the weights and a fresh optimizer'
    for path in sorted({*then["optimizers"], *now["optimizers"]}):
        kinds = [_class_name(side["optimizers"].get(path)) for side in (then, now)]
        if kinds[0] != kinds[1]:
            raise SeqmillError(
                f"{where}: {path} was {kinds[0]}, is {kinds[1]}: its state does not fit; {hint}"
            )
    learning = sorted({*then["trainable"], *now["trainable"]})
    for path in learning:
        if then["trainable"].get(path, True) != now["trainable"].get(path, True):
            word = "learns" if now["trainable"].get(path) else "no longer learns"
            raise SeqmillError(
                f"{where}: {_layer(path)} {word} now: the optimizer's state does not fit; {hint}"
            )
    rates = {}
    for path, optimizer in now["optimizers"].items():
        for name, was, value in _differences(then["optimizers"][path], optimizer):
            say(f"changed since the training began: {path}'s {name} was {_show(was)}, is {_show(value)}")
            if name == "learning_rate" and isinstance(value, float):
                rates[path] = value
    if then["loss"] != now["loss"]:
        say("changed since the training began: the loss")
    return rates


def differs(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a callback put the model together anew: other optimizers or other layers that learn."""
    return any(
        _without_rates(then[part]) != _without_rates(now[part]) for part in ("optimizers", "trainable")
    )


def apply(model: keras.Model, description: Mapping[str, Any]) -> None:
    """Puts a model together as a callback had done when a checkpoint was written.

    Raises:
        SeqmillError: An optimizer cannot be made from its description.
    """
    layers = {path: layer for path, layer in walk_model(model) if isinstance(layer, keras.Layer)}
    for path, trainable in description["trainable"].items():
        if path in layers and layers[path].trainable != trainable:
            layers[path].trainable = trainable
    try:
        made = keras.saving.deserialize_keras_object(description["optimizers"][MAIN])
    except (TypeError, ValueError, KeyError) as error:
        raise SeqmillError(
            f"the optimizer that a callback put in place cannot be made again ({error})"
        ) from None
    model.optimizer = made
    model.train_function = None


def _serialized(value: Any) -> Any:
    try:
        return keras.saving.serialize_keras_object(value)
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        return {"class_name": type(value).__name__}


def _plain(value: Any) -> Any:
    """JSON without the names that Keras numbers anew in each process."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__lambda__":
            return {"class_name": "lambda"}
        return {
            str(key): _plain(entry) for key, entry in value.items() if key not in ("name", "build_config")
        }
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _class_name(optimizer: Any) -> str:
    return "none" if optimizer is None else str(optimizer.get("class_name"))


def _differences(then: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    if (
        isinstance(then, Mapping)
        and isinstance(now, Mapping)
        and then.get("class_name") == now.get("class_name")
    ):
        found = []
        for key in sorted({*then, *now}):
            inner = name if key == "config" else f"{name}.{key}" if name else key
            found += _differences(then.get(key), now.get(key), inner)
        return found
    return [] if then == now else [(name, then, now)]


def _without_rates(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_rates(entry) for key, entry in value.items() if key != "learning_rate"}
    return value


def _layer(path: str) -> str:
    return f"layer {path}" if path else "the model"


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("class_name", value))
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
