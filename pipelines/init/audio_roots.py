"""Where paths in records start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_BELOW = ("", "clips", "wavs", "wav", "audio", "flac", "data")
_MOST_UP = 3


def root_finder(folder: str, given: Sequence[str]) -> Callable[[Sequence[str]], str | None]:
    """Finds the folder from which paths lead to files: that of the records, those near it, and those given.

    Args:
        folder: Folder of the file that names the paths.
        given: Further folders.

    Returns:
        A function of some paths; None where the first of them leads nowhere.
    """
    above, folders = folder, [files.join(folder, name) if name else folder for name in _BELOW]
    for _ in range(_MOST_UP):
        above = files.join(above, "..") if files.is_local(above) else files.parent(above)
        folders.append(above)
    folders += [*given, "."]

    def find(paths: Sequence[str]) -> str | None:
        name = re.sub(r"(\.ark):\d+(\[[\d:,]+\])?$", r"\1", paths[0])
        return next((root for root in folders if _is_file(files.join(root, name))), None)

    return find


def _is_file(path: str) -> bool:
    try:
        return files.is_file(path)
    except (OSError, ValueError, SeqmillError):
        return False
