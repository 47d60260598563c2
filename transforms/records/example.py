"""tf.train.Example as bytes, without TensorFlow: written by hand, parsed by protobuf.

A feature that holds one large bytes value is written as a prefix followed by the value itself, so that
the value is never copied.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.transforms.records.tags import Tags
from seqmill.transforms.records.wire import varint, varint_size, varint_sizes, varints

BYTES_LIST, INT64_LIST = 1, 3  # field numbers in a Feature

Feature = list[bytes] | list[Any] | np.ndarray


class FeatureList(list[Any]):
    """The steps of a feature list of a SequenceExample that are no numbers: a list, of one step too."""


class BrokenExampleError(ValueError):
    """The bytes are not a tf.train.Example."""


def bytes_feature_prefix(key: str, num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of feature ``key``'s only bytes value."""
    return _value_prefix(key, _BYTES_LIST, num_bytes)


def bytes_list_features(key: str, values: Tags, edges: np.ndarray) -> list[bytes]:
    """Feature ``key`` of many Examples, which is faster than one by one.

    Args:
        key: Name of the feature.
        values: Bytes values of all Examples behind one another, n of them.
        edges: First value of every Example, and n, [Examples + 1].
    """
    sizes = values.sizes
    length_sizes = varint_sizes(sizes)
    ends = np.cumsum(1 + length_sizes + sizes)
    starts = ends - (1 + length_sizes + sizes)
    before = np.cumsum(length_sizes) - length_sizes
    lengths = np.repeat(starts + 1 - before, length_sizes) + np.arange(int(length_sizes.sum()))
    content, is_text = np.empty(int(ends[-1]), np.uint8), np.ones(int(ends[-1]), bool)
    is_text[starts] = is_text[lengths] = False
    content[starts] = _FIELD_1[0]
    content[lengths] = np.frombuffer(varints(sizes), np.uint8)
    content[is_text] = values.text[values.offsets[0] : values.offsets[-1]]
    encoded = content.tobytes()
    edges = np.concatenate(([0], ends))[edges]
    return [
        _list_prefix(key, _BYTES_LIST, end - start) + encoded[start:end]
        for start, end in pairwise(edges.tolist())
    ]


def int64_list_features(key: str, values: np.ndarray, edges: np.ndarray) -> list[bytes]:
    """Feature ``key`` of many Examples, which is faster than one by one.

    Args:
        key: Name of the feature.
        values: Integers of all Examples behind one another, none negative, [n].
        edges: First integer of every Example, and n, [Examples + 1].
    """
    packed = varints(values)
    ends = np.concatenate(([0], np.cumsum(varint_sizes(values))))[edges]
    return [
        _value_prefix(key, _INT64_LIST, end - start) + packed[start:end]
        for start, end in pairwise(ends.tolist())
    ]


def bytes_field_sizes(content: np.ndarray) -> np.ndarray:
    """Sizes of length-delimited fields with ``content`` bytes each: tag, length and content, int64 [n]."""
    return 1 + varint_sizes(content) + content


def feature_sizes(key: str, content: np.ndarray) -> np.ndarray:
    """Sizes of feature ``key`` of Examples, whose BytesList or Int64List takes ``content`` bytes."""
    name = len(key.encode())
    feature = bytes_field_sizes(bytes_field_sizes(content))
    return bytes_field_sizes(1 + varint_size(name) + name + feature)


def features_prefix(num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of all features of an Example."""
    return b"\x0a" + varint(num_bytes)


def decode(record: bytes | np.ndarray) -> dict[str, Feature]:
    """The features of an Example: bytes lists as lists of bytes, numbers as arrays.

    Those of a SequenceExample are its context and its feature lists: numbers [T] where every step has one,
    [T, D] where every step has D; else a ``FeatureList``.

    Raises:
        BrokenExampleError: The bytes do not parse.
    """
    from seqmill.transforms.records.example_messages import DecodeError, Example

    message = Example()
    try:
        message.ParseFromString(bytes(record))
    except DecodeError as error:
        raise BrokenExampleError(f"not a tf.train.Example ({error})") from None
    features = {key: _values(feature) for key, feature in message.features.feature.items()}
    for key, steps in message.feature_lists.feature_list.items():
        if key in features:
            raise BrokenExampleError(f"{key} is in the context and a feature list as well")
        features[key] = _steps([_values(step) for step in steps.feature])
    return features


def decode_bytes_list(content: bytes | memoryview) -> list[bytes]:
    """The values of a BytesList. Raises BrokenExampleError."""
    from seqmill.transforms.records.example_messages import BytesList, DecodeError

    message = BytesList()
    try:
        message.ParseFromString(bytes(content))
    except DecodeError as error:
        raise BrokenExampleError(f"not a list of bytes ({error})") from None
    return list(message.value)


def _values(feature: Any) -> Feature:
    kind = feature.WhichOneof("kind")
    if kind == "int64_list":
        return np.array(feature.int64_list.value, np.int64)
    if kind == "float_list":
        return np.array(feature.float_list.value, np.float32)
    return list(feature.bytes_list.value)


def _steps(steps: list[Feature]) -> Feature:
    """What the steps of a feature list hold, put together."""
    sizes = {len(step) for step in steps}
    kinds = {step.dtype if isinstance(step, np.ndarray) else None for step in steps}
    if len(sizes) == 1 and len(kinds) == 1:
        if None not in kinds:
            joined = np.stack(steps)
            return joined[:, 0] if sizes == {1} else joined
        if sizes == {1}:
            return FeatureList(step[0] for step in steps)
    return FeatureList(steps)


_FIELD_1 = b"\x0a"
_BYTES_LIST, _INT64_LIST = (bytes([field << 3 | 2]) for field in (BYTES_LIST, INT64_LIST))


@lru_cache(maxsize=1 << 16)
def _value_prefix(key: str, kind: bytes, num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of the only value of feature ``key``'s list."""
    header = _field_header(num_bytes)
    return _list_prefix(key, kind, len(header) + num_bytes) + header


def _list_prefix(key: str, kind: bytes, num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of feature ``key``'s list, which is of kind ``kind``."""
    feature = kind + varint(num_bytes)
    size = len(feature) + num_bytes
    entry = _name_field(key) + b"\x12" + varint(size)
    return _field_header(len(entry) + size) + entry + feature


@lru_cache(maxsize=1 << 10)
def _name_field(key: str) -> bytes:
    name = key.encode()
    return _field_header(len(name)) + name


def _field_header(num_bytes: int) -> bytes:
    """What goes before ``num_bytes`` bytes that are field 1 of a message."""
    return _FIELD_1 + varint(num_bytes)
