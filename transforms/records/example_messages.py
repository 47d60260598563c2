"""The messages tf.train.Example and BytesList for protobuf, which only those load who read records."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as DecodeError


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


Example, BytesList = _message_classes()
