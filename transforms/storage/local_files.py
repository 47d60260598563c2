"""Files and folders of this machine; ``files`` is what everything else asks."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seqmill.transforms.storage.temporaries import temporary_beside


def expand(pattern: str) -> list[str]:
    """Files that match a pattern; a folder that ``**`` reaches on several ways is looked at once."""
    matches = [match for match in glob.glob(pattern, recursive=True) if Path(match).is_file()]
    return _each_folder_once(matches) if "**" in pattern else matches


def _each_folder_once(paths: list[str]) -> list[str]:
    folders = {path: Path(path).parent for path in paths}
    shortest: dict[str, Path] = {}
    for folder in sorted({*folders.values()}, key=lambda folder: (len(str(folder)), folder)):
        shortest.setdefault(os.path.realpath(folder), folder)
    taken = {*shortest.values()}
    return [path for path in paths if folders[path] in taken]


def remove(path: str) -> None:
    """Removes a file, a link or a whole folder, if it is there; what links lead to stays."""
    if Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink(missing_ok=True)


def rename_folder(source: str, target: str) -> None:
    """Gives a folder another name, for good. Raises FileExistsError where something has that name."""
    try:
        os.rename(source, target)  # noqa: PTH104 - a folder with files in it is never replaced
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        raise
    _sync_folder(Path(target).parent)


def open_regular(path: str) -> int:
    """A descriptor of a regular file. Raises OSError, also of a folder, a pipe or a device."""
    # Without O_NONBLOCK opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


@contextmanager
def write_atomically(path: str) -> Iterator[Any]:
    """Opens a file for writing; it appears under its name only when the block ends without an error.

    Raises:
        OSError: A folder, a pipe or a device stands there (EISDIR, EINVAL), or the file system failed.
    """
    _refuse_other_than_files(path)
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(Path(path))
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(folder)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = path  # a full disk does not say where it is
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _refuse_other_than_files(path: str) -> None:
    """Renaming a file to the name of a device or a pipe would take that away."""
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(number, os.strerror(number), path)


def map_bytes(path: str) -> np.ndarray:
    """A file as a read-only uint8 array, memory-mapped."""
    if Path(path).stat().st_size == 0:
        return np.empty(0, np.uint8)
    # Arrow lets go of the file and keeps what is mapped; Python's mmap holds a descriptor for each.
    try:
        with pa.memory_map(path) as file:
            return np.frombuffer(file.read_buffer(), np.uint8)
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow does not say which file, nor why in a way that can be told.
        why = f"it cannot be mapped; a limit of address space (ulimit -v) does that ({error})"
        raise OSError(errno.ENOMEM, why, path) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
