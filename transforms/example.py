"""tf.train.Example as bytes, without TensorFlow: the three feature kinds, written and parsed by hand.

A feature that holds one large bytes value is written as a prefix followed by the value itself, so that
the value is never copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Feature = list[bytes] | np.ndarray


class BrokenExampleError(ValueError):
    """The bytes are not a tf.train.Example."""


def bytes_feature_prefix(key: str, num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of feature ``key``'s only bytes value."""
    bytes_list = 1 + varint_size(num_bytes) + num_bytes
    prefix = b"\x0a" + varint(bytes_list) + b"\x0a" + varint(num_bytes)
    return _entry_prefix(key, len(prefix) + num_bytes) + prefix


def bytes_list_feature(key: str, values: list[bytes]) -> bytes:
    """Feature ``key`` with a list of (short) bytes values."""
    encoded = b"".join([b"\x0a" + varint(len(value)) + value for value in values])
    return (
        _entry_prefix(key, 1 + varint_size(len(encoded)) + len(encoded))
        + b"\x0a"
        + varint(len(encoded))
        + encoded
    )


def int64_list_feature(key: str, values: np.ndarray) -> bytes:
    """Feature ``key`` with a list of integers, none negative. ``values``: [n]."""
    packed = varints(values)
    int64_list = b"\x0a" + varint(len(packed)) + packed
    feature = b"\x1a" + varint(len(int64_list)) + int64_list
    return _entry_prefix(key, len(feature)) + feature


def features_prefix(num_bytes: int) -> bytes:
    """What goes before the ``num_bytes`` bytes of all features of an Example."""
    return b"\x0a" + varint(num_bytes)


def decode(record: bytes | np.ndarray) -> dict[str, Feature]:
    """The features of an Example: bytes lists as lists of bytes, numbers as arrays.

    Raises:
        BrokenExampleError: The bytes do not parse.
    """
    try:
        view = np.frombuffer(record, np.uint8).data
        features: dict[str, Feature] = {}
        for field, message in _fields(view):
            if field != 1:
                continue
            for entry_field, entry in _fields(message):
                if entry_field == 1:
                    parts = dict(_fields(entry))
                    features[bytes(parts[1]).decode()] = _feature(parts.get(2, memoryview(b"")))
        return features
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise BrokenExampleError(f"not a tf.train.Example ({error})") from None


def varint(value: int) -> bytes:
    """A non-negative integer as a protobuf varint."""
    if value < 0x80:
        return _SMALL_VARINTS[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_size(value: int) -> int:
    """Bytes that ``varint`` takes."""
    return max(1, -(-int(value).bit_length() // 7))


def varints(values: np.ndarray) -> bytes:
    """Non-negative integers [n] as concatenated varints."""
    if len(values) == 0:
        return b""
    largest = int(values.max())
    if largest < 0x80:
        return values.astype(np.uint8).tobytes()
    width = varint_size(largest)
    groups = values.astype(np.uint64)[:, None] >> (np.arange(width, dtype=np.uint64) * np.uint64(7))
    more = np.zeros(groups.shape, bool)
    more[:, :-1] = groups[:, 1:] > 0
    used = np.ones(groups.shape, bool)
    used[:, 1:] = more[:, :-1]
    encoded = (groups & np.uint64(0x7F)).astype(np.uint8) | (more.astype(np.uint8) << 7)
    return encoded[used].tobytes()


def varint_sizes(values: np.ndarray) -> np.ndarray:
    """Bytes that each of the non-negative integers [n] takes as a varint, int64 [n]."""
    sizes = np.ones(len(values), np.int64)
    largest = int(values.max()) if len(values) else 0
    for bits in range(7, largest.bit_length(), 7):
        sizes += values >= (1 << bits)
    return sizes


_SMALL_VARINTS = [bytes([value]) for value in range(0x80)]


def _entry_prefix(key: str, feature_size: int) -> bytes:
    name = key.encode()
    body = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(feature_size)
    return b"\x0a" + varint(len(body) + feature_size) + body


def _feature(message: memoryview) -> Feature:
    for kind, body in _fields(message):
        if kind == 1:
            return [bytes(value) for _, value in _fields(body)]
        if kind == 2:
            return _numbers(body, _float)
        if kind == 3:
            return _numbers(body, _int)
    return []


def _numbers(body: memoryview, convert: Any) -> np.ndarray:
    arrays = [convert(value) for _, value in _fields(body)]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def _float(value: Any) -> np.ndarray:
    return np.frombuffer(value, "<f4")


def _int(value: Any) -> np.ndarray:
    if isinstance(value, int):
        return np.array([value], np.uint64).astype(np.int64)
    data = np.frombuffer(value, np.uint8)
    if len(data) == 0:
        return np.empty(0, np.int64)
    last = data < 0x80
    if not last[-1]:
        raise ValueError("a varint is cut short")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    shifts = (np.arange(len(data)) - np.repeat(starts, ends - starts + 1)).astype(np.uint64) * np.uint64(7)
    groups = (data & 0x7F).astype(np.uint64) << shifts
    return np.add.reduceat(groups, starts).astype(np.int64)


def _fields(message: memoryview) -> Any:
    """Yields (field number, value) of a protobuf message: int for varints, memoryview for the rest."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _read_varint(message, position)
        kind = tag & 7
        if kind == 2:
            length, position = _read_varint(message, position)
            if position + length > end:
                raise ValueError("a field is cut short")
            yield tag >> 3, message[position : position + length]
            position += length
        elif kind == 0:
            value, position = _read_varint(message, position)
            yield tag >> 3, value
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            if position + width > end:
                raise ValueError("a field is cut short")
            yield tag >> 3, message[position : position + width]
            position += width
        else:
            raise ValueError(f"unknown wire type {kind}")


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    byte = message[position]
    if byte < 0x80:
        return byte, position + 1
    value, shift = byte & 0x7F, 7
    while True:
        position += 1
        byte = message[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
        if shift > 63:
            raise ValueError("a varint is longer than 10 bytes")
