"""What Hugging Face's ``datasets`` says of the data that it writes: names of classes, files of a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_STATE, _SPLITS = "state.json", "dataset_dict.json"
_MOST_LABELS = 1 << 24


def class_names(path: str, schema: pa.Schema, field: str) -> tuple[str, ...] | None:
    """The names of a ``ClassLabel``'s classes; None where a field is none.

    Args:
        path: The file, for messages.
        schema: Its schema, which says so in its metadata.
        field: Dotted name of the field; of a list of classes as well.

    Raises:
        SeqmillError: The names cannot be labels of a vocabulary.
    """
    feature = _feature(schema, field)
    while isinstance(feature, Mapping) and isinstance(feature.get("feature"), Mapping):
        feature = feature["feature"]
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if not isinstance(feature, Mapping) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    if not isinstance(names, list) or not names or len(names) > _MOST_LABELS:
        return None
    labels = tuple(name for name in names if isinstance(name, str) and name)
    if len(set(labels)) < len(names):
        raise SeqmillError(f"{path}: the ClassLabel {field} has names that are empty, there twice or no text")
    return labels


def files_in_folder(folder: str) -> list[str]:
    """The files of a folder that ``save_to_disk`` wrote, in order.

    Raises:
        SeqmillError: It holds several data sets, or rows that are chosen by indices.
    """
    splits = files.join(folder, _SPLITS)
    if files.is_file(splits):
        names = _read(splits).get("splits")
        raise SeqmillError(f"{folder}: it holds several data sets ({names}); name the folder of one")
    state = files.join(folder, _STATE)
    if not files.is_file(state):
        names = [name for name in files.list_names(folder) if name.endswith(".arrow")]
        return [files.join(folder, name) for name in names]
    return [files.inside(folder, name) for name in _data_files(state)]


def check_listed(path: str) -> None:
    """Refuses a file that the ``state.json`` beside it does not list, a cache, say. Raises SeqmillError."""
    state = files.join(files.parent(path), _STATE)
    if files.is_file(state) and files.name(path) not in _data_files(state):
        raise SeqmillError(f"{path}: the {_STATE} beside it does not list it as a part of the data set")


def _feature(schema: pa.Schema, field: str) -> Any:
    content = (schema.metadata or {}).get(b"huggingface")
    try:
        feature: Any = orjson.loads(content)["info"]["features"] if content else None
        for part in (field,) if field in (feature or ()) else field.split("."):
            while isinstance(feature, Mapping) and "_type" in feature and "feature" in feature:
                feature = feature["feature"]
            if not part.isdecimal():
                feature = feature[part]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    return feature


def _data_files(state: str) -> list[str]:
    content = _read(state)
    for name in ("_indices_files", "_indices_data_files"):
        if content.get(name):
            raise SeqmillError(f"{state}: its rows are chosen by indices; save it after flatten_indices()")
    listed = content.get("_data_files")
    names = []
    for entry in listed if isinstance(listed, list) else [None]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("filename"), str):
            raise SeqmillError(f"{state}: expected a list of files in _data_files")
        names.append(entry["filename"])
    return names


def _read(path: str) -> Mapping[str, Any]:
    content = files.read_json(path)
    if not isinstance(content, Mapping):
        raise SeqmillError(f"{path}: expected an object")
    return content
