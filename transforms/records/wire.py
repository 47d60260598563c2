"""Protobuf's wire format by hand, as far as tf.train.Example has it: varints and length-delimited fields."""

from __future__ import annotations

import numpy as np

_MOST_GROUPS = 9  # of seven bits: a tenth is set only in negative numbers, which are never written here


class BrokenMessageError(ValueError):
    """The bytes are no message of the expected kind."""


def varint(value: int) -> bytes:
    """A non-negative integer as a protobuf varint."""
    if value < 0x80:
        return _SMALL_VARINTS[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
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


def read_field(message: memoryview, start: int, end: int, field: int) -> tuple[int, int]:
    """Where the content of the length-delimited field at ``start`` begins and ends.

    Args:
        message: The bytes that hold it.
        start: Where the field begins.
        end: Where the message that it belongs to ends.
        field: The number that the field must have.

    Raises:
        BrokenMessageError: It is another field, or cut short.
    """
    if start >= end or message[start] != field << 3 | 2:
        raise BrokenMessageError(f"no field {field} at byte {start}")
    start += 1
    length = shift = 0
    while start < end and shift < 7 * _MOST_GROUPS:
        byte = message[start]
        start += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if start + length > end:
                break
            return start, start + length
        shift += 7
    raise BrokenMessageError(f"field {field} ends behind byte {end}, where its message ends")


def read_last_field(message: memoryview, start: int, end: int, field: int) -> tuple[int, int]:
    """As ``read_field``, for a field that nothing may follow."""
    start, stop = read_field(message, start, end, field)
    if stop != end:
        raise BrokenMessageError(f"{end - stop} bytes follow field {field} at byte {stop}")
    return start, stop


def read_varints(packed: memoryview) -> np.ndarray:
    """Concatenated varints as int64 [n]; none may be negative. Raises BrokenMessageError."""
    data = np.frombuffer(packed, np.uint8)
    if len(data) == 0 or data.max() < 0x80:
        return data.astype(np.int64)
    ends = np.flatnonzero(data < 0x80)
    if data[-1] >= 0x80:
        raise BrokenMessageError("a number is cut short")
    starts = np.concatenate(([0], ends[:-1] + 1))
    sizes = ends - starts + 1
    if sizes.max() > _MOST_GROUPS:
        raise BrokenMessageError("a number is negative or too large")
    shifts = 7 * (np.arange(len(data)) - np.repeat(starts, sizes))
    return np.add.reduceat((data & 0x7F).astype(np.int64) << shifts, starts)


_SMALL_VARINTS = [bytes([value]) for value in range(0x80)]
