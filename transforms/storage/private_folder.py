"""This user's folder for what can be had again: copies of remote files, hashes of inputs.

``SEQMILL_CACHE`` names it; by default it is where the system keeps such things of a user's
(``~/.cache/seqmill``).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import platformdirs

from seqmill.transforms.storage.errors import SeqmillError


def private_folder(name: str) -> Path:
    """A folder in the cache that nobody else can write to; made if it is not there.

    Raises:
        SeqmillError: It cannot be made, is a link, or belongs to or can be written by somebody else.
    """
    given = os.environ.get("SEQMILL_CACHE")
    top = Path(given) if given else platformdirs.user_cache_path("seqmill")
    folder = top / name
    try:
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        _check(top, follow=True)
        _check(folder, follow=False)
    except OSError as error:
        raise SeqmillError(
            f"{folder}: no folder for copies ({error.strerror}); SEQMILL_CACHE names another"
        ) from None
    return folder


def _check(folder: Path, follow: bool) -> None:
    status = folder.stat(follow_symlinks=follow)
    problem = ""
    if not stat.S_ISDIR(status.st_mode):
        problem = "is no folder, or a link"
    elif status.st_uid != os.getuid():
        problem = f"belongs to the user with number {status.st_uid}"
    elif status.st_mode & 0o022:
        problem = f"can be written by others (mode {stat.S_IMODE(status.st_mode):03o})"
    if problem:
        raise SeqmillError(
            f"{folder}: this folder for copies {problem}; expected one of this user's alone: "
            "SEQMILL_CACHE names another"
        )
