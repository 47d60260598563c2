"""gzip, zlib and zstd, known by their first bytes, decompressed in bounded pieces up to any damage."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import zstandard

from seqmill.transforms.readers.split import DamagedFileError, named_errors
from seqmill.transforms.storage import files

_READ_BYTES = 1 << 18
_LARGEST_WINDOW = 1 << 31


@dataclass(frozen=True)
class Codec:
    """A way of compressing.

    Attributes:
        name: As users know it.
        magic: The first bytes of every member.
        piece: Bytes to decompress at once: the expansion is at most 1,032 (deflate), 32,768 (zstd) times.
        open: Makes what decompresses one member.
    """

    name: str
    magic: tuple[bytes, ...]
    piece: int
    open: Callable[[], Any]


GZIP = Codec("gzip", (b"\x1f\x8b",), 1 << 14, lambda: zlib.decompressobj(31))
ZLIB = Codec("zlib", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), 1 << 14, zlib.decompressobj)
ZSTD = Codec(
    "zstd",
    (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16))),
    1 << 11,
    lambda: zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj(),
)


def codec_of(path: str) -> Codec | None:
    """How a file is compressed, whatever its name; None where it is plain.

    Raises:
        DamagedFileError: It has no bytes, but is named as a compressed file.
        SeqmillError: The file cannot be read.
    """
    head = read_head(path, 4)
    if not head and path.lower().endswith((".gz", ".zst")):
        raise DamagedFileError("the file has 0 bytes, which no compressed file has")
    return next((codec for codec in (GZIP, ZSTD) if head.startswith(codec.magic)), None)


def read_head(path: str, num_bytes: int) -> bytes:
    """The first bytes of a file as they stand in it. Raises SeqmillError."""
    with named_errors(path), files.open_read(path) as file:
        return file.read(num_bytes)


def decompressed(path: str, codec: Codec) -> Iterator[bytes]:
    """Yields the content of a file in pieces: that of all its members, one after the other.

    Zeros behind the last member are padding.

    Raises:
        DamagedFileError: The file is damaged, after everything before the damage was yielded.
        SeqmillError: The file cannot be read.
    """
    with named_errors(path), files.open_read(path) as file:
        pieces = _Pieces(file, codec.piece)
        while not pieces.at_end():
            yield from _member(path, pieces, codec)


class _Pieces:
    """The bytes of a file, piece by piece; what a piece has too many can be given back."""

    def __init__(self, file: IO[bytes], size: int):
        self._file, self._size = file, size
        self._held, self._at = b"", 0
        self._num_read = 0

    @property
    def position(self) -> int:
        """Byte of the file that comes next."""
        return self._num_read - len(self._held) + self._at

    def take(self) -> bytes:
        """The next piece; empty at the end of the file."""
        if self._at >= len(self._held):
            self._held, self._at = self._file.read(_READ_BYTES), 0
            self._num_read += len(self._held)
        piece = self._held[self._at : self._at + self._size]
        self._at += len(piece)
        return piece

    def give_back(self, num_bytes: int) -> None:
        """The last ``num_bytes`` bytes of the piece taken last come once more."""
        self._at -= num_bytes

    def at_end(self) -> bool:
        """Whether nothing but zeros comes."""
        while piece := self.take():
            rest = piece.lstrip(b"\0")
            if rest:
                # A magic number begins without a zero.
                self.give_back(len(rest))
                return False
        return True


def _member(path: str, pieces: _Pieces, codec: Codec) -> Iterator[bytes]:
    start = pieces.position
    member, is_new = codec.open(), True
    while not member.eof:
        before = pieces.position
        piece = pieces.take()
        if not piece:
            raise DamagedFileError(f"cut short: the {codec.name} data end in the middle, at byte {before:,}")
        if is_new and len(piece) >= 4 and not piece.startswith(codec.magic):
            raise DamagedFileError(f"no {codec.name} data at byte {before:,}, behind the end of others")
        is_new = False
        try:
            content = member.decompress(piece)
        except (zlib.error, zstandard.ZstdError) as error:
            yield from _until_damage(path, codec, start, before, len(piece))
            raise DamagedFileError(f"broken {codec.name} data near byte {before:,} ({error})") from None
        if content:
            yield content
    pieces.give_back(len(member.unused_data))


def _until_damage(path: str, codec: Codec, start: int, piece: int, size: int) -> Iterator[bytes]:
    """What the broken piece of a member holds before the damage; a failed call loses it."""
    member = codec.open()
    with files.open_read(path) as file:
        file.seek(start)
        for _ in range(start, piece, codec.piece):
            member.decompress(file.read(min(codec.piece, piece - file.tell())))
        try:
            for byte in file.read(size):
                yield member.decompress(bytes((byte,)))
        except (zlib.error, zstandard.ZstdError):
            return
