"""A file that knows the hash of what was written to it."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import xxhash

from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum


class HashingFile(io.RawIOBase):
    """Passes what is written on to a file that is open for writing bytes, and hashes it.

    Attributes:
        size: Bytes written so far.
    """

    def __init__(self, file: Any):
        super().__init__()
        self.size = 0
        self._file = file
        self._hash = xxhash.xxh3_128()

    @property
    def xxh128(self) -> str:
        """Hash of the bytes written so far."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def write(self, data: Any) -> int:
        """Writes all of ``data``; returns its size in bytes."""
        self._hash.update(data)
        self._file.write(data)
        num_bytes = memoryview(data).nbytes
        self.size += num_bytes
        return num_bytes


def write_hashed(path: str, pieces: Iterable[bytes]) -> Checksum:
    """Writes a file that appears whole, of some pieces; returns what a manifest says of it."""
    with files.write_atomically(path) as file:
        sink = HashingFile(file)
        for piece in pieces:
            sink.write(piece)
    return Checksum(sink.size, sink.xxh128)
