"""Lines of plain and compressed files, in blocks of whole lines."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa

from seqmill.transforms.readers.split import DamagedFileError, is_damage, named_errors
from seqmill.transforms.storage import files

# Larger blocks were no faster.
BLOCK_BYTES = 1 << 17
BOM = b"\xef\xbb\xbf"

_CODECS = {".gz": "gzip", ".zst": "zstd"}


def is_compressed(path: str) -> bool:
    """Whether the file's name says that it is compressed."""
    return _codec(path) is not None


def line_blocks(path: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yields runs of whole lines: those that begin in the bytes [start, end) of a file.

    Every block ends with a newline, the last one of a file perhaps not. A byte order mark at the start of
    the file is left out.

    Args:
        path: A plain file, or a ``.gz`` or ``.zst`` file, which is read whole.
        start: First byte; a line that begins before it is skipped.
        end: The byte at which no line of this run begins any more; ``None`` for the end of the file.

    Raises:
        DamagedFileError: A compressed file is damaged, after its last whole line was yielded.
        SeqmillError: The file cannot be read.
    """
    blocks = _whole_lines(decompressed(path) if is_compressed(path) else _chunks(path, start, end))
    if start == 0:
        for first in blocks:
            yield first.removeprefix(BOM)
            break
    yield from blocks


def split_lines(block: bytes) -> list[bytes]:
    """The lines of a block without their newlines (a carriage return is kept)."""
    lines = block.split(b"\n")
    if block.endswith(b"\n"):
        lines.pop()
    return lines


def decompressed(path: str) -> Iterator[bytes]:
    """Yields the content of a ``.gz`` or ``.zst`` file in pieces.

    Raises:
        DamagedFileError: The file is damaged, after everything before the damage was yielded.
        SeqmillError: The file cannot be read.
    """
    num_bytes = 0
    with named_errors(path), _open_compressed(path) as stream:
        while True:
            try:
                chunk = stream.read(BLOCK_BYTES)
            except OSError as error:
                if not is_damage(error):
                    raise
                yield _until_damage(path, num_bytes)
                raise DamagedFileError(str(error)) from None
            if not chunk:
                if num_bytes == 0 and files.size(path) == 0:
                    raise DamagedFileError("the file has 0 bytes, which no compressed file has")
                return
            num_bytes += len(chunk)
            yield chunk


def _codec(path: str) -> str | None:
    return next((codec for suffix, codec in _CODECS.items() if path.endswith(suffix)), None)


def _chunks(path: str, start: int, end: int | None) -> Iterator[bytes]:
    with named_errors(path), files.open_read(path) as file:
        position = start
        if start > 0:
            file.seek(start - 1)
            position += len(file.readline()) - 1
        last = b"\n"
        while end is None or position < end:
            chunk = file.read(BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - position))
            if not chunk:
                return
            yield chunk
            position, last = position + len(chunk), chunk[-1:]
        if last != b"\n":
            yield file.readline()


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut == 0:
            pieces.append(chunk)
            continue
        yield b"".join((*pieces, chunk[:cut]))
        pieces = [chunk[cut:]]
    if last := b"".join(pieces):
        yield last


def _open_compressed(path: str) -> pa.CompressedInputStream:
    return pa.CompressedInputStream(pa.PythonFile(files.open_read(path), mode="r"), _codec(path))


def _until_damage(path: str, start: int) -> bytes:
    """What can be decompressed from byte ``start`` on; a failed read loses the good part of what it read."""
    found = io.BytesIO()
    with _open_compressed(path) as stream:
        while start > 0:
            start -= len(stream.read(min(start, BLOCK_BYTES)))
        try:
            while byte := stream.read(1):
                found.write(byte)
        except OSError as error:
            if not is_damage(error):
                raise
    return found.getvalue()
