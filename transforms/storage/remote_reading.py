"""Reading remote files by ranges of bytes: in blocks that grow, the next one fetched beside the reader."""

from __future__ import annotations

import errno
import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from seqmill.transforms.storage.remote_calls import RemoteError, TransferError, call
from seqmill.transforms.storage.remote_objects import ChangedError, read_part

PART_BYTES = 8 << 20  # of one request; several run side by side
_FIRST_BYTES = 1 << 16
_SLACK_BYTES = 1 << 14
_THREADS = 8


class ShorterError(Exception):
    """A file ends before the bytes that were asked for; ``size`` is what it has."""

    def __init__(self, size: int):
        super().__init__(size)
        self.size = size


def read_range(url: str, start: int, end: int, tag: str | None = None) -> bytes:
    """The bytes [start, end) of a file, in one request.

    Args:
        url: The file.
        start: The first byte.
        end: The byte behind the last.
        tag: Of the version that is meant, where its store gives tags to versions.

    Raises:
        ShorterError: It has fewer.
        OSError: It cannot be read, or is another version.
    """

    def read(fs: Any, path: str) -> bytes:
        try:
            content = read_part(fs, path, start, end, tag)
        except OSError as error:  # a range behind the end
            if "range" not in str(error).lower():
                raise
            content = b""
        if len(content) == end - start:
            return content
        size = fs.info(path)["size"]
        if size is not None and size < end:
            raise ShorterError(size)
        if len(content) == size or (size is None and len(content) > end - start):
            return content[start:end]  # a server that heeds no ranges sends all of it
        raise TransferError(f"{len(content):,} bytes arrived, expected {end - start:,}")

    try:
        return call(url, read) if end > start else b""
    except ChangedError:
        raise RemoteError(errno.EIO, "it changed while it was read", url) from None


def download(url: str, size: int, descriptor: int, tag: str | None = None) -> None:
    """Writes the first ``size`` bytes of a file into an open one, several parts at once; ``tag`` as above."""

    def part(start: int) -> None:
        end = min(start + PART_BYTES, size)
        content = memoryview(read_range(url, start, end, tag))
        while content:
            written = os.pwrite(descriptor, content, start)
            content, start = content[written:], start + written

    starts = range(0, size, PART_BYTES)
    if len(starts) <= 1:
        part(0)
        return
    with ThreadPoolExecutor(min(_THREADS, len(starts)), thread_name_prefix="seqmill-fetch") as pool:
        for future in [pool.submit(part, start) for start in starts]:
            future.result()


def open_ranges(
    url: str, size: int, end: int | None = None, head: bytes = b"", tag: str | None = None
) -> IO[bytes]:
    """Opens a file for reading bytes, by ranges.

    Args:
        url: The file.
        size: Its size.
        end: Where a reader that reads all before it will be content; it may read on a little.
        head: Its first bytes, as far as they are known.
        tag: As for ``read_range``.
    """
    return io.BufferedReader(_RangeFile(url, size, end, head, tag), 1 << 17)


class _RangeFile(io.RawIOBase):
    """Fetches what is read, at least a block; in order, the next block is fetched meanwhile."""

    def __init__(self, url: str, size: int, end: int | None, head: bytes, tag: str | None):
        self._url, self._size, self._tag = url, size, tag
        self._end = size if end is None else min(end + _SLACK_BYTES, size)
        self._first_step = _FIRST_BYTES if end is None else PART_BYTES
        self._step = self._first_step
        self._position = 0
        self._start, self._block = 0, head
        self._next: Future[bytes] | None = None
        self._pool: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self._url)
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        if not self._start <= self._position < self._start + len(self._block):
            self._bring(min(wanted, PART_BYTES))
        offset = self._position - self._start
        found = self._block[offset : offset + wanted]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._next = None
        self._block = b""
        super().close()

    def _bring(self, wanted: int) -> None:
        """Makes a block the current one that begins at the position."""
        is_next = self._position == self._start + len(self._block) and len(self._block) > 0
        self._step = min(4 * self._step, PART_BYTES) if is_next else self._first_step
        start = self._position
        if is_next and self._next is not None:
            block = self._next.result()
        else:
            if not is_next:  # a file's end, where an index may stand, is fetched in one piece
                start = max(0, min(start, self._size - _FIRST_BYTES))
            block = self._read(start, max(wanted, self._step))
        self._start, self._block, self._next = start, block, None
        behind = self._start + len(block)
        if (is_next or self._step == PART_BYTES) and behind < self._end:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="seqmill-ahead")
            self._next = self._pool.submit(self._read, behind, min(4 * self._step, PART_BYTES))

    def _read(self, start: int, length: int) -> bytes:
        limit = self._end if start < self._end else min(start + _FIRST_BYTES, self._size)
        end = min(start + length, limit)
        if limit - end < _SLACK_BYTES:  # no request of its own for a little rest
            end = limit
        try:
            return read_range(self._url, start, end, self._tag)
        except ShorterError as error:
            raise RemoteError(
                errno.EIO,
                f"it changed while it was read: {self._size:,} bytes before, {error.size:,} now",
                self._url,
            ) from None
