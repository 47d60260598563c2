"""Kaldi's data folders: ``wav.scp``, ``segments``, ``text``, ``utt2spk``, ``feats.scp`` and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from seqmill.transforms.readers.file_kind import check_text
from seqmill.transforms.readers.lines import is_compressed, zeros_in
from seqmill.transforms.readers.sorted_lines import SortedLines, check_sorted, keyed_lines
from seqmill.transforms.readers.split import Reader, ReadOptions, Record, Split, even_cuts
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

TAG, WAV = "seq_tag", "wav"
MAIN_FILES = ("wav.scp", "feats.scp", "text")
_OF_UTTERANCES = ("feats.scp", "wav.scp", "ali.scp", "text", "utt2spk", "utt2lang")
_SEGMENTS = "segments"
_RECORDINGS = "recordings"  # wav.scp where segments are parts of its recordings: no list of utterances


def split_kaldi(
    path: str, target_bytes: int, options: ReadOptions, fields: Sequence[str] = ()
) -> list[Split]:
    """Runs of utterances: the files that hold the wanted fields, cut before the same utterance.

    Args:
        path: A file of the folder.
        target_bytes: Size of a split in the largest of the files.
        options: How they are read.
        fields: ``wav``, and names of other files of the folder (``text``; ``feats`` for ``feats.scp``).

    Raises:
        SeqmillError: A file is missing or not sorted.
    """
    named = _files_of(path, fields)
    for _, file in named:
        check_text(file, "kaldi")
        if is_compressed(file):
            raise SeqmillError(f"{file}: it is compressed, as no file of a Kaldi folder is; unpack it")
        check_sorted(file, options.max_record_size)
    lists = [SortedLines(file) for role, file in named if role != _RECORDINGS]
    largest = max(lists, key=lambda one: one.size)
    at = [largest.start_of_line(byte) for byte in even_cuts(largest.size, target_bytes)[1:-1]]
    keys = [largest.key(start) for start in dict.fromkeys(at) if start < largest.size]
    cuts = [(0,) * len(lists), *(tuple(one.bisect(key) for one in lists) for key in keys)]
    cuts.append(tuple(one.size for one in lists))
    listed = (("", path), *named)
    return [
        Split("kaldi", listed, *_places(named, start, end), options=options) for start, end in pairwise(cuts)
    ]


def field_names(path: str) -> list[str]:
    """The fields that the folder of a file has: its files with something of every utterance."""
    names = files.list_names(files.parent(path))
    return [name.removesuffix(".scp") for name in names if name in _OF_UTTERANCES]


class KaldiReader(Reader):
    """Reads a run of utterances of a Kaldi folder.

    The utterances are all that any of the wanted files names. A record has ``seq_tag``, what stands behind
    the utterance in each file, and for ``wav`` with ``segments`` the ``offset`` and ``duration`` in the file.
    Commands in ``wav.scp`` are never executed; their utterances are rejected.
    """

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (utterance, record or reject)."""
        split, position = self.split, 0
        limit = split.options.max_record_size
        places = zip(split.files, split.starts, split.ends, strict=True)
        streams = {
            role: keyed_lines(path, start, end, limit)
            for (role, path), start, end in places
            if role not in ("", _RECORDINGS)
        }
        recordings = next((SortedLines(path) for role, path in split.files if role == _RECORDINGS), None)
        for key, values in _merged(streams):
            self.num_bytes += len(key) + sum(map(len, values.values()))
            try:
                yield position, _record(key, values, recordings)
            except RejectedSequence as error:
                yield position, error
            position += 1
        self.num_positions = self.num_records = position


def _files_of(path: str, fields: Sequence[str]) -> list[tuple[str, str]]:
    """What to read for some fields: the field, ``segments`` or ``recordings``, and the file."""
    folder = files.parent(path)
    wanted = [name for name in dict.fromkeys(field.split(".")[0] for field in fields) if name != TAG]
    found: list[tuple[str, str]] = []
    for name in wanted:
        choices = [f"{name}.scp"] if name == WAV else [name, f"{name}.scp"]
        there = next((file for file in choices if files.is_file(files.join(folder, file))), None)
        if there is None or "/" in name:
            has = ", ".join(files.list_names(folder)[:20])
            raise SeqmillError(f"{folder}: no file {' or '.join(choices)} in this Kaldi folder; it has {has}")
        segments = files.join(folder, _SEGMENTS)
        if name == WAV and files.is_file(segments):
            found += [(_SEGMENTS, segments), (_RECORDINGS, files.join(folder, there))]
        else:
            found.append((name, files.join(folder, there)))
    return found or [(files.name(path).removesuffix(".scp"), path)]


def _places(
    named: list[tuple[str, str]], start: tuple[int, ...], end: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """Where the files of a split begin and end; the one that names it is not read, nor are recordings."""
    starts, ends = iter(start), iter(end)
    placed = [(0, 0) if role == _RECORDINGS else (next(starts), next(ends)) for role, _ in named]
    return (0, *(first for first, _ in placed)), (0, *(last for _, last in placed))


def _merged(
    streams: dict[str, Iterator[tuple[bytes, bytes]]],
) -> Iterator[tuple[bytes, dict[str, bytes]]]:
    """Yields every key that a stream has, in order, with what stands behind it in each that has it."""
    heads: dict[str, tuple[bytes, bytes]] = {}
    for role, stream in streams.items():
        with suppress(StopIteration):
            heads[role] = next(stream)
    while heads:
        key = min(head[0] for head in heads.values())
        values = {role: head[1] for role, head in heads.items() if head[0] == key}
        for role in values:
            head = next(streams[role], None)
            if head is None:
                del heads[role]
            else:
                heads[role] = head
        yield key, values


def _record(key: bytes, values: dict[str, bytes], recordings: SortedLines | None) -> Record:
    try:
        record: dict[str, Any] = {TAG: key.decode()}
        texts = {role: value.decode() for role, value in values.items()}
    except UnicodeDecodeError as error:
        raise RejectedSequence("invalid UTF-8", f"{error} in {key!r}") from None
    for text in texts.values():
        if "\0" in text:
            raise zeros_in(text)
    segment = texts.pop(_SEGMENTS, None)
    record |= texts
    if segment is not None and recordings is not None:
        record |= _segment(segment, recordings)
    if WAV in record:
        _check_path(record[WAV])
    return record


def _segment(text: str, recordings: SortedLines) -> dict[str, Any]:
    """The part of a recording that a line of ``segments`` means."""
    match = re.fullmatch(r"(\S+)\s+(\d+(?:\.\d+)?)\s+(-1|-1\.0+|\d+(?:\.\d+)?)(?:\s+(\d+))?", text)
    if match is None:
        raise RejectedSequence("no such segment", f"expected a recording, start and end, found {text[:80]!r}")
    path = recordings.get(match[1].encode())
    if path is None:
        raise RejectedSequence("missing recording", f"{match[1]} is not in {files.name(recordings.path)}")
    found: dict[str, Any] = {WAV: path.decode(errors="replace"), "offset": float(match[2])}
    if not match[3].startswith("-"):
        found["duration"] = float(match[3]) - float(match[2])
    if match[4] is not None:
        found["channel"] = int(match[4])
    return found


def _check_path(path: str) -> None:
    if path.endswith("|") or path.startswith("|") or path == "-":
        detail = f"{path[:80]!r} in wav.scp; nothing is executed: write the sound to files and name them"
        raise RejectedSequence("a command instead of a file", detail)
