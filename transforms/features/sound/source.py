"""Where sound comes from: bytes, or a file that is opened with care, as its path is somebody else's."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import xxhash

from seqmill.transforms.features.encoder import shown
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_LOCAL = ("file:", "local:")
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENXIO)


class Source:
    """An open sound file.

    Attributes:
        file: The file, for reading and seeking.
        size: Its bytes.
    """

    def __init__(self, file: IO[bytes], size: int):
        self._file = file
        self.size = size
        self.file: Any = _Careful(file)

    def read_head(self, num_bytes: int) -> bytes:
        """The first bytes of the file."""
        self._file.seek(0)
        return self._file.read(num_bytes)

    def xxh128(self) -> str:
        """The xxh3_128 of the whole file."""
        self._file.seek(0)
        digest = xxhash.xxh3_128()
        while block := self._file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()

    def read_all(self, max_bytes: int) -> bytes:
        """The whole file. Raises RejectedSequence where it is larger than ``max_bytes``."""
        check_size(self.size, max_bytes, "the file")
        self._file.seek(0)
        data = files.read_most(self._file, max_bytes + 1)
        check_size(len(data), max_bytes, "the file")
        return data


class _Careful:
    """A file as libsndfile uses it, which knows no errors of Python's.

    It stays in place when a broken header leads before the start, and keeps an error of the file system,
    which libsndfile would take for the end of the file.
    """

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OverflowError):
            return self._file.tell()
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place before the start
                self.error = error
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def read(self, num_bytes: int = -1) -> bytes:
        try:
            return self._file.read(num_bytes)
        except OSError as error:
            self.error = error
            return b""

    def write(self, data: bytes) -> int:
        raise io.UnsupportedOperation("not writable")


@contextmanager
def open_bytes(data: bytes) -> Iterator[Source]:
    """Bytes of a sound file as a source."""
    yield Source(io.BytesIO(data), len(data))


@contextmanager
def open_path(path: str, folder: str, what: str = "audio") -> Iterator[Source]:
    """Opens a file that a record names.

    Only regular files are opened: a pipe or a device would give no end, or none soon.

    Args:
        path: As the record has it.
        folder: Folder or URL that a relative path starts from.
        what: What it holds, for reasons.

    Raises:
        RejectedSequence: There is no such file, it is none, or this machine cannot open paths of its kind.
        OSError: The file system failed; the error names the file.
    """
    full = full_path(path, folder)
    try:
        file, size = _open(full, path, what)
    except (ValueError, SeqmillError) as error:
        raise RejectedSequence(f"missing {what} file", f"{shown(path)}: {error}") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in _NO_SUCH_FILE:
            raise RejectedSequence(f"missing {what} file", _where(path)) from None
        if error.errno in _MAY_NOT or isinstance(error, PermissionError | IsADirectoryError):
            raise RejectedSequence(f"not readable {what}", f"{path}: {error.strerror or error}") from None
        raise _named(error, full) from None
    with file:
        source = Source(file, size)
        try:
            yield source
        except OSError as error:
            raise _named(error, full) from None
        except RejectedSequence:
            if source.file.error is not None:
                raise _named(source.file.error, full) from None
            raise
        if source.file.error is not None:
            raise _named(source.file.error, full)


def full_path(path: str, folder: str) -> str:
    """Where a path as a record has it leads.

    Raises:
        RejectedSequence: It is empty, or could lead to local files past the check for regular ones.
    """
    if not path.strip():
        raise RejectedSequence("missing audio file", "the path is empty")
    full = files.join(folder, path.removeprefix("file://"))
    if not files.is_local(full) and (full.startswith(_LOCAL) or "::" in full):
        detail = f"{shown(path)}: a local path is written without a scheme, and schemes are not chained"
        raise RejectedSequence("missing audio file", detail)
    return full


def check_size(num_bytes: int, max_bytes: int, what: str) -> None:
    """Refuses what is too large. Raises RejectedSequence."""
    if num_bytes > max_bytes:
        raise RejectedSequence(
            "larger than max_record_size", f"{what} would take {num_bytes:,} bytes, over {max_bytes:,}"
        )


def _open(path: str, name: str, what: str) -> tuple[IO[bytes], int]:
    if not files.is_local(path):
        file = files.open_read(path)
        return file, file.seek(0, os.SEEK_END)
    # Without O_NONBLOCK opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise RejectedSequence(f"not readable {what}", f"{name} is {_kind(status.st_mode)}, not a file")
    return os.fdopen(descriptor, "rb"), status.st_size


def _where(path: str) -> str:
    """A path for a reject, which holds no folder of this machine that the record does not name."""
    if not files.is_local(path) or Path(path).is_absolute():
        return path
    return f"{path} (a relative path starts from the folder of the file that names it, or from audio_root)"


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "something else")


def _named(error: OSError, path: str) -> OSError:
    return type(error)(error.errno, error.strerror or str(error), path)
