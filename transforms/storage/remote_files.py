"""Files and folders behind URLs; ``files`` is what everything else asks."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import IO, Any

import numpy as np

from seqmill.transforms.storage import cache, local_files, remote_view
from seqmill.transforms.storage.name_patterns import has_wildcard, matches
from seqmill.transforms.storage.remote_calls import (
    MOST_REQUESTS,
    RemoteError,
    call,
    filesystem,
    is_object_store,
    is_s3,
    scheme,
)
from seqmill.transforms.storage.remote_reading import download, open_ranges, read_range
from seqmill.transforms.storage.remote_view import UNKNOWN, Info

# Per kind of object store what of its listing identifies content or an object's version.
_CONTENT_TAGS = {
    **dict.fromkeys(("s3", "s3a"), ("ETag",)),
    **dict.fromkeys(("gs", "gcs"), ("md5Hash", "generation")),
    **dict.fromkeys(("abfs", "abfss", "az"), ("etag",)),
}
_CHANGE_NAMES = ("LastModified", "last_modified", "updated", "mtime")  # of a listing, by kind of store
_HEAD_BYTES, _SMALL_BYTES = 1 << 16, 1 << 20  # fetched first of a file; of a small one all of it
_MEMORY_BYTES = 16 << 20  # of a file being written; more of it is kept on disk
# Of an upload: parts are sent side by side, each of them held in memory.
_UPLOAD_OPTIONS = {"chunksize": 32 << 20, "max_concurrency": 3}
_SINGLY = 8  # so many files are removed by a request each


def find_info(url: str) -> Info | None:
    """What a store says of a file or folder; None where nothing stands there."""
    view = remote_view.current()
    known = view.find(url) if view else UNKNOWN
    if known is not UNKNOWN:
        return known
    try:
        info: Info = call(url, lambda fs, path: fs.info(path))
    except FileNotFoundError:
        if view:
            view.put_nothing(url)
        return None
    if view and info["type"] == "file":
        view.put(url, info)
    return info


def info_of(url: str) -> Info:
    """As ``find_info``. Raises FileNotFoundError where nothing stands there."""
    if (info := find_info(url)) is None:
        raise _no_file(url)
    return info


def _no_file(url: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)


def size(url: str) -> int:
    """Bytes of a file; where its server does not say, it is fetched for it."""
    found = info_of(url)["size"]
    return len(read_bytes(url)) if found is None else int(found)


def list_below(folder: str) -> None:
    """Lets all that is asked about a folder in this ``remembering`` be answered from one listing."""
    view = remote_view.current()
    if view is not None and not view.has(folder):
        view.add_listing(folder, _find_below(folder))


def _find_below(folder: str) -> dict[str, Info]:
    """All files below a folder, by URL; empty where there is no such folder."""

    def find(fs: Any, path: str) -> dict[str, Info]:
        if is_object_store(folder):  # one request for a thousand names, none more where there are none
            above, _, name = path.rstrip("/").rpartition("/")
            found = fs.find(above, prefix=f"{name}/", detail=True)
        else:
            found = fs.find(path, detail=True)
        stripped = path.rstrip("/")
        return {
            f"{folder.rstrip('/')}{name.removeprefix(stripped)}": info
            for name, info in found.items()
            if name.startswith(f"{stripped}/") and not name.endswith("/")
        }

    with suppress(FileNotFoundError):
        return call(folder, find)
    return {}


def list_names(folder: str) -> list[str]:
    """Names of what a folder holds, sorted; empty where there is no such folder."""
    view = remote_view.current()
    if view and (names := view.names(folder)) is not None:
        return names
    try:
        stripped, found = call(
            folder, lambda fs, path: (path.rstrip("/"), fs.ls(path.rstrip("/"), detail=False))
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    own = [path.rstrip("/") for path in found]
    return sorted(path.rpartition("/")[2] for path in own if path != stripped)


def last_changes(folder: str) -> dict[str, float]:
    """When each file below a folder was written, in seconds since 1970 by its server's clock."""
    found = {}
    for url, info in _find_below(folder).items():
        moment = next((info[name] for name in _CHANGE_NAMES if info.get(name)), None)
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        found[url] = moment.timestamp() if isinstance(moment, datetime) else time.time()
    return found


def expand(folder: str, pattern: str) -> list[str]:
    """Files of an object store below a folder whose names from there match a pattern, or are it.

    One listing: of the folder, or of all that is below it where the pattern is one of folders, too.
    """
    found = _find_below(folder) if "/" in pattern else _list_files(folder)
    if (view := remote_view.current()) is not None:
        for url, info in found.items():
            view.put(url, info)
    if (literal := f"{folder}/{pattern}") in found:
        return [literal]
    return [url for url in found if matches(url.removeprefix(f"{folder}/"), pattern)]


def _list_files(folder: str) -> dict[str, Info]:
    """The files in a folder of an object store, by URL; empty where there is no such folder."""

    def entries(fs: Any, path: str) -> dict[str, Info]:
        stripped = path.rstrip("/")
        return {
            f"{folder}{info['name'].removeprefix(stripped)}": info
            for info in fs.ls(stripped, detail=True)
            if info["type"] == "file" and info["name"].startswith(f"{stripped}/")
            if not info["name"].endswith("/")
        }

    with suppress(FileNotFoundError, NotADirectoryError):
        return call(folder, entries)
    return {}


def glob(pattern: str) -> list[str]:
    """Files that match a pattern, as fsspec finds them."""

    def matching(fs: Any, path: str) -> dict[str, Info]:
        found = fs.glob(path, detail=True)
        return {fs.unstrip_protocol(name): info for name, info in found.items() if info["type"] == "file"}

    found = call(pattern, matching)
    if (view := remote_view.current()) is not None:
        for url, info in found.items():
            view.put(url, info)
    return [*found]


def make_folder(folder: str) -> None:
    """Makes a folder and those above it; object stores have none to make, and no bucket is made there."""
    if not is_object_store(folder):
        call(folder, lambda fs, path: fs.makedirs(path, exist_ok=True))


def remove(url: str) -> None:
    """Removes a file or a whole folder, if it is there."""
    view = remote_view.current()
    if view and view.has(url):
        urls = view.below(url)
    elif is_object_store(url):
        with remote_view.remembering() as own:
            list_below(url)
            urls = [*own.below(url), url]
    else:
        call(url, lambda fs, path: fs.rm(path, recursive=True) if fs.exists(path) else None)
        return
    if len(urls) <= _SINGLY:
        for one in urls:
            remove_file(one)
        return
    _remove_many(url, urls)


def remove_file(url: str) -> None:
    """Removes a file that is no folder, if it is there: one request."""
    view = remote_view.current()
    if view and view.find(url) is None:
        return
    with suppress(FileNotFoundError):
        call(url, lambda fs, path: fs.rm_file(path))
    if view:
        view.drop(url)


def _remove_many(top: str, urls: list[str]) -> None:
    patterns = [*filter(has_wildcard, urls)]  # as the library would take them; it would remove others
    plain = [url for url in urls if not has_wildcard(url)]
    with ThreadPoolExecutor(MOST_REQUESTS) as pool:
        list(pool.map(remove_file, patterns))

    def remove(fs: Any, path: str) -> list[str]:
        if plain:
            fs.rm([fs._strip_protocol(url) for url in plain])
        above, _, name = path.rstrip("/").rpartition("/")
        return list(fs.find(above, prefix=f"{name}/"))  # errors of single files are not told

    if left := call(top, remove):
        raise RemoteError(errno.EACCES, f"{len(left):,} files below it cannot be removed ({left[0]})", top)
    if (view := remote_view.current()) is not None:
        view.drop(top)


def content_tag(url: str) -> str | None:
    """What an object store says of a file's content, where no other content can have the same tag."""
    names = _CONTENT_TAGS.get(scheme(url))
    if names is None:
        return None
    info = info_of(url)
    return next((f"{name}:{info[name]}:{info['size']}" for name in names if info.get(name)), None)


def open_read(url: str, end: int | None = None) -> IO[bytes]:
    """Opens a file for reading bytes by ranges; ``end`` as for ``open_ranges``."""
    info = info_of(url)
    if info["type"] != "file":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), url)
    if info["size"] is None or info.get("partial") is False:  # a server that does not know ranges
        return _fetched(url)
    head, view = b"", remote_view.current()
    if view is not None:
        if url not in view.heads:
            whole = info["size"] if info["size"] <= _SMALL_BYTES else _HEAD_BYTES
            view.keep_head(url, read_range(url, 0, whole, _version_tag(url, info)))
        head = view.heads[url]
    return open_ranges(url, info["size"], end, head, _version_tag(url, info))


def _version_tag(url: str, info: Info) -> str | None:
    """By which a store gives this version of a file and no other, as far as it is known."""
    return (info.get("ETag") or None) if is_s3(url) else None


def _fetched(url: str) -> IO[bytes]:
    """The whole of a file, in one that has no name."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the caller's to close)
    path = f"/dev/fd/{file.fileno()}"
    call(url, lambda fs, remote: fs.get_file(remote, path))
    file.seek(0)
    return file


def read_bytes(url: str) -> bytes:
    """The whole of a file, in one request."""
    view = remote_view.current()
    if view and view.find(url) is None:
        raise _no_file(url)
    return bytes(call(url, lambda fs, path: fs.cat_file(path)))


@contextmanager
def write_atomically(url: str) -> Iterator[Any]:
    """Opens a file for writing; it appears, whole, only when the block ends without an error.

    What is written is kept here until then, so that sending it can be tried again.
    """
    filesystem(url)  # before work is done for nothing
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as file:
        yield file
        num_bytes = file.tell()
        if num_bytes <= _MEMORY_BYTES:
            file.seek(0)
            content = file.read()
            call(url, lambda fs, path: fs.pipe_file(path, content))
        else:
            file.flush()
            options = _UPLOAD_OPTIONS if is_s3(url) else {}

            def send(fs: Any, path: str) -> None:
                file.seek(0)
                fs.put_file(f"/dev/fd/{file.fileno()}", path, **options)

            call(url, send)
    if (view := remote_view.current()) is not None:
        view.put(url, {"type": "file", "size": num_bytes})


def create(url: str, content: bytes) -> None:
    """Writes a file that is not there. Raises FileExistsError where it is."""
    call(url, lambda fs, path: fs.pipe_file(path, content, mode="create"))


def map_bytes(url: str) -> np.ndarray:
    """The whole of a file as a read-only uint8 array, on this machine's disk."""
    num_bytes, tag = size(url), _version_tag(url, info_of(url))
    with tempfile.TemporaryFile() as file:
        file.truncate(num_bytes)
        download(url, num_bytes, file.fileno(), tag)
        return local_files.map_bytes(f"/dev/fd/{file.fileno()}")


def map_copy(url: str, num_bytes: int, xxh128: str) -> np.ndarray:
    """A file of which size and hash are known, from this machine's cache; compared with them.

    Raises:
        ShorterError: It has fewer bytes.
        DifferentError: It has another hash.
        CacheFullError: There is no room for it.
    """
    return cache.fetch(url, num_bytes, xxh128, lambda descriptor: download(url, num_bytes, descriptor))
