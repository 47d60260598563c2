"""Every object that a model holds, whether Keras tracks it or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

MOST_ENTRIES = 10_000

Walked = list[tuple[str, Any]]

# Made anew by Keras whenever it needs them, or set back at the beginning of each epoch.
_KERAS_OWN = {
    "_tracker", "_lock", "_functional", "_compile_metrics", "_compile_loss", "_compile_config",
    "_loss_tracker", "_distribute_strategy", "history", "train_function", "test_function",
    "predict_function", "_eval_epoch_iterator", "_inbound_nodes", "_outbound_nodes", "_nodes",
    "_nodes_by_depth", "_operations", "_operations_by_depth", "_compiled_trainable_state",
    "_call_signature", "_dtype_policy",
}  # fmt: skip
_OF_CALLBACKS = {"model", "_model", "params", "validation_data"}
_LIBRARIES = {"keras", "tensorflow", "numpy", "jax", "jaxlib", "torch", "h5py", "seqmill"}
_NOT_WALKED = {*_LIBRARIES, *sys.stdlib_module_names} - {"__main__"}


def walk(root: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yields (path of attributes, object) for all variables, layers, optimizers and objects of the user's.

    Objects in lists, tuples and dicts are found too. What is reachable in several ways is yielded once, in an
    order that depends on the user's code alone.

    Args:
        root: Where to begin, a model or a callback. Its own path is "".
        seen: Ids of objects to leave out; those found are added.
    """
    seen.add(id(root))
    yield "", root
    for name, attribute in attributes(root).items():
        yield from _visit(name, attribute, seen)


def walk_model(model: keras.Model) -> Walked:
    """``walk`` from a model, without the metrics that Keras sets back every epoch."""
    return list(walk(model, {id(metric) for metric in model.metrics}))


def is_variable(value: Any) -> bool:
    """Whether a value is a variable of Keras or TensorFlow."""
    return isinstance(value, keras.Variable | tf.Variable)


def entries(value: Any) -> Iterator[tuple[str, Any]] | None:
    """(how to get there, value) of what a list, tuple or dict holds; ``None`` for all else and large ones."""
    if isinstance(value, list | tuple | Mapping) and len(value) > MOST_ENTRIES:
        return None
    if isinstance(value, list | tuple):
        return ((f"[{index}]", entry) for index, entry in enumerate(value))
    if isinstance(value, Mapping):
        return ((f"[{key!r}]", entry) for key, entry in list(value.items()))
    return None


def attributes(holder: Any) -> dict[str, Any]:
    """The attributes of an object that ``walk`` yielded, without what is Keras' own business."""
    skipped = set(_KERAS_OWN)
    if isinstance(holder, keras.callbacks.Callback):
        skipped |= _OF_CALLBACKS
        if hasattr(holder, "monitor_op"):
            # Keras turns the sign of min_delta when it finds out the direction, a function that is not kept.
            skipped |= {"min_delta", "monitor_op"}
    return {
        name: value
        for name, value in vars(holder).items()
        if name not in skipped
        and not name.startswith(("_self_", "_obj_reference"))
        and not _replaces_a_method(value)
    }


def is_users(value: Any) -> bool:
    """Whether an object is of a class that neither Keras nor another library that we know defines."""
    is_plain_class_or_function = isinstance(value, type) or hasattr(value, "__code__")
    return not is_plain_class_or_function and hasattr(value, "__dict__") and _root(value) not in _NOT_WALKED


def _visit(path: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in seen:
        return
    if is_variable(value):
        seen.add(id(value))
        yield path, value
    elif _is_holder(value):
        seen.add(id(value))
        yield path, value
        for name, attribute in attributes(value).items():
            yield from _visit(f"{path}.{name}", attribute, seen)
    elif (inner := entries(value)) is not None:
        for step, entry in inner:
            yield from _visit(f"{path}{step}", entry, seen)


def _is_holder(value: Any) -> bool:
    of_keras = (
        keras.Layer,
        keras.optimizers.Optimizer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.random.SeedGenerator,
        keras.callbacks.Callback,
        tf.Module,
    )
    if isinstance(value, keras.DTypePolicy):
        return False
    return isinstance(value, of_keras) or is_users(value)


def _replaces_a_method(value: Any) -> bool:
    """Whether a value is a function of ours that we put in the place of a method of the user's."""
    return callable(value) and str(getattr(value, "__module__", "")).startswith("seqmill.")


def _root(value: Any) -> str:
    return type(value).__module__.partition(".")[0]
