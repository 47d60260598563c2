"""Which options of a configuration are paths, and where these start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqmill.transforms.features.norm import WORDS as NORM_WORDS
from seqmill.transforms.storage import files

_SECTIONS = ("data", "corpus")
_MAY_BE_NONE = ("store", "init_from", "audio_root", "only_tags", "not_tags")
_NO_PATHS = {**dict.fromkeys(_MAY_BE_NONE, ("none",)), "normalization": NORM_WORDS}
_PATHS = ("output", "model", "vocab", "tokenizer", "files", *_NO_PATHS)


def with_paths(content: dict[str, Any], folder: str) -> dict[str, Any]:
    """Makes the paths of a configuration start from its folder; leaves what is of the wrong type alone."""

    def resolved(table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        return {option: with_path(option, value, folder) for option, value in table.items()}

    content = resolved(content)
    for section in _SECTIONS:
        if isinstance(tables := content.get(section), dict):
            content[section] = {name: resolved(table) for name, table in tables.items()}
            for table in filter(_is_table, content[section].values()):
                if _is_table(mix := table.get("mix")):
                    table["mix"] = {name: resolved(one) for name, one in mix.items()}
                mixed = table["mix"].values() if _is_table(table.get("mix")) else ()
                for source in filter(_is_table, (table, *mixed)):
                    if _is_table(joins := source.get("join")):
                        source["join"] = resolved(joins)
                    elif isinstance(joins, list):
                        source["join"] = [resolved(one) for one in joins]
    return content


def with_path(option: str, value: Any, folder: str) -> Any:
    """The value of an option, where it is a path made to start from a folder."""
    if option not in _PATHS or value in _NO_PATHS.get(option, ()):
        return value
    if option == "vocab" and isinstance(value, str) and value.startswith("@"):
        return value
    return _absolute(value, folder)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _absolute(value: Any, folder: str) -> Any:
    if isinstance(value, str) and value:
        path = files.join(folder, value)
        return str(Path(path).absolute()) if files.is_local(path) else path
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value
