"""Files that records name, of audio: a change behind an unchanged manifest is noticed by their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import orjson

from seqmill.transforms.features.sound.source import full_path
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.store.ingest import IngestTask
from seqmill.transforms.store.split_receipt import named_files_part, read_receipt

_THREADS = 8


def find_changed(folder: str, tasks: Iterable[IngestTask], hashes: ContentHashes) -> list[IngestTask]:
    """The finished splits whose records name files that have changed since, came or went.

    Args:
        folder: The store's folder.
        tasks: The splits.
        hashes: Of inputs.
    """
    return changed_among(((task, _read(folder, task)) for task in tasks), hashes)


def changed_among(
    named: Iterable[tuple[IngestTask, Mapping[str, str | None]]],
    hashes: ContentHashes,
) -> list[IngestTask]:
    """The splits of which files have changed since; of each the hashes by the names that records have."""
    changed = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for task, hashes_then in named:
            then = _by_path(task, hashes_then)
            found = pool.map(lambda path: _hash(path, hashes), then)
            if any(now != before for now, before in zip(found, then.values(), strict=True)):
                changed.append(task)
    return changed


def learn_hashes(folder: str, tasks: Iterable[IngestTask], hashes: ContentHashes, began: int) -> None:
    """Takes over what the workers of a run that began at ``began`` (nanoseconds) have hashed."""
    for task in tasks:
        for path, digest in _by_path(task, _read(folder, task)).items():
            if digest is not None and files.is_local(path):
                hashes.learn(path, digest, began)
    hashes.remember()


def _read(folder: str, task: IngestTask) -> Mapping[str, str | None]:
    """Of the files that the records of a finished split name the hashes, by name."""
    if not files.exists(named_files_part(folder, task.index)):
        return {}
    receipt = read_receipt(folder, task.index, by_size=True)
    if receipt is None or receipt.named_files is None:
        return {}
    content: Mapping[str, str | None] = orjson.loads(
        map_checked(named_files_part(folder, task.index), receipt.named_files).tobytes()
    )
    return content


def _by_path(task: IngestTask, named: Mapping[str, str | None]) -> Mapping[str, str | None]:
    start = task.split.root
    paths = {}
    for name, digest in named.items():
        with suppress(RejectedSequence):  # by its name alone, which cannot change
            paths[full_path(name, start)] = digest
    return paths


def _hash(path: str, hashes: ContentHashes) -> str | None:
    try:
        return hashes.of(path)
    except (SeqmillError, OSError, ValueError):
        return None
