"""Fingerprints: short hashes of everything that decides a file's bytes, to notice what has changed."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import orjson


def fingerprint(*parts: Any) -> str:
    """A hash of JSON-like values, dataclasses and tuples included, as 32 hex digits.

    Fields that a dataclass names in ``LEFT_OUT_IF_EMPTY`` count only where they hold something.
    """
    content = orjson.dumps(parts, _fields_of, _OPTIONS)
    return hashlib.blake2b(content, digest_size=16).hexdigest()


_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def _fields_of(value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        raise TypeError(f"no fingerprint of {type(value)}")
    may_be_left_out = getattr(value, "LEFT_OUT_IF_EMPTY", ())
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: item for name, item in found.items() if item or name not in may_be_left_out}
