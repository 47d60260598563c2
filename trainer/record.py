"""The padded arrays in a record, found without copying them or parsing what training does not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from seqmill.transforms.records.example import BrokenExampleError


def padded_arrays(
    record: np.ndarray, dtypes: Mapping[str, np.dtype]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per data key the padded array [B, T, …], a view of ``record``, and the lengths, int32 [B].

    Args:
        record: The payload of a TFRecord, uint8 [n]: a tf.train.Example of the layout that
            ``batches.padded_batch`` writes.
        dtypes: Per data key the dtype of its array.

    Raises:
        BrokenExampleError: A feature is missing or does not fit its shape.
    """
    wanted = {f"{key}{part}".encode() for key in dtypes for part in ("", "/shape", "/lengths")}
    try:
        values = dict(_features(record, wanted))
        arrays = {}
        for key, dtype in dtypes.items():
            shape = _integers(values[f"{key}/shape".encode()])
            array = np.frombuffer(values[key.encode()], dtype).reshape(shape)
            arrays[key] = (array, _integers(values[f"{key}/lengths".encode()]))
        return arrays
    except (KeyError, IndexError, ValueError) as error:
        raise BrokenExampleError(f"not a batch of the data keys {', '.join(dtypes)} ({error!r})") from None


def _features(record: np.ndarray, wanted: set[bytes]) -> Iterator[tuple[bytes, memoryview]]:
    """Yields (name, content of its only value or packed list) of the wanted features of an Example."""
    for features in _messages(record.data, 1):
        for entry in _messages(features, 1):
            name = bytes(next(_messages(entry, 1)))
            if name in wanted:
                kind = next(_messages(entry, 2))  # a Feature: one of bytes_list, float_list, int64_list
                yield name, next(_messages(next(_messages(kind, kind[0] >> 3)), 1), memoryview(b""))


def _messages(message: memoryview, field: int) -> Iterator[memoryview]:
    """Yields the contents of a field of a protobuf message whose fields are all length-delimited."""
    position, end = 0, len(message)
    while position < end:
        tag = message[position]
        length, position = _varint(message, position + 1)
        if tag & 7 != 2 or position + length > end:
            raise ValueError("a field is cut short or of another kind")
        if tag >> 3 == field:
            yield message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _integers(packed: memoryview) -> np.ndarray:
    """Packed varints as int32 [n]; lengths and shapes are never negative."""
    data = np.frombuffer(packed, np.uint8)
    if len(data) == 0 or data.max() < 0x80:
        return data.astype(np.int32)
    ends = np.flatnonzero(data < 0x80)
    starts = np.concatenate(([0], ends[:-1] + 1))
    shifts = 7 * (np.arange(len(data)) - np.repeat(starts, ends - starts + 1))
    return np.add.reduceat((data & 0x7F).astype(np.int64) << shifts, starts).astype(np.int32)
