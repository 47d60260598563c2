"""Headers of uncompressed sound files: where they say that samples begin and end.

libsndfile shortens or lengthens what a header says to what it finds, and does not tell.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import IO

_UNKNOWN_32 = 0x7FFFF000  # programs that write into a pipe put such placeholders for a size
_MOST_UNEXPLAINED = 1024


@dataclass(frozen=True)
class SampleBytes:
    """Where the samples of a file are.

    Attributes:
        start: Byte of the first.
        size: Bytes of all; None where the header leaves it open, and they reach to the end of the file.
        unexplained: Bytes behind them that belong to nothing.
        count: Number of samples of a compressed WAV, whose last block may hold more; None for not known.
    """

    start: int
    size: int | None
    unexplained: int = 0
    count: int | None = None


@dataclass(frozen=True)
class _Chunks:
    """How a format writes its chunks, name, size and content; ``lead`` bytes stand before the samples."""

    begin: int
    head: struct.Struct
    counts_head: bool
    align: int
    samples: bytes
    lead: int = 0


_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_LITTLE = _Chunks(12, struct.Struct("<4sI"), False, 2, b"data")
_FORMATS = {
    b"RIFF": _LITTLE,
    b"RF64": _LITTLE,
    b"RIFX": _Chunks(12, struct.Struct(">4sI"), False, 2, b"data"),
    b"FORM": _Chunks(12, struct.Struct(">4sI"), False, 2, b"SSND", 8),
    b"riff": _Chunks(40, struct.Struct("<16sQ"), True, 8, _W64_DATA),
    b"caff": _Chunks(8, struct.Struct(">4sQ"), False, 1, b"data", 4),
}


def find_samples(file: IO[bytes], file_size: int) -> SampleBytes | None:
    """Where a file says that its samples are; None where that is not known.

    WAV, RF64, W64, AIFF and CAF (chunks), AU and NIST SPHERE are known.
    """
    file.seek(0)
    magic = file.read(4)
    if magic in _FORMATS:
        return _find_chunk(file, file_size, _FORMATS[magic], magic)
    if magic in (b".snd", b"dns."):
        start, size = struct.unpack(">II" if magic == b".snd" else "<II", file.read(8).ljust(8, b"\0"))
        return SampleBytes(start, None if size == 0xFFFFFFFF else size)
    if magic == b"NIST":
        return _find_nist(file)
    return None


def _find_chunk(file: IO[bytes], file_size: int, chunks: _Chunks, magic: bytes) -> SampleBytes | None:
    position, long_size, count = chunks.begin, None, None
    while (chunk := _chunk_at(file, position, chunks)) is not None:
        name, size, content = chunk
        if magic == b"RF64" and name == b"ds64":
            (long_size,) = struct.unpack_from("<Q", file.read(16).ljust(16, b"\0"), 8)
        if name == b"fact" and size >= 4:
            count = int.from_bytes(file.read(4), "big" if magic == b"RIFX" else "little") or None
        if name == chunks.samples:
            if magic == b"RF64" and size == 0xFFFFFFFF:
                size = long_size or 0
            unknown = size >= (_UNKNOWN_32 if chunks.head.size == 8 and not long_size else 1 << 62)
            behind = 0 if unknown else _unexplained(file, _behind(content, size, chunks), file_size, chunks)
            if unknown or (size == 0 and behind):
                return SampleBytes(content + chunks.lead, None)
            return SampleBytes(content + chunks.lead, max(0, size - chunks.lead), behind, count)
        position = _behind(content, size, chunks)
    return None


def _chunk_at(file: IO[bytes], position: int, chunks: _Chunks) -> tuple[bytes, int, int] | None:
    """Name, size of the content and its first byte of the chunk at ``position``; None at the end."""
    file.seek(position)
    head = file.read(chunks.head.size)
    if len(head) < chunks.head.size:
        return None
    name, size = chunks.head.unpack(head)
    content = position + chunks.head.size
    return name, max(0, size - chunks.head.size) if chunks.counts_head else size, content


def _behind(content: int, size: int, chunks: _Chunks) -> int:
    return content + size + -(size if chunks.align > 1 else 0) % chunks.align


def _unexplained(file: IO[bytes], position: int, file_size: int, chunks: _Chunks) -> int:
    """Bytes from ``position`` on that are neither chunks nor padding nor tags."""
    while (chunk := _chunk_at(file, position, chunks)) is not None:
        name, size, content = chunk
        if not re.fullmatch(rb"[ -~]{4}", name[:4]) or content + size > file_size:
            break
        position = _behind(content, size, chunks)
    file.seek(position)
    rest = file.read(4096)
    explained = not rest.strip(b"\0") or rest[:3] in (b"TAG", b"ID3") or rest[:8] == b"APETAGEX"
    return 0 if explained or file_size - position <= _MOST_UNEXPLAINED else file_size - position


def _find_nist(file: IO[bytes]) -> SampleBytes | None:
    head = file.read(1024)
    numbers = {
        name: int(number)
        for name, number in re.findall(
            rb"\n(sample_count|sample_n_bytes|channel_count) -i (\d{1,12})(?=\s)", head
        )
    }
    header_size = re.match(rb"_1A\n\s*(\d{1,7})\n", head)
    if header_size is None or b"sample_count" not in numbers:
        return None
    width = numbers.get(b"sample_n_bytes", 2) * numbers.get(b"channel_count", 1)
    return SampleBytes(int(header_size[1]), numbers[b"sample_count"] * width)


def with_size(data: bytes, samples: SampleBytes) -> bytes:
    """A WAV file whose header leaves the size of its samples open, with that size in it."""
    if data[:4] not in (b"RIFF", b"RIFX"):
        return data
    size = (len(data) - samples.start).to_bytes(4, "little" if data[:4] == b"RIFF" else "big")
    return data[: samples.start - 4] + size + data[samples.start :]
