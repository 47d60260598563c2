"""FLAC: how many samples its last frame ends at, beside what its header says.

A FLAC that was written into a pipe says 0, which libsndfile takes for an endless file and then calls broken.
"""

from __future__ import annotations

from dataclasses import dataclass

from seqmill.transforms.storage.errors import RejectedSequence

_SECOND_STREAM = b"fLaC\x00\x00\x00\x22"
_INFO_BYTES = 42
_MOST_TAIL = 1 << 20
_SIZES = {1: 192, **{2 + i: 576 << i for i in range(4)}, **{8 + i: 256 << i for i in range(8)}}


@dataclass(frozen=True)
class Info:
    """What a FLAC's header says.

    Attributes:
        start: Byte of the stream, behind ID3 tags.
        block_size: Samples of a frame, where all but the last have the same.
        num_samples: Samples of the file; 0 for not known.
    """

    start: int
    block_size: int
    num_samples: int


def find_info(head: bytes) -> Info | None:
    """What the header says; None where a file is no FLAC.

    Args:
        head: The first bytes of the file.
    """
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    info = head[start : start + _INFO_BYTES]
    if info[:4] != b"fLaC" or info[4] & 0x7F or len(info) < _INFO_BYTES:
        return None
    num_samples = int.from_bytes(info[21:26], "big") & 0xFFFFFFFFF
    return Info(start, int.from_bytes(info[10:12], "big"), num_samples)


def with_length(data: bytes, info: Info) -> bytes:
    """The file with its number of samples in its header, and that number checked against its last frame.

    Raises:
        RejectedSequence: It ends elsewhere than its header says, or its last frame is not whole.
    """
    if data.find(_SECOND_STREAM, info.start + 1) >= 0:
        raise RejectedSequence("not readable audio", "several FLAC streams in one file")
    ends = _frame_ends(data, info)
    if info.num_samples:
        if info.num_samples not in (end for _, end in ends):
            # What is missing of a file that was cut off, the decoder says as well; here it only counts.
            found = max((end for _, end in ends), default=0)
            reason = "audio longer than its header says" if found > info.num_samples else "audio cut short"
            raise RejectedSequence(reason, f"{found} of {info.num_samples} samples")
        return data
    for position, end in ends:
        if _crc16(data[position:]) == 0:
            at = info.start + 21
            field = int.from_bytes(data[at : at + 5], "big") | end
            return data[:at] + field.to_bytes(5, "big") + data[at + 5 :]
    raise RejectedSequence("audio cut short", "its header gives no length and its last frame is not whole")


def _frame_ends(data: bytes, info: Info) -> list[tuple[int, int]]:
    """(byte, samples up to its end) of what may be frames, last first."""
    ends: list[tuple[int, int]] = []
    least = max(info.start + _INFO_BYTES, len(data) - _MOST_TAIL)
    position = len(data)
    while len(ends) < 4 and (position := data.rfind(b"\xff", least, position)) >= 0:
        end = _frame_end(data[position : position + 16], info.block_size)
        if end is not None:
            ends.append((position, end))
    return ends


def _frame_end(head: bytes, block_size: int) -> int | None:
    """Samples up to the end of the frame with this header; None where it is no header of a frame."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10:
        return None
    number, at = _coded_number(head)
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    size = int.from_bytes(head[at : at + size_bytes], "big") + 1 if size_bytes else _SIZES[size_code]
    at += size_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] & 1 else number * block_size) + size


def _coded_number(head: bytes) -> tuple[int, int]:
    """The number of a frame (or of its first sample), coded as UTF-8 does, and the byte behind it."""
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    if ones == 0:
        return head[4], 5
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + ones]:
        number = number << 6 | byte & 0x3F
    return number, 4 + ones


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x107 if crc & 0x80 else 0)
    return crc


def _crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _crc16_of(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1) ^ (0x18005 if crc & 0x8000 else 0)
    return crc


_CRC16 = [_crc16_of(byte) for byte in range(256)]
