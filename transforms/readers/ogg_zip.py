"""Zip archives of RETURNN's ``OggZipDataset``: sound files, and a list of dicts that says what is said."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any

from seqmill.transforms.readers.file_kind import ZIP, check_magic
from seqmill.transforms.readers.python_literals import dict_texts, literal_dict
from seqmill.transforms.readers.split import (
    DamagedFileError,
    Reader,
    ReadOptions,
    Record,
    Split,
    is_damage,
    named_errors,
    single_file_split,
)
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

TAG, AUDIO = "seq_tag", "audio"
_READ_BYTES = 1 << 18
_MOST_SPLITS = 200  # each reads the archive's list of files
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def split_ogg_zip(path: str, target_bytes: int, options: ReadOptions) -> list[Split]:
    """Runs of entries of an archive.

    Raises:
        SeqmillError: It is missing, no zip archive, or has no list of its entries.
    """
    with _open(path) as archive:
        entries, num_entries = _entries(path, archive), 0
        try:
            for _ in entries:
                num_entries += 1
        except DamagedFileError:
            pass  # The last split's reader comes across it and reports it.
        num_bytes = sum(info.file_size for info in archive.infolist())
    count = max(1, min(_MOST_SPLITS, num_entries, -(-num_bytes // target_bytes)))
    starts = [num_entries * part // count for part in range(count)]
    return [
        single_file_split("ogg_zip", path, options, start, end)
        for start, end in pairwise([*starts, None])
        if start is not None
    ]


class OggZipReader(Reader):
    """Reads a run of entries of an archive.

    A record is the entry with all that it says (``text``, ``duration``, ``file``), ``seq_tag`` (its
    ``seq_name``, else its ``file``) and, where it is asked for, the sound file in ``audio``.

    Args:
        split: What to read.
        fields: Names of the fields that will be asked for.
    """

    def __init__(self, split: Split, fields: Sequence[str]):
        super().__init__(split)
        self._has_audio = any(field.split(".")[0] == AUDIO for field in fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (entry, record or reject)."""
        position, path = 0, self.split.source
        with _open(path) as archive:
            folder = _list_of_entries(path, archive).filename.removesuffix(".txt")
            try:
                for text in islice(_entries(path, archive), self.split.starts[0], self.split.ends[0]):
                    try:
                        if isinstance(text, RejectedSequence):
                            raise text
                        self.num_bytes += len(text)
                        record: Record | RejectedSequence = self._record(archive, folder, literal_dict(text))
                    except RejectedSequence as error:
                        record = error
                    yield position, record
                    position += 1
            except DamagedFileError as error:
                self.lose(f"its list of entries: {error}")
        self.num_positions = self.num_records = position

    def _record(self, archive: zipfile.ZipFile, folder: str, entry: dict[Any, Any]) -> Record:
        record = {name: value for name, value in entry.items() if isinstance(name, str)}
        tag = record.get("seq_name", record.get("file"))
        if not isinstance(tag, str):
            raise RejectedSequence("missing field", "seq_name or file, as text")
        record[TAG] = tag
        if self._has_audio:
            name = record.get("file")
            if not isinstance(name, str):
                raise RejectedSequence("missing audio file", "the entry has no file, as text")
            record[AUDIO] = {"bytes": self._content(archive, folder, name), "path": name}
        return record

    def _content(self, archive: zipfile.ZipFile, folder: str, name: str) -> bytes:
        names = (f"{folder}/{name}", name)
        info = next((archive.NameToInfo[n] for n in names if n in archive.NameToInfo), None)
        if info is None:
            raise RejectedSequence("missing audio file", f"{name} is not in the archive")
        if info.file_size > self.split.options.max_record_size:
            raise self.split.options.too_large(name, info.file_size)
        _check_readable(info)
        try:
            with archive.open(info) as file:
                content = file.read(info.file_size + 1)
        except (*_BAD_ZIP, OSError) as error:
            if not is_damage(error):
                raise
            raise RejectedSequence("broken record", f"{name}: {error}") from None
        if len(content) != info.file_size:
            detail = f"{name}: {len(content):,} bytes, the archive's list says {info.file_size:,}"
            raise RejectedSequence("broken record", detail)
        self.num_bytes += len(content)
        return content


@contextmanager
def _open(path: str) -> Iterator[zipfile.ZipFile]:
    check_magic(path, ZIP, "ogg_zip", "a zip archive of RETURNN")
    with named_errors(path), files.open_read(path) as source:
        try:
            archive = zipfile.ZipFile(source)
        except (*_BAD_ZIP, OSError, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise
            raise SeqmillError(f"{path}: not a readable zip archive ({error})") from None
        with archive:
            yield archive


def _entries(path: str, archive: zipfile.ZipFile) -> Iterator[str | RejectedSequence]:
    """The text of every entry in the archive's list. Raises DamagedFileError, SeqmillError."""
    info = _list_of_entries(path, archive)
    return dict_texts(_pieces(archive, info))


def _list_of_entries(path: str, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    wanted = f"{_stem(path)}.txt"
    if wanted in archive.NameToInfo:
        return archive.NameToInfo[wanted]
    texts = [
        info for info in archive.infolist() if "/" not in info.filename and info.filename.endswith(".txt")
    ]
    if len(texts) != 1:
        found = ", ".join(info.filename for info in texts[:3]) or "none"
        raise SeqmillError(
            f"{path}: expected {wanted}, the list of its entries; of such files it has {found}"
        )
    return texts[0]


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        _check_readable(info)
        with archive.open(info) as file:
            while piece := file.read(_READ_BYTES):
                yield piece
    except RejectedSequence as error:
        raise DamagedFileError(f"{info.filename}: {error.detail}") from None
    except (*_BAD_ZIP, OSError) as error:
        if not is_damage(error):
            raise
        raise DamagedFileError(f"{info.filename}: {error}") from None


def _check_readable(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 1:
        raise RejectedSequence("broken record", f"{info.filename} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RejectedSequence(
            "broken record", f"{info.filename} is compressed by method {info.compress_type}"
        )


def _stem(path: str) -> str:
    return files.name(path).rsplit(".", 1)[0]
