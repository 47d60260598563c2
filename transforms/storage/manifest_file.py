"""JSON files of ours, which people and other programs may have changed: each holds its own hash.

``xxh128``, the last field, is the xxh3_128 of all other fields as JSON with sorted keys and no spaces. What
that does not cover, spaces and the order of fields, must be as ``write_sealed`` writes it.
"""

from __future__ import annotations

import errno
from typing import Any

import orjson
import xxhash
from pydantic import TypeAdapter, ValidationError

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

HASH_FIELD = "xxh128"

_NO_FILE = (errno.EISDIR, errno.EINVAL, errno.ELOOP)  # a folder, a pipe or device, a link to itself


class NoManifestError(SeqmillError):
    """There is no such JSON file of ours."""


class UnusableManifestError(SeqmillError):
    """A JSON file of ours is there, but damaged, changed, or of another version of seqmill."""


def seal(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a JSON file with its own hash."""
    rest = {name: value for name, value in content.items() if name != HASH_FIELD}
    digest = xxhash.xxh3_128_hexdigest(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
    return {**rest, HASH_FIELD: digest}


def write_sealed(path: str, adapter: TypeAdapter[Any], value: Any) -> str:
    """Writes a value as JSON with its own hash, whole or not at all.

    Args:
        path: The file.
        adapter: The value's type, which makes an object with a field ``format``.
        value: The value.

    Returns:
        The hash.
    """
    content = seal(adapter.dump_python(value, mode="json"))
    files.write_json(path, content)
    digest: str = content[HASH_FIELD]
    return digest


def read_sealed(path: str, adapter: TypeAdapter[Any], expected_format: str, hint: str) -> Any:
    """The value in a JSON file of ours, as ``adapter`` makes it.

    Args:
        path: The file.
        adapter: Its type.
        expected_format: What its field ``format`` must be.
        hint: What a folder without the file is, for the message.

    Raises:
        NoManifestError: There is no such file.
        UnusableManifestError: It is of another format, not what was written, or not valid.
    """
    content = read_sealed_json(path, expected_format, hint)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnusableManifestError(f"{path}: {where}: {first['msg']}") from None


def read_sealed_json(path: str, expected_format: str, hint: str) -> dict[str, Any]:
    """The fields of a JSON file of ours but for its hash; raises as ``read_sealed``."""
    try:
        content, as_written = files.read_json_as_written(path)
    except FileNotFoundError:
        raise NoManifestError(f"{files.parent(path)}: no {files.name(path)}: {hint}") from None
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise UnusableManifestError(f"{path}: {error.strerror}") from None
    except files.NotJsonError as error:
        raise UnusableManifestError(str(error)) from None
    check_format(content, path, expected_format)
    if seal(content)[HASH_FIELD] != content.pop(HASH_FIELD, None):
        raise UnusableManifestError(f"{path}: its content does not fit its xxh128: it was changed")
    if not as_written:
        raise UnusableManifestError(
            f"{path}: not the bytes that were written, though JSON of the same meaning"
        )
    return content


def check_format(content: Any, path: str, expected_format: str) -> None:
    """Raises UnusableManifestError where the content of a JSON file is of another format."""
    found = content.get("format") if isinstance(content, dict) else None
    if found != expected_format:
        raise UnusableManifestError(
            f"{path}: format is {found!r}, expected {expected_format!r}: another version of seqmill wrote it"
        )
