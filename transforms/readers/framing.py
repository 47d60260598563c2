"""The records of a TFRecord stream, read on behind any damage."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np

from seqmill.transforms.readers.split import DamagedFileError, ReadOptions
from seqmill.transforms.records.tfrecord import FRAME_BYTES, masked
from seqmill.transforms.storage.errors import RejectedSequence

_HEADER = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_HEADER_BYTES, _CRC_BYTES = _HEADER.size, _CRC.size
_SEARCHED_BYTES = 1 << 20


@dataclass(frozen=True)
class Gap:
    """Bytes in which records are lost, nobody knows how many; ``detail`` says where."""

    detail: str


def frames(
    chunks: Iterable[np.ndarray], options: ReadOptions, start: int = 0
) -> Iterator[np.ndarray | RejectedSequence | Gap]:
    """Yields the payload of every record (a view), a reject for one that is broken, a gap for lost bytes.

    A record whose length is intact and whose payload is not costs that record. Where a length is broken,
    reading goes on at the next record that is intact; if exactly one record was in between, that is known
    from its own checksum.

    Args:
        chunks: The bytes in runs of any size, uint8.
        options: Of which ``max_record_size`` is heeded, before memory is.
        start: Byte of the file that they begin at.
    """
    window = _Window(iter(chunks), start)
    while window.has(1):
        size = window.intact_size() if window.has(_HEADER_BYTES) else None
        if size is not None and size > options.max_record_size and not window.ends_within(size):
            yield options.too_large("a record", size)
            if not window.skip(size + FRAME_BYTES):
                yield Gap(f"cut short: the record at byte {window.record_start:,} ends behind the file's end")
            continue
        if size is not None and window.has(size + FRAME_BYTES):
            payload, is_intact = window.payload(size)
            if is_intact:
                yield payload
            else:
                detail = f"wrong CRC of the record at byte {window.position:,}"
                yield RejectedSequence("broken record", detail)
            window.drop(size + FRAME_BYTES)
            continue
        yield from _resynchronised(window, size, options)
    if window.damage:
        yield Gap(window.damage)


def is_header(head: bytes) -> bool:
    """Whether bytes begin with a length and its CRC, as a TFRecord does."""
    return len(head) >= _HEADER_BYTES and _HEADER.unpack_from(head)[1] == masked(
        google_crc32c.value(head[:8])
    )


def _resynchronised(
    window: _Window, size: int | None, options: ReadOptions
) -> Iterator[RejectedSequence | Gap]:
    """Goes on at the next intact record, or at the end; says what was lost."""
    lost = window.position
    if size is None and window.has(_HEADER_BYTES):
        what = f"wrong CRC of the record length at byte {lost:,}"
    else:
        what = f"cut short: the record at byte {lost:,} ends behind the file's end"
    is_one = window.find_next(options.max_record_size)
    if is_one and size is None:
        yield RejectedSequence("broken record", what)
    elif window.has(1):
        yield Gap(f"{what}; bytes {lost:,} to {window.position - 1:,} are lost")
    elif lost == 0:
        yield Gap(f"{what}; no record could be found in it, is this a TFRecord file?")
    else:
        yield Gap(f"{what}; nothing behind it could be read")


class _Window:
    """The bytes of a stream from ``position`` on, as many as were asked for.

    Attributes:
        position: Byte of the file that comes next.
        record_start: Byte at which the record begins that was skipped last.
        damage: Why the stream could not be read to its end, else empty.
    """

    def __init__(self, chunks: Iterator[np.ndarray], start: int):
        self._chunks = chunks
        self._held = np.empty(0, np.uint8)
        self._at = 0
        self._base = start
        self._mark: int | None = None  # where a gap begins that is to be kept
        self._most_kept = 0
        self.record_start = start
        self.damage = ""

    @property
    def position(self) -> int:
        return self._base + self._at

    def has(self, num_bytes: int) -> bool:
        """Whether so many bytes come, which are held then."""
        if self._at + num_bytes <= len(self._held):
            return True
        if self._mark is not None and self.position - self._mark > self._most_kept:
            self._mark = None
        kept = 0 if self._mark is None else self.position - self._mark
        pieces, size = [self._held[self._at - kept :]], len(self._held) - self._at + kept
        num_bytes += kept
        # Joining only once the bytes have doubled keeps the copying of a long record linear.
        wanted = max(num_bytes, 2 * size)
        while size < wanted and (chunk := self._next()) is not None:
            pieces.append(chunk)
            size += len(chunk)
        self._base, self._at = self.position - kept, kept
        pieces = [piece for piece in pieces if len(piece)]
        self._held = pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, self._held[:0]])
        return num_bytes <= size

    def ends_within(self, size: int) -> bool:
        """Whether the stream ends with what is held, before a payload of so many bytes."""
        rest = len(self._held) - self._at
        return size + FRAME_BYTES > rest and not self.has(rest + 1)

    def intact_size(self) -> int | None:
        """The payload's size by the header that comes next; None where its CRC is wrong."""
        size, crc = _HEADER.unpack_from(self._held.data, self._at)
        head = self._held[self._at : self._at + 8]
        return size if masked(google_crc32c.value(head)) == crc else None

    def payload(self, size: int) -> tuple[np.ndarray, bool]:
        """The payload of the record that comes next, which is held, and whether its CRC is right."""
        start, end = self._at + _HEADER_BYTES, self._at + _HEADER_BYTES + size
        payload = self._held[start:end]
        return payload, _is_intact(self._held, start, end)

    def drop(self, num_bytes: int) -> None:
        """Goes on behind bytes that are held."""
        self._at += num_bytes

    def skip(self, num_bytes: int) -> bool:
        """Goes on behind so many bytes without holding them; False where the stream ends before."""
        self.record_start = self.position
        while num_bytes > 0 and self.has(1):
            step = min(num_bytes, len(self._held) - self._at)
            self.drop(step)
            num_bytes -= step
        return num_bytes == 0

    def find_next(self, max_size: int) -> bool:
        """Goes on at the next intact record, or the end; True if exactly one record was passed over."""
        self._mark, self._most_kept = self.position, max_size
        is_one = self._go_to_next(self.position, max_size)
        self._mark = None
        return is_one

    def _go_to_next(self, start: int, max_size: int) -> bool:
        self._at += 1
        while True:
            while self._at < len(self._held):
                block = self._held[self._at : self._at + _SEARCHED_BYTES + _HEADER_BYTES - 1]
                for found in _plausible_headers(block).tolist():
                    at = self._base + self._at + found
                    size = _HEADER.unpack_from(block.data, found)[0]
                    if size <= max_size and self._is_record(at, size):
                        is_one = self._is_one_record(start, at)
                        self._at = at - self._base
                        return is_one
                self._at += min(_SEARCHED_BYTES, len(self._held) - self._at)
            # A header may lie across the end of what is held; the first bytes of the gap may be let go of.
            keep = min(_HEADER_BYTES - 1, self.position - start - 1)
            self._at -= keep
            if not self.has(keep + 1):
                is_one = self._is_one_record(start, self._base + len(self._held))
                self._at = len(self._held)
                return is_one

    def _is_record(self, position: int, size: int) -> bool:
        """Whether an intact record is at a byte whose header is held; holds it, and all since ``_at``."""
        if not self.has(position - self.position + FRAME_BYTES + size):
            return False
        start = position - self._base + _HEADER_BYTES
        return _is_intact(self._held, start, start + size)

    def _is_one_record(self, start: int, end: int) -> bool:
        """Whether bytes of the file are a record but for its header; False where they are let go of."""
        first, last = start - self._base + _HEADER_BYTES, end - self._base - _CRC_BYTES
        return first - _HEADER_BYTES >= 0 and first <= last and _is_intact(self._held, first, last)

    def _next(self) -> np.ndarray | None:
        try:
            return next(self._chunks, None)
        except DamagedFileError as error:
            self.damage = str(error)
            return None


def _is_intact(content: np.ndarray, start: int, end: int) -> bool:
    """Whether the CRC behind content[start:end] is right."""
    crc = masked(google_crc32c.value(content[start:end]))
    return bool(crc == _CRC.unpack_from(content.data, end)[0])


def _plausible_headers(block: np.ndarray) -> np.ndarray:
    """Where in ``block`` a length is followed by its CRC, int64 [n]."""
    if len(block) < _HEADER_BYTES:
        return np.empty(0, np.int64)
    count = len(block) - _HEADER_BYTES + 1
    # Lengths of 4 GiB and more are taken for chance.
    places = np.flatnonzero((block[4 : 4 + count] | block[5 : 5 + count] | block[6 : 6 + count]) == 0)
    places = places[block[places + 7] == 0]
    # Nor does a CRC of 0 stand for one: only one length has it, and files have runs of zeros.
    places = places[(block[places + 8] | block[places + 9] | block[places + 10] | block[places + 11]) != 0]
    crc: Any = np.full(len(places), 0xFFFFFFFF, np.uint32)
    for byte in range(8):
        crc = _TABLE[(crc ^ block[places + byte]) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    crc = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    found = np.zeros(len(places), np.uint32)
    for byte in range(4):
        found |= block[places + 8 + byte].astype(np.uint32) << np.uint32(8 * byte)
    return places[crc == found]


def _crc_table() -> np.ndarray:
    """CRC-32C of every byte, for many at once."""
    table: Any = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return np.asarray(table, np.uint32)


_TABLE = _crc_table()
