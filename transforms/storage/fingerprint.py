"""Fingerprints: short hashes of everything that decides a file's bytes, to notice what has changed."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson


def fingerprint(*parts: Any) -> str:
    """A hash of JSON-like values, dataclasses and tuples included, as 32 hex digits."""
    content = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
