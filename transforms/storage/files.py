"""Files and folders, local or anywhere fsspec reaches, for pipelines and trainer alike.

A path without ``://`` is local. What is written appears under its final name only whole: a temporary
name in the same folder, fsync and rename locally; one request at the end on object stores.
"""

from __future__ import annotations

import glob as local_glob
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import orjson

from seqmill.transforms.storage import local_files, remote_calls, remote_files, remote_reading, remote_view
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.name_patterns import has_wildcard
from seqmill.transforms.storage.temporaries import (
    TEMPORARY_PREFIX,
    is_left,
    remove_left,
    remove_left_folders,
)

_COPY_BYTES = 8_000_000
_PIECE_BYTES = 1 << 20
_LARGEST_JSON = 500_000_000  # a manifest with three million shards; the parser needs several times its size

_BUCKET_PARTS = 3  # of a URL that are no pattern: "s3:", "" and the bucket

_Work = TypeVar("_Work", bound=Callable[..., Any])


class NotJsonError(SeqmillError):
    """A JSON file holds something else."""


def is_local(path: str) -> bool:
    """Whether ``path`` is on a file system of this machine."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """``folder/name/…``; a name that is absolute or a URL replaces what stands before it.

    >>> join("a", "../b"), join("s3://bucket/a", "../b")  # a store knows no ".."
    ('a/../b', 's3://bucket/b')
    """
    for name in names:
        while name.startswith(("../", "./")) and _is_in_bucket(folder):
            folder = folder if name.startswith("./") else parent(folder)
            name = name.partition("/")[2]
        if not is_local(name) or name.startswith("/"):
            folder = name
        else:
            folder = f"{folder.rstrip('/')}/{name}" if folder not in ("", ".") else name
    return folder


def _is_in_bucket(folder: str) -> bool:
    return not is_local(folder) and folder.count("/") >= _BUCKET_PARTS


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
        if not has_wildcard(pattern):
            matches = [pattern] if is_file(pattern) else []
        elif is_local(pattern):
            matches = [pattern] if is_file(pattern) else local_files.expand(_with_literal_folders(pattern))
        else:
            matches = _expand_remote(pattern)
    except OSError as error:
        where = error.filename if error.filename and is_local(pattern) else pattern
        raise SeqmillError(f"{where}: cannot be read ({error.strerror or error})") from None
    for match in matches:
        check_encodable(match)
    return sorted(matches)


def check_encodable(path: str) -> None:
    """Refuses a path that is not UTF-8, as tags and manifests are. Raises SeqmillError."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise SeqmillError(f"{shown}: its name is not UTF-8; rename it") from None


def exists(path: str) -> bool:
    """Whether a file or folder stands at ``path``."""
    return Path(path).exists() if is_local(path) else remote_files.find_info(path) is not None


def is_file(path: str) -> bool:
    """Whether a regular file stands at ``path``."""
    if is_local(path):
        return Path(path).is_file()
    info = remote_files.find_info(path)
    return info is not None and info["type"] == "file"


def is_folder(path: str) -> bool:
    """Whether a folder stands at ``path``."""
    if is_local(path):
        return Path(path).is_dir()
    info = remote_files.find_info(path)
    return info is not None and info["type"] == "directory"


def size(path: str) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    return Path(path).stat().st_size if is_local(path) else remote_files.size(path)


def is_whole(path: str, num_bytes: int) -> bool:
    """Whether a file is there and as long as it should be."""
    try:
        return is_file(path) and size(path) == num_bytes
    except FileNotFoundError:
        return False


def content_tag(path: str) -> str | None:
    """What an object store says of a remote file's content, where no other content can have the same tag."""
    return remote_files.content_tag(path)


def list_names(folder: str) -> list[str]:
    """Names of what a folder holds, sorted; empty where there is no such folder."""
    if is_local(folder):
        return sorted(entry.name for entry in Path(folder).iterdir()) if Path(folder).is_dir() else []
    return remote_files.list_names(folder)


@contextmanager
def remembering(*folders: str) -> Iterator[None]:
    """Lets what is learnt of remote files in a block not be asked again; local ones are looked at each time.

    Args:
        folders: Of those, all that is below is learnt at once, by one listing each. Nobody else may write
            there meanwhile.
    """
    with remote_view.remembering():
        for folder in folders:
            if not is_local(folder):
                remote_files.list_below(folder)
        yield


def impatient() -> AbstractContextManager[None]:
    """Lets calls of remote files in a block fail at their first failure: for what nothing depends on."""
    return remote_calls.impatient()


def sharing(work: _Work) -> _Work:
    """``work`` for the threads of a pool, with what ``remembering`` knows here."""
    return remote_view.sharing(work)


def make_folder(folder: str) -> None:
    """Makes a folder and those above it; object stores have none to make."""
    if is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    else:
        remote_files.make_folder(folder)


def remove(path: str) -> None:
    """Removes a file, a link or a whole folder, if it is there; what links lead to stays."""
    (local_files.remove if is_local(path) else remote_files.remove)(path)


def remove_file(path: str) -> None:
    """Removes a file, if it is there; on object stores in one request, where ``remove`` needs two."""
    if is_local(path):
        Path(path).unlink(missing_ok=True)
    else:
        remote_files.remove_file(path)


def link(source: str, target: str) -> None:
    """Gives a file that never changes a second name: a hard link, or where there are none a copy."""
    if is_local(source) and is_local(target):
        with suppress(OSError):
            os.link(source, target)
            return
    with open_read(source) as read, write_atomically(target) as written:
        shutil.copyfileobj(read, written, _COPY_BYTES)


def rename_folder(source: str, target: str) -> None:
    """Gives a local folder another name, for good. Raises FileExistsError where something has that name."""
    local_files.rename_folder(source, target)


def remove_temporaries(folder: str) -> None:
    """Removes what interrupted writes have left in a local folder and those below it."""
    if is_local(folder):
        remove_left(Path(folder))


def remove_temporary_folders(folder: str) -> None:
    """Removes folders with temporary names that processes which are gone have left in a folder."""
    if is_local(folder):
        remove_left_folders(Path(folder))
        return
    for found in list_names(folder):
        path = join(folder, found)
        if found.startswith(TEMPORARY_PREFIX) and is_left(found, partial(_last_change, path)):
            remove(path)


def _last_change(folder: str) -> float:
    return max(last_changes(folder).values(), default=0.0)


def last_changes(folder: str) -> dict[str, float]:
    """When each file below a folder was written last, in seconds since 1970."""
    if not is_local(folder):
        return remote_files.last_changes(folder)
    found = {}
    for inner, _, names in os.walk(folder):
        for path in (Path(inner, name) for name in names):
            with suppress(FileNotFoundError):
                found[str(path)] = path.lstat().st_mtime
    return found


def open_read(path: str, end: int | None = None) -> IO[bytes]:
    """Opens a file for reading bytes; a remote one is read by ranges, ahead of a reader that goes forward.

    Args:
        path: The file.
        end: The byte before which all will be read, where that is known, so that large parts are fetched.

    Raises:
        OSError: It cannot be opened, or a folder, a pipe or a device stands there (EISDIR, EINVAL), which
            would give no end, or none soon.
    """
    if is_local(path):
        return os.fdopen(local_files.open_regular(path), "rb")
    return remote_files.open_read(path, end)


def read_blocks(path: str, start: int, end: int) -> Iterator[np.ndarray]:
    """The bytes [start, end) of a file, uint8: a view of a local one, large blocks of a remote one."""
    if is_local(path):
        yield local_files.map_bytes(path)[start:end]
        return
    with remote_files.open_read(path, end) as file:
        file.seek(start)
        while start < end and (block := file.read(min(remote_reading.PART_BYTES, end - start))):
            start += len(block)
            yield np.frombuffer(block, np.uint8)


def read_most(file: IO[bytes], most: int) -> bytes:
    """What is left of an open file, or its next ``most`` bytes.

    ``file.read(most)`` would at once ask the system for memory for as many, however short the file is.
    """
    pieces = []
    while piece := file.read(min(most, _PIECE_BYTES)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def read_bytes(path: str) -> bytes:
    """The whole of a file."""
    if not is_local(path):
        return remote_files.read_bytes(path)
    with open_read(path) as file:
        return file.read()


def read_json(path: str) -> Any:
    """The content of a JSON file of ours. Raises NotJsonError where it is not JSON, or far too large."""
    return _parsed(path, _read_whole_json(path))


def read_json_as_written(path: str) -> tuple[Any, bool]:
    """As ``read_json``, and whether the file's bytes are those that ``write_json`` makes of the content.

    Raises:
        NotJsonError: As there, or ``write_json`` could not have written it, so deep are its fields.
    """
    written = _read_whole_json(path)
    content = _parsed(path, written)
    try:
        return content, written == _json(content)
    except orjson.JSONEncodeError:
        raise NotJsonError(f"{path}: not valid JSON (nested deeper than any file of ours is)") from None


def copy(source: str, target: str) -> None:
    """Copies a small file; the copy appears whole or not at all."""
    with write_atomically(target) as file:
        file.write(read_bytes(source))


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with write_atomically(path) as file:
        file.write(_json(value))


def write_atomically(path: str) -> AbstractContextManager[Any]:
    """Opens ``path`` for writing; it appears under that name only when the block ends without an error."""
    return (local_files if is_local(path) else remote_files).write_atomically(path)


def map_bytes(path: str) -> np.ndarray:
    """A file as a read-only uint8 array: memory-mapped; a remote one is fetched for it."""
    return (local_files if is_local(path) else remote_files).map_bytes(path)


def map_copy(path: str, num_bytes: int, xxh128: str) -> np.ndarray:
    """A remote file of known size and hash from this machine's cache; raises as ``remote_files.map_copy``."""
    return remote_files.map_copy(path, num_bytes, xxh128)


def _read_whole_json(path: str) -> bytes:
    if is_local(path):
        with open_read(path) as file:
            written = read_most(file, _LARGEST_JSON + 1)
    else:
        written = remote_files.read_bytes(path)
    if len(written) > _LARGEST_JSON:
        raise NotJsonError(f"{path}: not valid JSON (over {_LARGEST_JSON:,} bytes, as no file of ours is)")
    return written


def _parsed(path: str, written: bytes) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError as error:
        raise NotJsonError(f"{path}: not valid JSON ({error})") from None


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _expand_remote(pattern: str) -> list[str]:
    if not remote_calls.is_object_store(pattern):
        return [pattern] if is_file(pattern) else remote_files.glob(_with_literal_folders(pattern))
    parts = pattern.split("/")
    number = max(_num_literal(parts), _BUCKET_PARTS)
    return remote_files.expand("/".join(parts[:number]), "/".join(parts[number:]))


def _with_literal_folders(pattern: str) -> str:
    """A pattern in which the folders that exist under the very name given are no patterns."""
    parts = pattern.split("/")
    number = _num_literal(parts)
    return "/".join([*map(local_glob.escape, parts[:number]), *parts[number:]])


def _num_literal(parts: Sequence[str]) -> int:
    """How many parts of a pattern stand for themselves; folders that exist are meant as they stand."""
    for index, part in enumerate(parts[:-1]):
        if has_wildcard(part) and not is_folder("/".join(parts[: index + 1])):
            return index
    return len(parts) - 1
