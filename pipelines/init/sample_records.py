"""The first records of a corpus, as its reader gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqmill.pipelines.init.find_sources import WHOLE
from seqmill.transforms.readers import FORMATS, ReadOptions, files_of_folder, open_split, split_corpus
from seqmill.transforms.readers.formats import field_names
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence

MOST_RECORDS = 200
_MOST_BYTES = 1 << 26
_MOST_FILES = 10
_DEEPEST = 4
_OF_LHOTSE = ("audio", "text", "speaker", "language")
_OF_SEGMENTS = ("offset", "start", "duration", "channel", "recording")


@dataclass(frozen=True)
class Sample:
    """The first records of a corpus.

    Attributes:
        format: How they were read.
        folder: Folder of the file that they stand in, from which their paths start.
        fields: Values by dotted name, in order of records; fewer than ``num_records`` where some lack it.
        num_records: How many there are.
        rejected: Why others were rejected.
        segments: As ``fields``, what may say which part of a recording is meant, though no data key may be
            made of it.
    """

    format: str
    folder: str
    fields: Mapping[str, list[Any]]
    num_records: int
    rejected: Sequence[str] = field(default=())
    segments: Mapping[str, list[Any]] = field(default_factory=dict)


def read_sample(
    format: str, paths: Sequence[str] | Mapping[str, Sequence[str]], quoting: bool | None = None
) -> Sample:
    """The first records of the first files.

    Args:
        format: One of ``FORMATS``.
        paths: Files or folders of a corpus; for ``text`` files by field.
        quoting: As the option of that name.

    Raises:
        SeqmillError: They cannot be read as this format.
    """
    options = ReadOptions(quoting=quoting)
    if isinstance(paths, Mapping):
        sources: list[Any] = [dict(paths)]
        folder = files.parent(next(iter(paths.values()))[0])
    else:
        listed = [file for path in paths for file in files_of(format, path)][:_MOST_FILES]
        sources = [[path] for path in listed]
        folder = files.parent(listed[0]) if listed else ""
    records: list[Mapping[str, Any]] = []
    rejected: list[str] = []
    num_bytes = 0
    for source in sources:
        if len(records) + len(rejected) >= MOST_RECORDS or num_bytes >= _MOST_BYTES:
            break
        split = split_corpus(format, source, WHOLE, options)[0]
        names = field_names(split, MOST_RECORDS) or ()
        if format == "kaldi":  # whose files are chosen by the fields
            names = [name for name in names if name != "wav" or "feats" not in names]
            split = split_corpus(format, source, WHOLE, options, names)[0]
        reader = open_split(split, names)
        for _, record in reader:
            if isinstance(record, RejectedSequence):
                rejected.append(str(record))
            else:
                records.append(record)
            if len(records) + len(rejected) >= MOST_RECORDS or num_bytes + reader.num_bytes >= _MOST_BYTES:
                break
        num_bytes += reader.num_bytes
    return sample_of(format, folder, records, rejected)


def sample_of(
    format: str, folder: str, records: Sequence[Mapping[str, Any]], rejected: Sequence[str] = ()
) -> Sample:
    """Records as a sample; see ``Sample``."""
    fields: dict[str, list[Any]] = {}
    own = FORMATS[format].tag
    for record in records:
        for name, value in _flat(record, "", 0):
            if name != own and value is not None and (format != "lhotse" or name in _OF_LHOTSE):
                fields.setdefault(name, []).append(value)
    found = {name: [record[name] for record in records if name in record] for name in _OF_SEGMENTS}
    return Sample(format, folder, fields, len(records), rejected, found)


def files_of(format: str, path: str) -> list[str]:
    """A file as it is, the files to read of a folder."""
    inside = files_of_folder(format, path) if files.is_folder(path) else None
    return inside or [path]


def is_sound_object(value: Any) -> bool:
    """Whether a value is sound as Hugging Face data sets have it."""
    return isinstance(value, Mapping) and bool(value) and value.keys() <= {"bytes", "path", "sampling_rate"}


def _flat(record: Mapping[str, Any], prefix: str, depth: int) -> list[tuple[str, Any]]:
    """The fields of a record by their dotted names."""
    found: list[tuple[str, Any]] = []
    for name, value in record.items():
        if type(name) is not str or not name or "\0" in name or (prefix and "." in name):
            continue
        if isinstance(value, Mapping) and not is_sound_object(value) and depth < _DEEPEST:
            found += _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            found.append((f"{prefix}{name}", value))
    return found
