"""Members of a tar archive, one after the other, read on behind damage. Nothing is ever written to a disk."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.readers.file_kind import TAR
from seqmill.transforms.readers.split import DamagedFileError

BLOCK = 512
_MOST_NAME = 1 << 20  # bytes of an extended header, which holds a long name
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_KINDS = {
    tarfile.DIRTYPE: "folder",
    tarfile.LNKTYPE: "link",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
}


@dataclass(frozen=True)
class Gap:
    """Bytes in which members are lost, nobody knows how many; ``detail`` says where."""

    detail: str


@dataclass(frozen=True)
class Member:
    """A member of an archive; its content is what the stream's next ``size`` bytes are.

    Attributes:
        start: Byte at which its headers begin.
        name: As the archive has it.
        size: Bytes of its content.
        kind: ``file``, ``folder``, ``link``, or what else it is.
    """

    start: int
    name: str
    size: int
    kind: str


class TarStream:
    """The bytes of an archive from ``start`` on.

    Args:
        chunks: Its bytes in runs of any size, uint8.
        start: Byte of the file that they begin at.

    Attributes:
        position: Byte of the file that comes next.
        damage: Why the bytes end before the file's end, else empty.
    """

    def __init__(self, chunks: Iterable[np.ndarray], start: int = 0):
        self._chunks = iter(chunks)
        self._held = np.empty(0, np.uint8)
        self.position = start
        self.damage = ""

    def take(self, count: int) -> bytes:
        """The next bytes; fewer where the stream ends."""
        pieces = []
        while count > 0 and self._has_one():
            piece = self._held[:count]
            pieces.append(piece.tobytes())
            self._drop(len(piece))
            count -= len(piece)
        return b"".join(pieces)

    def skip(self, count: int) -> int:
        """Goes on behind bytes; returns how many there were."""
        skipped = 0
        while skipped < count and self._has_one():
            step = min(count - skipped, len(self._held))
            self._drop(step)
            skipped += step
        return skipped

    def give_back(self, block: bytes) -> None:
        """Bytes that were taken come once more."""
        self._held = np.concatenate([np.frombuffer(block, np.uint8), self._held])
        self.position -= len(block)

    def rest_is_zeros(self) -> bool:
        """Whether nothing but zeros comes up to the end."""
        while self._has_one():
            if self._held.any():
                return False
            self._drop(len(self._held))
        return True

    def _has_one(self) -> bool:
        while len(self._held) == 0:
            try:
                chunk = next(self._chunks, None)
            except DamagedFileError as error:
                self.damage = str(error)
                return False
            if chunk is None:
                return False
            self._held = chunk
        return True

    def _drop(self, count: int) -> None:
        self._held = self._held[count:]
        self.position += count


def members(stream: TarStream, end: int | None = None) -> Iterator[Member | Gap]:
    """Yields the members whose headers begin before byte ``end``, and a gap for bytes that are lost.

    The caller may take a member's content from the stream before asking for the next one.
    """
    name, start, size = "", stream.position, -1  # of extended headers before a member
    while end is None or start < end:
        before = stream.position
        block = stream.take(BLOCK)
        if len(block) < BLOCK or not any(block):
            yield from _at_end(stream, before, len(block))
            return
        header = _header(block)
        if header is None:
            yield _go_to_next(stream, before)
            name, start, size = "", stream.position, -1
            continue
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            content = stream.take(header.size) if header.size <= _MOST_NAME else b""
            found = _extended(header, content) if len(content) == header.size else None
            if found is None:
                yield Gap(f"an extended header at byte {before:,} that cannot be read")
                name, start, size = "", stream.position, -1
                continue
            name, size = found[0] or name, found[1] if found[1] >= 0 else size
            stream.skip(-header.size % BLOCK)
            continue
        if header.type in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            stream.skip(header.size + -header.size % BLOCK)
            continue
        length = size if size >= 0 else header.size
        begin = stream.position
        kind = "file" if header.type in _FILES else _KINDS.get(header.type, "member of another kind")
        yield Member(start, name or header.name, length if kind == "file" else 0, kind)
        taken = stream.position - begin
        rest = (length if kind == "file" else 0) - taken
        rest += -(taken + rest) % BLOCK
        if stream.skip(rest) < rest:
            yield Gap(f"cut short: the member at byte {start:,} ends behind the archive's end")
            return
        name, start, size = "", stream.position, -1


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with these bytes is an archive."""
    return len(head) >= BLOCK and (_header(head[:BLOCK]) is not None or not any(head[:BLOCK]))


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return header if header.size >= 0 else None


def _extended(header: tarfile.TarInfo, content: bytes) -> tuple[str, int] | None:
    """The name and the size that an extended header gives; "" and -1 where it does not."""
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return content.split(b"\0")[0].decode(errors="surrogateescape"), -1
    name, size = "", -1
    while content.rstrip(b"\0"):
        length, _, _ = content.partition(b" ")
        count = int(length) if length.isdigit() and len(length) < 9 else 0
        record, content = content[len(length) + 1 : count], content[count:]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if not equals or not record.endswith(b"\n"):
            return None
        if key == b"path":
            name = value.decode(errors="surrogateescape")
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                return None
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            return None
    return name, size


def _at_end(stream: TarStream, start: int, length: int) -> Iterator[Gap]:
    """What is lost where a block of zeros, or none, came in place of a header."""
    if stream.damage:
        yield Gap(stream.damage)
    elif length < BLOCK:
        yield Gap(f"cut short: no mark of the archive's end at byte {start:,}")
    elif not stream.rest_is_zeros():
        yield Gap(f"more behind the archive's end at byte {start:,}")


def _go_to_next(stream: TarStream, start: int) -> Gap:
    """Goes on at the next header, or at the end; says what was lost from byte ``start`` on."""
    while len(block := stream.take(BLOCK)) == BLOCK:
        if block[257:262] == TAR and _header(block) is not None:
            stream.give_back(block)
            return Gap(f"wrong checksum of a header; bytes {start:,} to {stream.position - 1:,} are lost")
    return Gap(f"wrong checksum of the header at byte {start:,}; nothing behind it could be read")
