"""Values of users' attributes, written as JSON with arrays beside it. Nothing is pickled."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import xxhash

from seqmill.trainer.state.walk import MOST_ENTRIES, is_variable

Arrays = dict[str, np.ndarray]

_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


class CannotBeKeptError(Exception):
    """A value is of a kind that has no place in a checkpoint; its only argument is the kind."""


def encode(value: Any, arrays: Arrays | None, with_variables: bool = True) -> Any:
    """A value as JSON.

    Numbers, strings, booleans, None, arrays, tensors, variables, lists, tuples, sets, deques and dicts of
    these, generators of random numbers, and objects with ``get_state`` and ``set_state``.

    Args:
        value: The value.
        arrays: Takes copies of the arrays in it, by hash; ``None`` where only their hashes are wanted.
        with_variables: Otherwise variables cannot be kept.

    Raises:
        CannotBeKeptError: It is, or holds, something else.
    """
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else {"int": str(value)}
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise CannotBeKeptError("a string that is not Unicode")
        return str(value)
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if is_variable(value) and with_variables:
        return {"variable": _put(value_of(value), arrays)}
    if isinstance(value, np.generic):
        return {"scalar": _put(np.asarray(value), arrays)}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {"array": _put(value, arrays)}
    if keras.ops.is_tensor(value) and not is_variable(value):
        return {"tensor": _put(keras.ops.convert_to_numpy(value), arrays)}
    if isinstance(value, np.random.Generator):
        return {"numpy_random": encode(value.bit_generator.state, arrays)}
    if isinstance(value, random.Random):
        return {"random": encode(value.getstate(), arrays)}
    if has_contract(value):
        return {"state": encode(value.get_state(), arrays)}
    return _encode_container(value, lambda entry: encode(entry, arrays, with_variables))


def decode(value: Any, read: Callable[[Mapping[str, Any]], np.ndarray], now: Any = None) -> Any:
    """The value that ``encode`` wrote.

    Args:
        value: The JSON.
        read: Reads an array: function(its entry) → the array.
        now: What stands there now: a variable is assigned to, an object with a state of its own told.
    """
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in ("float", "int"):
        return float(content) if kind == "float" else int(content)
    if kind in ("array", "scalar", "tensor", "variable"):
        return _decode_array(kind, read(content), now)
    if kind in _SEQUENCES:
        before = (
            list(now) if isinstance(now, list | tuple) and len(now) == len(content) else [None] * len(content)
        )
        return _SEQUENCES[kind]([decode(entry, read, b) for entry, b in zip(content, before, strict=True)])
    if kind == "deque":
        return deque([decode(entry, read) for entry in content["entries"]], content["maxlen"])
    if kind == "dict":
        known = now if isinstance(now, Mapping) else {}
        pairs = [(decode(k, read), v) for k, v in content]
        return {key: decode(entry, read, known.get(key)) for key, entry in pairs}
    if kind == "numpy_random":
        now.bit_generator.state = decode(content, read)
    elif kind == "random":
        now.setstate(decode(content, read))
    else:
        now.set_state(decode(content, read))
    return now


def has_contract(value: Any) -> bool:
    """Whether an object says itself what its state is: ``get_state()`` and ``set_state(state)``."""
    return callable(getattr(value, "get_state", None)) and callable(getattr(value, "set_state", None))


def value_of(variable: Any) -> np.ndarray:
    """What a variable of Keras or TensorFlow holds; on several devices, on the first of them."""
    return np.asarray(keras.ops.convert_to_numpy(tensor_of(variable)))


def tensor_of(variable: Any) -> Any:
    """The backend's tensor that ``value_of`` is made of."""
    value = variable.value if isinstance(variable, keras.Variable) else variable
    replicas = getattr(value, "values", None)  # a method of PyTorch's tensors
    return replicas[0] if isinstance(replicas, tuple) else value


def array_entry(array: np.ndarray) -> dict[str, Any]:
    """What is written about an array where it is not itself: shape, dtype and the hash of its bytes."""
    contiguous = np.ascontiguousarray(array)
    content = contiguous.reshape(-1).view(np.uint8) if contiguous.size else np.empty(0, np.uint8)
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "xxh128": str(xxhash.xxh128_hexdigest(content.data)),
    }


def _put(array: np.ndarray, arrays: Arrays | None) -> dict[str, Any]:
    entry = array_entry(array)
    if arrays is not None and entry["xxh128"] not in arrays:
        arrays[entry["xxh128"]] = np.array(array)
    return entry


def _encode_container(value: Any, inner: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple | set | frozenset | deque | dict) and len(value) > MOST_ENTRIES:
        raise CannotBeKeptError(f"a {type(value).__name__} of {len(value):,} entries")
    if isinstance(value, dict):
        return {"dict": [[inner(key), inner(entry)] for key, entry in value.items()]}
    if isinstance(value, deque):
        return {"deque": {"entries": [inner(entry) for entry in value], "maxlen": value.maxlen}}
    if isinstance(value, set | frozenset):
        kind = "set" if isinstance(value, set) else "frozenset"
        return {kind: [inner(entry) for entry in sorted(value, key=repr)]}
    for kind, accepted in (("list", list), ("tuple", tuple)):
        if isinstance(value, accepted) and not hasattr(value, "_fields"):
            return {kind: [inner(entry) for entry in value]}
    raise CannotBeKeptError(f"a {type(value).__name__}")


def _decode_array(kind: str, array: np.ndarray, now: Any) -> Any:
    if kind == "variable":
        if is_variable(now):
            now.assign(array)
            return now
        return keras.Variable(array, dtype=array.dtype.name, trainable=False)
    if kind == "tensor":
        return keras.ops.convert_to_tensor(array)
    return array[()] if kind == "scalar" else array
