"""Tar shards of WebDataset: members with the same name up to the first dot are a record, by their endings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from seqmill.transforms.readers.compression import codec_of, decompressed, read_head
from seqmill.transforms.readers.file_kind import kind_of
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Reader,
    ReadOptions,
    Record,
    Split,
    even_cuts,
    named_errors,
    single_file_split,
    starts_behind,
)
from seqmill.transforms.readers.tar import BLOCK, Gap, Member, TarStream, is_tar, members
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

TAG = "seq_tag"
_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
_META = re.compile(r"(?:^|/)__[^/]*__(?:$|/)")
_TEXT = ("txt", "text", "transcript")
_NUMBER = ("cls", "cls2", "class", "count", "index", "inx", "id")
_JSON = ("json", "jsn")


def split_webdataset(path: str, target_bytes: int, options: ReadOptions) -> list[Split]:
    """Runs of records of a local plain archive, found by its headers; a compressed or remote one as a whole.

    Raises:
        SeqmillError: It is missing, or no tar archive.
    """
    whole = single_file_split("webdataset", path, options)
    try:
        codec = codec_of(path)
        head = read_head(path, BLOCK) if codec is None else b"".join(_first(decompressed(path, codec)))
    except DamagedFileError:
        return [whole]  # its reader says what is damaged
    if not is_tar(head):
        kind = kind_of(head) or "something else"
        raise SeqmillError(f"{path}: this is {kind}; format webdataset expects a tar archive")
    if codec is not None:
        return [whole]
    with named_errors(path):
        content = files.map_bytes(path)
    targets = even_cuts(len(content), target_bytes)[1:-1]
    starts = [0, *starts_behind(targets, _record_starts(content))]
    ends: list[int | None] = [*starts[1:], None]
    return [
        single_file_split("webdataset", path, options, start, end)
        for start, end in zip(starts, ends, strict=True)
    ]


def field_names(split: Split, num_records: int) -> list[str]:
    """The endings of the members of a split's first records."""
    keys: set[str] = set()
    found: dict[str, None] = {}
    for member in members(TarStream(_chunks(split), split.starts[0]), split.ends[0]):
        name = None if isinstance(member, Gap) or member.kind != "file" else _NAME.fullmatch(member.name)
        if name is None or _META.search(name[0]):
            continue
        keys.add(name[1])
        if len(keys) > num_records:
            break
        found.setdefault(name[2].lower())
    return list(found)


def _record_starts(content: np.ndarray) -> Iterator[int]:
    """Yields where the first member of each record begins."""
    key = None
    for member in members(TarStream([content])):
        if isinstance(member, Gap):
            continue
        name = _NAME.fullmatch(member.name)
        if name is not None and name[1] != key:
            key = name[1]
            yield member.start


class WebDatasetReader(Reader):
    """Reads a run of records of an archive.

    A record has ``seq_tag`` (the name of its members up to the first dot) and a field per ending: text for
    ``txt``, a number for ``cls``, what is in a ``json``, else bytes. Endings that nobody asks for are passed
    over. Links and whatever else is no file reject their record.

    Args:
        split: What to read.
        fields: Names of the fields that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._fields = list(fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (record number, record or reject)."""
        start, end = self.split.starts[0], self.split.ends[0]
        stream = TarStream(_chunks(self.split), start)
        position, record = 0, None
        for member in members(stream, end):
            if isinstance(member, Gap):
                self.lose(member.detail)
                continue
            name = _NAME.fullmatch(member.name)
            if member.kind == "folder" or name is None or _META.search(member.name):
                continue
            if record is not None and record.key != name[1]:
                yield position, record.finished()
                position, record = position + 1, None
            if record is None:
                record = _Record(name[1], self.split.options)
            self._add(record, name[2].lower(), member, stream)
        if record is not None:
            yield position, record.finished()
            position += 1
        self.num_positions = self.num_records = position

    def _add(self, record: _Record, ending: str, member: Member, stream: TarStream) -> None:
        record.endings.append(ending)
        if not any(name == ending or name.startswith(f"{ending}.") for name in self._fields):
            return
        if member.kind != "file":
            record.reject(f"a {member.kind} in the archive", member.name)
        elif record.has_room(member.size):
            content = stream.take(member.size)
            self.num_bytes += len(content)
            if len(content) < member.size:
                record.reject("broken record", f"{member.name} ends behind the archive's end")
            else:
                record.add(ending, content)


@dataclass
class _Record:
    """A record of which members are still to come."""

    key: str
    options: ReadOptions
    endings: list[str] = field(default_factory=list)
    _values: dict[str, Any] = field(default_factory=dict)
    _num_bytes: int = 0
    _rejected: RejectedSequence | None = None

    def has_room(self, num_bytes: int) -> bool:
        """Whether a member of so many bytes may be added; else the record is rejected."""
        self._num_bytes += num_bytes
        if self._num_bytes > self.options.max_record_size:
            self._rejected = self._rejected or self.options.too_large("a record", self._num_bytes)
        return self._rejected is None

    def add(self, ending: str, content: bytes) -> None:
        try:
            self._values[ending] = _decoded(ending.rpartition(".")[2], content)
        except (ValueError, RecursionError) as error:
            self.reject(f"not valid {ending}", str(error)[:200])

    def reject(self, reason: str, detail: str) -> None:
        self._rejected = self._rejected or RejectedSequence(reason, detail)

    def finished(self) -> Record | RejectedSequence:
        """The record, or why there is none."""
        twice = sorted({ending for ending in self.endings if self.endings.count(ending) > 1})
        if twice and self._rejected is None:
            return RejectedSequence("a field occurs twice", f"{', '.join(twice)} of {self.key!r}")
        return self._rejected or {TAG: self.key, **self._values}


def _decoded(kind: str, content: bytes) -> Any:
    if kind in _TEXT:
        return content.decode()
    if kind in _NUMBER:
        return int(content.decode("ascii").replace("_", "?"))
    if kind in _JSON:
        return orjson.loads(content)
    return content


def _chunks(split: Split) -> Iterator[np.ndarray]:
    path = split.source
    codec = codec_of(path)
    if codec is None:
        with named_errors(path):
            # Beyond the split's end too, as its last record may go on there.
            yield from files.read_blocks(path, split.starts[0], files.size(path))
    else:
        yield from (np.frombuffer(piece, np.uint8) for piece in decompressed(path, codec))


def _first(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if size >= BLOCK:
            return
