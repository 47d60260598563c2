"""tf.train.Example as bytes, without TensorFlow: written by hand, parsed by protobuf.

A feature that holds one large bytes value is written as a prefix followed by the value itself, so that
the value is never copied.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

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
    message = _Example()
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
    message = _BytesList()
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


def _message_classes() -> tuple[Any, Any]:
    """The messages tf.train.Example and BytesList, defined here so that TensorFlow is not needed.

    They have a pool and a package of their own and so never meet TensorFlow's own definitions.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="seqmill/example.proto", package="seqmill", syntax="proto3"
    )
    types = descriptor_pb2.FieldDescriptorProto
    for name, value_type in (
        ("BytesList", types.TYPE_BYTES),
        ("FloatList", types.TYPE_FLOAT),
        ("Int64List", types.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(
            name="value", number=1, type=value_type, label=types.LABEL_REPEATED
        )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = ".seqmill." + name.title().replace("_", "")
        feature.field.add(
            name=name, number=number, type=types.TYPE_MESSAGE, type_name=type_name, oneof_index=0
        )
    _add_map(file, "Features", "feature", "Feature")
    steps = file.message_type.add(name="FeatureList")
    steps.field.add(
        name="feature",
        number=1,
        type=types.TYPE_MESSAGE,
        type_name=".seqmill.Feature",
        label=types.LABEL_REPEATED,
    )
    _add_map(file, "FeatureLists", "feature_list", "FeatureList")
    # A SequenceExample is an Example, whose features are called the context, with feature lists.
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=types.TYPE_MESSAGE, type_name=".seqmill.Features")
    example.field.add(
        name="feature_lists", number=2, type=types.TYPE_MESSAGE, type_name=".seqmill.FeatureLists"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    example_type, list_type = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"seqmill.{name}"))
        for name in ("Example", "BytesList")
    )
    return example_type, list_type


def _add_map(file: Any, name: str, field: str, value: str) -> None:
    """Defines a message that has one field, a map from text to messages of type ``value``."""
    types = descriptor_pb2.FieldDescriptorProto
    message = file.message_type.add(name=name)
    entry = message.nested_type.add(name=f"{value}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=types.TYPE_STRING, label=types.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=types.TYPE_MESSAGE, type_name=f".seqmill.{value}")
    message.field.add(
        name=field,
        number=1,
        type=types.TYPE_MESSAGE,
        type_name=f".seqmill.{name}.{value}Entry",
        label=types.LABEL_REPEATED,
    )


_Example, _BytesList = _message_classes()
