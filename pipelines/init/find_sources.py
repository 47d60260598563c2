"""What lies in the files and folders that are given: sources of corpora by format, sound, arrays and text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmill.pipelines.init.split_names import corpus_in_name
from seqmill.transforms.readers import split_corpus
from seqmill.transforms.readers.file_kind import binary_format, content_head, kind_of
from seqmill.transforms.readers.kaldi import MAIN_FILES
from seqmill.transforms.readers.lines import line_blocks, split_lines
from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError

SOUND_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
LOOKED_FOR = (
    "JSON lines (manifests of NeMo and Lhotse too), csv, tsv, Parquet, folders of Hugging Face's "
    "save_to_disk, Kaldi's data folders, *.trans.txt as in LibriSpeech, HDF files and Ogg zips of RETURNN, "
    "tar shards of WebDataset, TFRecord, recordings (wav, flac, ogg, opus, mp3), .npy files, and text"
)
WHOLE = 1 << 62  # bytes of a split: a file as one
_MOST_OPENED = 10_000
_DEEPEST = 30
_CODE = re.compile(
    r".*\.(py|sh|md|rst|toml|ya?ml|cfg|ini|html?|xml|css|js|ipynb|c|h|cc|cpp|java|log|lock|textgrid)"
    r"|(readme|license|licence|copying|changelog|changes|authors|makefile)\b.*",
    re.IGNORECASE,
)
_OF_HUGGING_FACE = ("dataset_dict.json", "dataset_info.json", "dataset_infos.json", "state.json")
_CUTS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")


@dataclass
class Found:
    """What there is.

    Attributes:
        sources: By format the files, or folders, each with the folder given that it was found in.
        recordings: Sound files, likewise.
        arrays: ``.npy`` files.
        texts: Files of text that are no records.
        left_out: By reason the files that are none of these.
    """

    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, path: str, reason: str) -> None:
        """Notes that a file is not used."""
        self.left_out.setdefault(reason, []).append(path)


def find_sources(paths: Sequence[str], is_own: Callable[[str], bool]) -> Found:
    """What lies in some files and folders, and below them.

    Args:
        paths: As they were given.
        is_own: Whether a path is one that seqmill writes.

    Raises:
        UsageError: One of them is not there.
    """
    walk = _Walk(Found(), is_own)
    folders = []
    for path in paths:
        if not path:
            raise UsageError("found an empty path; expected a folder or file (. is the current folder)")
        if files.is_folder(path):
            folders.append(path.rstrip("/") or "/")
        elif files.is_file(path):
            walk.given_file(path)
        else:
            raise UsageError(f"{path}: no such file or folder")
    for folder in folders:
        walk.folder(folder, folder, None, 0)
    return walk.found


@dataclass
class _Walk:
    """Looks at files and folders, one after the other."""

    found: Found
    is_own: Callable[[str], bool]
    num_opened: int = 0
    seen: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)

    def given_file(self, path: str) -> None:
        """Looks at a file that is given by its name, once, in whatever folder that is met again."""
        if _absolute(path) not in self.given:
            self.given.add(_absolute(path))
            self.file(path, files.parent(path), None, is_given=True)

    def folder(self, folder: str, root: str, corpus_folder: str | None, depth: int) -> None:
        real = os.path.realpath(folder) if files.is_local(folder) else folder
        if real in self.seen or depth > _DEEPEST:
            return
        self.seen.add(real)
        try:
            names = files.list_names(folder)
        except OSError as error:
            self.found.leave_out(folder, f"cannot be read ({error.strerror or error})")
            return
        if "pyvenv.cfg" in names:
            self.found.leave_out(folder, "an environment of Python's")
            return
        if corpus_folder is None and corpus_in_name(files.name(folder)):
            corpus_folder = folder
        if any(name in names for name in MAIN_FILES[:2]):
            self.found.sources.setdefault("kaldi", {})[folder] = root
            return
        if "state.json" in names and any(name.endswith(".arrow") for name in names):
            self.found.sources.setdefault("arrow", {})[folder] = root
            return
        for name in names:
            path = files.join(folder, name)
            if name.startswith((".", "__")) or self.is_own(path):
                continue
            if files.is_folder(path):
                self.folder(path, root, corpus_folder, depth + 1)
            elif not self.given or _absolute(path) not in self.given:
                self.file(path, root, corpus_folder)

    def file(self, path: str, root: str, corpus_folder: str | None, is_given: bool = False) -> None:
        name, found = files.name(path), self.found
        try:
            files.check_encodable(path)
        except SeqmillError as error:
            found.leave_out(path, str(error).rpartition(": ")[2])
            return
        if files.is_local(path) and not Path(path).is_file():  # a pipe, say, at which reading waits for ever
            found.leave_out(path, "no regular file")
            return
        if name.lower().endswith(SOUND_ENDINGS):
            found.recordings[path] = root
        elif name.endswith(".npy"):
            found.arrays[path] = root
        elif name.endswith(".trans.txt"):
            found.sources.setdefault("librispeech", {})[corpus_folder or root] = root
        elif (_CODE.fullmatch(name) or name in _OF_HUGGING_FACE) and not is_given:
            found.leave_out(path, "no data, by its name")
        elif self.num_opened >= _MOST_OPENED:
            found.leave_out(path, f"not looked at: {_MOST_OPENED:,} files were")
        else:
            self.num_opened += 1
            self._by_content(path, root)

    def _by_content(self, path: str, root: str) -> None:
        try:
            format = _format(path)
        except (SeqmillError, OSError) as error:
            self.found.leave_out(path, str(error).removeprefix(f"{path}: "))
            return
        if format is None:
            self.found.texts[path] = root
        else:
            self.found.sources.setdefault(format, {})[path] = root


def _absolute(path: str) -> str:
    return os.path.abspath(path) if files.is_local(path) else path  # noqa: PTH100 - links stay as they are


def _format(path: str) -> str | None:
    """The format of a file's records; None for plain text. Raises SeqmillError where it is something else."""
    head = content_head(path)
    if not head:
        raise SeqmillError("empty, or damaged")
    format = binary_format(head)
    if format in ("hdf", "ogg_zip", "arrow", "parquet"):
        split_corpus(format, [path], WHOLE)
    if format is not None:
        return format
    if kind := kind_of(head):
        raise SeqmillError(f"this is {kind}")
    if b"\0" in head:
        raise SeqmillError("no text, and of no kind known here")
    records = _first_objects(path)
    if records:
        return _format_of_objects(records[0])
    stem = re.sub(r"\.(gz|zst)$", "", path.lower())
    if head.lstrip()[:1] in (b"[", b"{") and stem.endswith((".json", ".jsonl")):
        raise SeqmillError("JSON, but not one object a line, of several")
    return next((format for format in ("csv", "tsv") if stem.endswith(f".{format}")), None)


def first_lines(path: str, most: int) -> list[bytes]:
    """The first lines of a text that are not blank, of those in its first block."""
    try:
        block = next(iter(line_blocks(path, max_line=1 << 28)), b"")
    except DamagedFileError:
        return []
    lines = split_lines(block) if isinstance(block, bytes) else []
    return [line for line in lines if line.strip()][:most]


def _first_objects(path: str) -> list[dict[str, Any]]:
    """The objects in the first lines; none where not each of them holds one.

    A ``.json`` of a single object is a setting rather than a corpus.
    """
    lines = first_lines(path, 2)
    try:
        records = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return []
    is_setting = path.endswith(".json") and len(records) < 2
    return [] if is_setting or not all(type(record) is dict for record in records) else records


def _format_of_objects(record: dict[str, Any]) -> str:
    if "id" in record:
        if record.get("type") in _CUTS or isinstance(record.get("sources"), list) or "recording" in record:
            return "lhotse"
        if "recording_id" in record and "audio" not in record:
            raise SeqmillError("supervisions of Lhotse, which are read as part of cuts (lhotse cut simple)")
    return "jsonl"
