"""A cache of remote files on this machine, bounded in size, shared by its processes.

It is in the user's ``private_folder``; ``SEQMILL_CACHE_BYTES`` is the bound (default 20 GB).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from seqmill.transforms.storage.private_folder import private_folder

DEFAULT_BYTES = 20_000_000_000


def fetch(fs: Any, path: str, signature: list[Any]) -> str:
    """The local copy of a remote file, fetched if it is not there in this version.

    Args:
        fs: The fsspec file system.
        path: The file's path on it.
        signature: Tells versions of the file apart.
    """
    folder = private_folder("remote")
    key = hashlib.blake2b(repr((fs.unstrip_protocol(path), signature)).encode(), digest_size=16).hexdigest()
    cached = folder / key
    if cached.exists():
        os.utime(cached)
        return str(cached)
    make_room(folder, int(signature[0]))
    temporary = folder / f"{key}.{os.getpid()}-{secrets.token_hex(4)}"
    try:
        fs.get_file(path, str(temporary))
        temporary.replace(cached)
    finally:
        temporary.unlink(missing_ok=True)
    return str(cached)


def make_room(folder: Path, needed: int) -> None:
    """Removes the files used longest ago until ``needed`` more bytes fit the bound.

    A file that another process has mapped stays readable there after it is removed.
    """
    bound = int(os.environ.get("SEQMILL_CACHE_BYTES") or DEFAULT_BYTES)
    entries = []
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat()
            entries.append((status.st_mtime, status.st_size, entry))
    total = sum(entry[1] for entry in entries)
    for _, entry_size, entry in sorted(entries, key=lambda entry: entry[0]):
        if total + needed <= bound:
            return
        entry.unlink(missing_ok=True)
        total -= entry_size
