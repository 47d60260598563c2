"""Looking up a field of a record by its dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np

from seqmill.transforms.storage.errors import RejectedSequence

_MOST_NAMES, _MOST_CHARACTERS = 20, 200


def get_field(record: Mapping[str, Any], dotted: str) -> Any:
    """The value of a field; dots reach into nested fields, numbers between them into lists, from 0.

    A field of the record itself whose name holds the dots wins over a nested one.

    Raises:
        RejectedSequence: The record has no such field.

    >>> get_field({"sources": [{"path": "a.wav"}]}, "sources.0.path")
    'a.wav'
    """
    if dotted in record:
        return record[dotted]
    value: Any = record
    for part in dotted.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | np.ndarray) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise RejectedSequence("missing field", f"{dotted}; there are {_names(record)}")
    return value


def _names(record: Mapping[str, Any]) -> str:
    names = ", ".join(islice(record, _MOST_NAMES)) or "no fields"
    more = len(record) > _MOST_NAMES or len(names) > _MOST_CHARACTERS
    return names[:_MOST_CHARACTERS] + "…" * more
