"""Files and folders, local or anywhere fsspec reaches, for pipelines and trainer alike.

A path without ``://`` is local. What is written appears under its final name only whole: a temporary
name in the same folder, fsync and rename locally; one commit at the end on object stores.
"""

from __future__ import annotations

import errno
import glob as local_glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa

from seqmill.transforms.storage import cache as remote_cache
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.temporaries import remove_left, temporary_beside

_THIS_PROCESS = secrets.token_hex(16)
_LARGEST_JSON = 500_000_000  # a manifest with three million shards; the parser needs several times its size
# Per kind of object store what of its listing identifies content or an object's version.
_CONTENT_TAGS = {
    "s3": ("ETag",),
    "s3a": ("ETag",),
    "gs": ("md5Hash", "generation"),
    "gcs": ("md5Hash", "generation"),
    "abfs": ("etag",),
    "abfss": ("etag",),
    "az": ("etag",),
}


class NotJsonError(SeqmillError):
    """A JSON file holds something else."""


def is_local(path: str) -> bool:
    """Whether ``path`` is on a file system of this machine."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """``folder/name/…``; a name that is absolute or a URL replaces what stands before it."""
    for name in names:
        if not is_local(name) or name.startswith("/"):
            folder = name
        else:
            folder = f"{folder.rstrip('/')}/{name}" if folder not in ("", ".") else name
    return folder


def parent(path: str) -> str:
    """The folder that holds ``path``."""
    return path.rstrip("/").rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def name(path: str) -> str:
    """The last part of ``path``."""
    return path.rstrip("/").rpartition("/")[2]


def inside(folder: str, relative: str) -> str:
    """``folder/relative``, refused where a manifest's path would lead outside its folder."""
    if not is_local(relative) or relative.startswith("/") or ".." in relative.split("/"):
        raise SeqmillError(f"{folder}: the manifest names {relative!r}, which leads outside the folder")
    if relative in ("", ".") or "\0" in relative:
        raise SeqmillError(f"{folder}: the manifest names {relative!r}, which is no file's name")
    return join(folder, relative)


def expand(pattern: str) -> list[str]:
    """Files that match a pattern, sorted; the very path alone where a file stands at it.

    Args:
        pattern: A path in which ``*``, ``?``, ``[…]`` and ``**`` stand for others. Files and folders that
            exist under the very name given are meant as they stand. A folder that ``**`` reaches on several
            ways, by links, is looked at once.

    Raises:
        SeqmillError: No file can be opened under such a URL here, a folder cannot be read, or a name is not
            UTF-8.
    """
    try:
        if is_file(pattern):
            matches = [pattern]
        elif not has_wildcard(pattern):
            matches = []
        elif is_local(pattern):
            matches = local_glob.glob(_with_literal_folders(pattern), recursive=True)
            matches = [match for match in matches if Path(match).is_file()]
            if "**" in pattern:
                matches = _each_folder_once(matches)
        else:
            fs, path = _filesystem(_with_literal_folders(pattern))
            matches = [fs.unstrip_protocol(match) for match in fs.glob(path)]
    except OSError as error:
        raise SeqmillError(
            f"{error.filename or pattern}: cannot be read ({error.strerror or error})"
        ) from None
    for match in matches:
        check_encodable(match)
    return sorted(matches)


def _each_folder_once(paths: list[str]) -> list[str]:
    shortest: dict[str, str] = {}
    for folder in sorted({parent(path) for path in paths}, key=lambda folder: (len(folder), folder)):
        shortest.setdefault(os.path.realpath(folder), folder)
    taken = {*shortest.values()}
    return [path for path in paths if parent(path) in taken]


def check_encodable(path: str) -> None:
    """Refuses a path that is not UTF-8, as tags and manifests are. Raises SeqmillError."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise SeqmillError(f"{shown}: its name is not UTF-8; rename it") from None


def exists(path: str) -> bool:
    """Whether a file or folder stands at ``path``."""
    if is_local(path):
        return Path(path).exists()
    fs, stripped = _filesystem(path)
    return bool(fs.exists(stripped))


def is_file(path: str) -> bool:
    """Whether a regular file stands at ``path``."""
    if is_local(path):
        return Path(path).is_file()
    fs, stripped = _filesystem(path)
    return bool(fs.isfile(stripped))


def is_folder(path: str) -> bool:
    """Whether a folder stands at ``path``."""
    if is_local(path):
        return Path(path).is_dir()
    fs, stripped = _filesystem(path)
    return bool(fs.isdir(stripped))


def size(path: str) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    if is_local(path):
        return Path(path).stat().st_size
    fs, stripped = _filesystem(path)
    return int(fs.size(stripped))


def is_whole(path: str, num_bytes: int) -> bool:
    """Whether a file is there and as long as it should be."""
    try:
        return is_file(path) and size(path) == num_bytes
    except FileNotFoundError:
        return False


def content_tag(path: str) -> str | None:
    """What an object store says of a remote file's content, where no other content can have the same tag."""
    fs, stripped = _filesystem(path)
    names = _CONTENT_TAGS.get(urlsplit(path).scheme)
    if names is None:
        return None
    info = fs.info(stripped)
    return next((f"{name}:{info[name]}:{info['size']}" for name in names if info.get(name)), None)


def list_names(folder: str) -> list[str]:
    """Names of what a folder holds, sorted; empty where there is no such folder."""
    if is_local(folder):
        return sorted(entry.name for entry in Path(folder).iterdir()) if Path(folder).is_dir() else []
    fs, path = _filesystem(folder)
    if not fs.isdir(path):
        return []
    return sorted(name(entry) for entry in fs.ls(path, detail=False))


def make_folder(folder: str) -> None:
    """Makes a folder and those above it; object stores have none to make."""
    if is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    else:
        fs, path = _filesystem(folder)
        fs.makedirs(path, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file, a link or a whole folder, if it is there; what links lead to stays."""
    if is_local(path):
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path)
        else:
            Path(path).unlink(missing_ok=True)
        return
    fs, stripped = _filesystem(path)
    if fs.exists(stripped):
        fs.rm(stripped, recursive=True)


def rename_folder(source: str, target: str) -> None:
    """Gives a local folder another name, for good. Raises FileExistsError where something has that name."""
    try:
        os.rename(source, target)  # noqa: PTH104 - a folder with files in it is never replaced
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        raise
    _sync_folder(parent(target))


def remove_temporaries(folder: str) -> None:
    """Removes what interrupted writes have left in a local folder and those below it."""
    if is_local(folder):
        remove_left(Path(folder))


def open_read(path: str) -> IO[bytes]:
    """Opens a file for reading bytes.

    Raises:
        OSError: It cannot be opened, or a folder, a pipe or a device stands there (EISDIR, EINVAL), which
            would give no end, or none soon.
    """
    if is_local(path):
        return os.fdopen(_open_regular(path), "rb")
    fs, stripped = _filesystem(path)
    return fs.open(stripped, "rb")


def read_bytes(path: str) -> bytes:
    """The whole of a file."""
    with open_read(path) as file:
        return file.read()


def read_json(path: str) -> Any:
    """The content of a JSON file of ours. Raises NotJsonError where it is not JSON, or far too large."""
    with open_read(path) as file:
        content = file.read(_LARGEST_JSON + 1)
    if len(content) > _LARGEST_JSON:
        raise NotJsonError(f"{path}: not valid JSON (over {_LARGEST_JSON:,} bytes, as no file of ours is)")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise NotJsonError(f"{path}: not valid JSON ({error})") from None


def copy(source: str, target: str) -> None:
    """Copies a small file; the copy appears whole or not at all."""
    with write_atomically(target) as file:
        file.write(read_bytes(source))


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with write_atomically(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


@contextmanager
def write_atomically(path: str) -> Iterator[Any]:
    """Opens ``path`` for writing; it appears under that name only when the block ends without an error."""
    if not is_local(path):
        fs, stripped = _filesystem(path)
        file = fs.open(stripped, "wb", autocommit=False)
        try:
            yield file
        except BaseException:
            file.discard()
            raise
        file.close()
        file.commit()
        return
    make_folder(parent(path))
    temporary = temporary_beside(Path(path))
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(parent(path))
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = path  # a full disk does not say where it is
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def map_bytes(path: str) -> np.ndarray:
    """A file as a read-only uint8 array: memory-mapped; a remote one from this machine's cache."""
    if not is_local(path):
        fs, stripped = _filesystem(path)
        return remote_cache.fetch(fs, stripped, _remote_version(path), _map)
    return _map(path)


def forget_copy(path: str) -> None:
    """Lets the next ``map_bytes`` of a remote file fetch it again, as its copy here is damaged."""
    if not is_local(path):
        fs, stripped = _filesystem(path)
        remote_cache.forget(fs, stripped, _remote_version(path))


def has_wildcard(path: str) -> bool:
    """Whether ``expand`` takes a path as a pattern."""
    return any(character in path for character in "*?[")


def _with_literal_folders(pattern: str) -> str:
    """A pattern in which the folders that exist under the very name given are no patterns."""
    parts = pattern.split("/")
    for index, part in enumerate(parts[:-1]):
        if has_wildcard(part):
            if not is_folder("/".join(pattern.split("/")[: index + 1])):
                break
            parts[index] = local_glob.escape(part)
    return "/".join(parts)


def _remote_version(path: str) -> list[Any]:
    """Tells versions of a remote file apart; only where its store identifies them, beyond this process."""
    fs, stripped = _filesystem(path)
    info = fs.info(stripped)
    stamps = [str(info[key]) for key in ("ETag", "mtime", "created") if key in info]
    return [int(info["size"]), content_tag(path) or [_THIS_PROCESS, stamps]]


def _map(path: str) -> np.ndarray:
    if Path(path).stat().st_size == 0:
        return np.empty(0, np.uint8)
    # Arrow lets go of the file and keeps what is mapped; Python's mmap holds a descriptor for each.
    with pa.memory_map(path) as file:
        return np.frombuffer(file.read_buffer(), np.uint8)


def _filesystem(path: str) -> tuple[Any, str]:
    import fsspec  # which local files do not need

    try:
        return fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise SeqmillError(f"{path}: cannot open {urlsplit(path).scheme}:// paths here ({error})") from None


def _open_regular(path: str) -> int:
    # Without O_NONBLOCK opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
