"""Which run a folder belongs to: what is left over of an earlier one must not overwrite what is newer."""

from __future__ import annotations

from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError


def begin_run(folder: str, run: str) -> None:
    """Makes ``run`` (a hash of all that a run is to write) the one that a corpus folder belongs to."""
    path = output_folder.run_path(folder)
    if _read(path) != run:
        files.write_json(path, {"run": run})


def check_run(folder: str, run: str) -> None:
    """Called right before a file appears under its final name.

    Raises:
        SeqmillError: The folder belongs to another run by now.
    """
    if _read(output_folder.run_path(folder)) != run:
        raise SeqmillError(
            f"{folder}: another run with other options or input has begun here; this one ends without a trace"
        )


def _read(path: str) -> str | None:
    try:
        content = files.read_json(path)
    except (FileNotFoundError, SeqmillError):
        return None
    return content.get("run") if isinstance(content, dict) else None
