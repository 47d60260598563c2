"""TFRecord framing: length, masked CRC-32C of the length, payload, masked CRC-32C of the payload."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import google_crc32c
import numpy as np

FRAME_BYTES = 16

_SLICE_BYTES = 1 << 18
_SMALL_BYTES = 1 << 15

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")


class BrokenRecordError(ValueError):
    """The bytes are not an intact TFRecord; the message says at which byte and why."""


def framed(pieces: Sequence[bytes | np.ndarray]) -> Iterator[bytes | np.ndarray]:
    """The bytes of a record whose payload is the concatenation of ``pieces``.

    Args:
        pieces: bytes, or uint8 arrays [n] (google_crc32c takes no memoryviews).
    """
    num_bytes = sum(map(len, pieces))
    length = struct.pack("<Q", num_bytes)
    header = length + _CRC.pack(masked(google_crc32c.value(length)))
    if num_bytes <= _SLICE_BYTES:
        payload = b"".join(pieces)  # type: ignore[arg-type]
        yield b"".join((header, payload, _CRC.pack(masked(google_crc32c.value(payload)))))
        return
    yield header
    crc = 0
    for piece in pieces:
        # In slices, so that what one step has read the next still finds in the cache.
        for start in range(0, len(piece), _SLICE_BYTES):
            part = piece[start : start + _SLICE_BYTES]
            crc = google_crc32c.extend(crc, part)
            yield part
    yield _CRC.pack(masked(crc))


def joined(pieces: Iterable[bytes | np.ndarray]) -> Iterator[bytes | np.ndarray]:
    """The same bytes with small pieces put together, which are written faster so."""
    small: list[bytes | np.ndarray] = []
    size = 0
    for piece in pieces:
        if len(piece) < _SMALL_BYTES:
            small.append(piece)
            size += len(piece)
        if small and (len(piece) >= _SMALL_BYTES or size >= _SLICE_BYTES):
            yield b"".join(small)  # type: ignore[arg-type]
            small, size = [], 0
        if len(piece) >= _SMALL_BYTES:
            yield piece
    if small:
        yield b"".join(small)  # type: ignore[arg-type]


def records(buffer: np.ndarray, check: bool = True) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (byte position, payload) of every record in ``buffer`` without copying.

    Args:
        buffer: The bytes of a whole TFRecord file, uint8 [n]; payloads are views of it.
        check: Compare the payload's CRC too; the length's is always compared.

    Raises:
        BrokenRecordError: A record is cut short or its CRC does not match.
    """
    position = 0
    while position < len(buffer):
        end = _end(buffer, position)
        yield position, payload(buffer, position, end, check)
        position = end


def positions(buffer: np.ndarray) -> np.ndarray:
    """Where every record begins in the bytes of a TFRecord file, and the last ends, int64 [records + 1].

    Raises:
        BrokenRecordError: A record is cut short, or the CRC of its length does not match.
    """
    found = [0]
    while found[-1] < len(buffer):
        found.append(_end(buffer, found[-1]))
    return np.array(found, np.int64)


def payload(buffer: np.ndarray, start: int, end: int, check: bool = True) -> np.ndarray:
    """The payload of the record at ``start`` … ``end`` - 1, a view; with ``check`` raises as ``records``."""
    content = buffer[start + 12 : end - 4]
    if check and masked(google_crc32c.value(content)) != _CRC.unpack_from(buffer.data, end - 4)[0]:
        raise BrokenRecordError(f"wrong CRC of the record at byte {start}")
    return content


def _end(buffer: np.ndarray, position: int) -> int:
    """Where the record at ``position`` ends."""
    if position + FRAME_BYTES > len(buffer):
        raise BrokenRecordError(f"cut short: {len(buffer) - position} bytes left at byte {position}")
    length, length_crc = _HEADER.unpack_from(buffer.data, position)
    if masked(google_crc32c.value(buffer[position : position + 8])) != length_crc:
        raise BrokenRecordError(f"wrong CRC of the record length at byte {position}")
    end: int = position + FRAME_BYTES + length
    if end > len(buffer):
        raise BrokenRecordError(f"cut short: record at byte {position} ends after the file's end")
    return end


def masked(crc: int) -> int:
    """TFRecord's mask of a CRC: rotated right by 15 bits plus a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
