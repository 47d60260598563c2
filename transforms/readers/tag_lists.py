"""Lists of tags that choose sequences: only those listed, or all but those listed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from seqmill.transforms.planning.distinct import distinct
from seqmill.transforms.readers.fields import get_field
from seqmill.transforms.readers.lines import LongLine, line_blocks, split_lines
from seqmill.transforms.readers.split import DamagedFileError, Reader, Record, TagLists, named_errors
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

NOT_IN_ONLY, IN_NOT = "not in only_tags", "in not_tags"
_LONGEST_TAG = 1 << 20


class SelectedReader(Reader):
    """Reads what another reader reads, but for sequences that lists of tags leave out.

    ``dropped`` counts these, by the list. What has no tag is left to whoever asks for it.

    Args:
        reader: The other one, which is asked for the tag's field as well.
        lists: The lists.
    """

    def __init__(self, reader: Reader, lists: TagLists):
        super().__init__(reader.split)
        self._reader, self._lists = reader, lists

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (position, record or reject)."""
        reader, lists = self._reader, self._lists
        only = None if lists.only is None else _read(lists.only, _version(lists.only))
        others = None if lists.others is None else _read(lists.others, _version(lists.others))
        for position, record in reader:
            self.num_bytes = reader.num_bytes
            if not isinstance(record, RejectedSequence):
                tag = _hash_of_tag(record, lists.field)
                if tag is not None and only is not None and not _has(only, tag):
                    self.dropped[NOT_IN_ONLY] += 1
                    continue
                if tag is not None and others is not None and _has(others, tag):
                    self.dropped[IN_NOT] += 1
                    continue
            yield position, record
        self.num_positions, self.num_records = reader.num_positions, reader.num_records
        self.num_bytes, self.damaged = reader.num_bytes, reader.damaged


@lru_cache(maxsize=4)
def _read(path: str, version: object) -> np.ndarray:
    """Hashes of the tags that a version of a file lists, one a line, sorted, uint64 [n].

    Raises:
        SeqmillError: It cannot be read, is damaged, or lists nothing.
    """
    hashes: list[np.ndarray] = []
    try:
        for block in line_blocks(path, max_line=_LONGEST_TAG):
            if isinstance(block, LongLine):
                raise SeqmillError(f"{path}: a line of {block.num_bytes:,} bytes; expected one tag a line")
            tags = [line.strip() for line in split_lines(block)]
            hashes.append(np.array([xxhash.xxh3_64_intdigest(tag) for tag in tags if tag], np.uint64))
    except DamagedFileError as error:
        raise SeqmillError(f"{path}: the list of tags is damaged ({error})") from None
    found = distinct(np.concatenate([np.empty(0, np.uint64), *hashes]))
    if len(found) == 0:
        raise SeqmillError(f"{path}: expected one tag a line, found none")
    return found


def _version(path: str) -> object:
    """Tells a file from what it was before."""
    if not files.is_local(path):
        return files.content_tag(path)
    with named_errors(path):
        status = Path(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _has(hashes: np.ndarray, tag: int) -> bool:
    place = int(hashes.searchsorted(np.uint64(tag)))
    return place < len(hashes) and int(hashes[place]) == tag


def _hash_of_tag(record: Record, field: str) -> int | None:
    try:
        value: Any = get_field(record, field)
    except RejectedSequence:
        return None
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        value = value.encode(errors="surrogatepass")
    return xxhash.xxh3_64_intdigest(value.strip()) if isinstance(value, bytes) else None
