"""Looking up a field of a record by its dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqmill.transforms.storage.errors import RejectedSequence


def get_field(record: Mapping[str, Any], dotted: str) -> Any:
    """The value of a field; dots reach into nested fields.

    A field of the record itself whose name holds the dots wins over a nested one.

    Raises:
        RejectedSequence: The record has no such field.
    """
    if dotted in record:
        return record[dotted]
    value: Any = record
    for part in dotted.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise RejectedSequence("missing field", dotted)
        value = value[part]
    return value
