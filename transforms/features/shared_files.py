"""Files that many records name parts of: each is hashed once."""

from __future__ import annotations

from functools import lru_cache

from seqmill.transforms.features.sound.source import full_path
from seqmill.transforms.storage.content_hash import ContentHashes


def shared_hash(name: str, folder: str) -> str:
    """What tells the content of a file that records name from others, remembered for all its parts.

    Args:
        name: As records have it.
        folder: Folder or URL that a relative path starts from.
    """
    hashes = _hashes()
    digest = hashes.of(full_path(name, folder))
    hashes.remember()
    return digest


@lru_cache(maxsize=1)
def _hashes() -> ContentHashes:
    return ContentHashes()
