"""Ogg: pages, and the streams that stand behind one another (chained) in a file.

Decoders read the first stream only, skip pages that are broken, and do not say where a file was cut off.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from seqmill.transforms.storage.errors import RejectedSequence

_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OPUS_RATE = 48000


@dataclass(frozen=True)
class Stream:
    """One stream of a file.

    Attributes:
        start: Its first byte.
        end: The byte behind it.
        position: Samples at its end, as its last page says, those to skip at the beginning included.
        opus_skip: Samples at 48 kHz to skip at the beginning of Opus; None for other codecs.
    """

    start: int
    end: int
    position: int
    opus_skip: int | None

    def num_samples(self, rate: int) -> int:
        """How many samples it says it has, at the rate that it is decoded to."""
        if self.opus_skip is None:
            return self.position
        return (self.position - self.opus_skip) * rate // _OPUS_RATE


def is_ogg(data: bytes) -> bool:
    """Whether a file begins as Ogg does."""
    return data[:4] == b"OggS"


def find_streams(data: bytes) -> list[Stream]:
    """Walks over the pages of a file.

    Raises:
        RejectedSequence: A page is damaged, missing or cut off, or streams stand side by side.
    """
    streams: list[Stream] = []
    at, start, number, serial, position = 0, 0, 0, None, 0
    ended = True
    while at < len(data):
        head = data[at : at + _PAGE.size]
        if len(head) < _PAGE.size:
            raise RejectedSequence("audio cut short", f"{len(head)} bytes are left for a page at byte {at}")
        capture, _, flags, granule, page_serial, page_number, crc, num_segments = _PAGE.unpack(head)
        if capture != b"OggS":
            raise RejectedSequence("damaged audio", f"no Ogg page at byte {at}")
        body = at + _PAGE.size + num_segments
        end = body + sum(data[at + _PAGE.size : body])
        if end > len(data):
            raise RejectedSequence("audio cut short", f"its last page lacks {end - len(data)} bytes")
        if crc != _checksum(data[at:end]):
            raise RejectedSequence("damaged audio", f"the page at byte {at} does not fit its checksum")
        if flags & _FIRST:
            if not ended:
                raise RejectedSequence("not readable audio", "Ogg streams side by side, or one cut off")
            start, serial, ended, position = at, page_serial, False, 0
            opus_skip = _opus_skip(data[body:end])
        elif ended or page_serial != serial or page_number != number:
            raise RejectedSequence("damaged audio", f"pages are missing before byte {at}")
        number = page_number + 1
        position = granule if granule >= 0 else position
        at = end
        if flags & _LAST:
            ended = True
            streams.append(Stream(start, end, position, opus_skip))
    if not ended:
        raise RejectedSequence("audio cut short", "its last page is not marked as the last")
    return streams


def _opus_skip(packet: bytes) -> int | None:
    if packet[:8] != b"OpusHead" or len(packet) < 12:
        return None
    return int.from_bytes(packet[10:12], "little")


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32 runs over bits the other way round than zlib's, and starts from 0."""
    blank = page[:22] + bytes(4) + page[26:]
    backwards = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{backwards:032b}"[::-1], 2)
