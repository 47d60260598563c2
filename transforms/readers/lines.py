"""Lines of plain and compressed files, in blocks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seqmill.transforms.readers.compression import codec_of, decompressed
from seqmill.transforms.readers.split import DamagedFileError, named_errors
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence

# Larger blocks were no faster.
BLOCK_BYTES = 1 << 17
BOM = b"\xef\xbb\xbf"
# So many zeros are a sector that was never written: whole lines may have been there.
_HOLE = bytes(512)


@dataclass(frozen=True)
class LongLine:
    """A line over the limit, which was not held in memory.

    Attributes:
        num_bytes: Its size.
        num_quotes: Quotation marks in it.
    """

    num_bytes: int
    num_quotes: int


def is_compressed(path: str) -> bool:
    """Whether a file must be read from its beginning. Raises SeqmillError where it cannot be read."""
    try:
        return codec_of(path) is not None
    except DamagedFileError:
        return True


def line_blocks(
    path: str, start: int = 0, end: int | None = None, max_line: int = 1 << 62
) -> Iterator[bytes | LongLine]:
    """Yields runs of whole lines: those that begin in the bytes [start, end) of a file.

    Every block ends with a newline, the last one of a file perhaps not. A byte order mark at the start of
    the file is left out.

    Args:
        path: A plain file, or one compressed by gzip or zstd, which is read whole.
        start: First byte; a line that begins before it is skipped.
        end: The byte at which no line of this run begins any more; ``None`` for the end of the file.
        max_line: A line of more bytes comes as a ``LongLine``.

    Raises:
        DamagedFileError: A compressed file is damaged, after its last whole line was yielded; or a file has
            zeros in place of what may have been many lines, after its last line.
        SeqmillError: The file cannot be read.
    """
    codec = codec_of(path)
    holes = _Holes(_chunks(path, start, end) if codec is None else decompressed(path, codec))
    blocks = _whole_lines(_at_most(min(BLOCK_BYTES, max(1, max_line)), iter(holes)), max_line)
    if start == 0:
        for first in blocks:
            yield first.removeprefix(BOM) if isinstance(first, bytes) else first
            break
    yield from blocks
    if holes.found:
        raise DamagedFileError(f"runs of {len(_HOLE)} and more zero bytes, which were never written")


def zeros_in(text: str) -> RejectedSequence:
    """The reject of text with NUL in it: what was never written to a disk reads as zeros."""
    return RejectedSequence("zero bytes in text", f"{text.count(chr(0)):,} of {len(text):,} characters")


def split_lines(block: bytes) -> list[bytes]:
    """The lines of a block without their newlines (a carriage return is kept)."""
    lines = block.split(b"\n")
    if block.endswith(b"\n"):
        lines.pop()
    return lines


def _chunks(path: str, start: int, end: int | None) -> Iterator[bytes]:
    with named_errors(path), files.open_read(path, end) as file:
        position = start
        if start > 0:
            file.seek(start - 1)
            position -= 1
            while piece := file.readline(BLOCK_BYTES):
                position += len(piece)
                if piece.endswith(b"\n"):
                    break
        last = b"\n"
        while end is None or position < end:
            chunk = file.read(BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - position))
            if not chunk:
                return
            yield chunk
            position, last = position + len(chunk), chunk[-1:]
        while last != b"\n" and (chunk := file.readline(BLOCK_BYTES)):
            yield chunk
            last = chunk[-1:]


class _Holes:
    """Passes chunks of text on; ``found`` says whether whole sectors of them were zeros."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self.found = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.found |= b"\0" in chunk and _HOLE in chunk
            yield chunk


def _at_most(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) <= size:
            yield chunk
        else:
            yield from (chunk[start : start + size] for start in range(0, len(chunk), size))


def _whole_lines(chunks: Iterator[bytes], max_line: int) -> Iterator[bytes | LongLine]:
    """Joins chunks, none of them longer than a line may be."""
    pieces: list[bytes] = []
    size = quotes = 0  # of the line that is not whole yet; its pieces are let go of once it is too long
    for chunk in chunks:
        first = chunk.find(b"\n")
        if first >= 0:
            if size + first > max_line:
                yield LongLine(size + first, quotes + _quotes(pieces) + chunk.count(b'"', 0, first))
                pieces, chunk = [], chunk[first + 1 :]
            cut = chunk.rfind(b"\n") + 1
            if cut or pieces:
                yield b"".join((*pieces, chunk[:cut]))
            pieces, size, quotes = [], 0, 0
            chunk = chunk[cut:]
        pieces.append(chunk)
        size += len(chunk)
        if size > max_line:
            quotes += _quotes(pieces)
            pieces = []
    if size > max_line:
        yield LongLine(size, quotes)
    elif last := b"".join(pieces):
        yield last


def _quotes(pieces: list[bytes]) -> int:
    return sum(piece.count(b'"') for piece in pieces)
