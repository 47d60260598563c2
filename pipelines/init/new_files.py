"""Files that commands write where the user says, which must not replace what is there."""

from __future__ import annotations

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError


def check_free(path: str, force: bool) -> None:
    """Raises UsageError where something would be overwritten that may not be."""
    if not force and files.exists(path):
        raise UsageError(f"{path}: is there already; --force overwrites it, --output=FILE writes another")


def write(path: str, content: bytes) -> None:
    """Writes a file whole, its folder too."""
    files.make_folder(files.parent(path))
    with files.write_atomically(path) as file:
        file.write(content)
