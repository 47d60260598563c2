"""Reading JSON files of ours, which people and other programs may have changed: every mistake is named."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError


def read_checked(path: str, adapter: TypeAdapter[Any], expected_format: str, hint: str) -> Any:
    """The manifest in a JSON file, as ``adapter`` makes it.

    Args:
        path: The file.
        adapter: Its type.
        expected_format: What its field ``format`` must be.
        hint: What a folder without the file is, for the message.

    Raises:
        SeqmillError: There is no such file, it is of another format, or not valid.
    """
    try:
        content = files.read_json(path)
    except FileNotFoundError:
        raise SeqmillError(f"{files.parent(path)}: no {files.name(path)}: {hint}") from None
    check_format(content, path, expected_format)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SeqmillError(f"{path}: {where}: {first['msg']}") from None


def check_format(content: Any, path: str, expected_format: str) -> None:
    """Raises SeqmillError where the content of a JSON file is not of the format that it must have."""
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected_format:
        raise SeqmillError(f"{path}: format is {found!r}, expected {expected_format!r}")
