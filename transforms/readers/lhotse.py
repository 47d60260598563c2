"""Cuts and recordings of Lhotse, as JSON lines: what they mean in the words of the other formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqmill.transforms.readers.jsonl import JsonlReader, split_jsonl
from seqmill.transforms.readers.split import ReadOptions, Record, Split
from seqmill.transforms.storage.errors import RejectedSequence

TAG = "seq_tag"
_MEANT = ("id", "type", "start", "duration", "channel", "recording", "supervisions", "sources", "tracks")
_AUDIO = "audio"
_CUTS = ("MonoCut", "MultiCut")
_OF_ONE_RECORDING = (
    f"expected {' or '.join(_CUTS)}; how recordings are mixed and padded is Lhotse's own affair, whose "
    "cuts.save_audios writes them to files"
)


def split_lhotse(path: str, target_bytes: int, options: ReadOptions) -> list[Split]:
    """See ``split_jsonl``."""
    return [replace(split, format="lhotse") for split in split_jsonl(path, target_bytes, options)]


class LhotseReader(JsonlReader):
    """Reads one split of cuts or recordings.

    A record has ``seq_tag`` (the id) and ``audio``; of a cut ``text`` (of its supervisions, joined by spaces
    in order of time), ``speaker`` and ``language`` where all agree, ``features``, and the cut's own fields.
    Which part and which channels of the file are meant is heeded; mixed and padded cuts are rejected.

    Args:
        split: What to read.
        fields: Names of the fields that will be asked for: no record is rejected for ``audio`` that is not.
    """

    def __init__(self, split: Split, fields: Sequence[str] = ()):
        super().__init__(split, (), _MEANT)
        self._wants_audio = not fields or any(field.split(".")[0] == _AUDIO for field in fields)

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (line, record or reject)."""
        for position, record in super().__iter__():
            if isinstance(record, RejectedSequence):
                yield position, record
                continue
            try:
                yield position, _plain(record, self._wants_audio)
            except RejectedSequence as error:
                yield position, error


def _plain(manifest: Mapping[str, Any], wants_audio: bool) -> Record:
    if not isinstance(manifest.get("id"), str):
        raise RejectedSequence("missing field", "id, as text")
    if "sources" in manifest:
        channels = _all_channels(manifest)
        path = _path(manifest, channels)
        return {TAG: manifest["id"], _AUDIO: path, "channel": channels, "recording": manifest}
    kind = manifest.get("type", "MonoCut")
    if kind not in _CUTS or "tracks" in manifest:
        raise RejectedSequence("a cut of another kind", f"{str(kind)[:40]}; {_OF_ONE_RECORDING}")
    record = {name: value for name, value in manifest.items() if value is not None}
    record[TAG] = manifest["id"]
    recording = manifest.get("recording")
    if isinstance(manifest.get("features"), Mapping):
        cut = (manifest.get("start"), manifest.get("duration"))
        record["features"] = {**manifest["features"], "cut": cut}
    if wants_audio and isinstance(recording, Mapping):
        for name in ("start", "duration"):
            if type(record.get(name)) not in (int, float):
                raise RejectedSequence("no such segment", f"expected a number in {name}")
        record[_AUDIO] = _path(recording, record.get("channel", 0))
    return record | _supervised(manifest.get("supervisions"))


def _path(recording: Mapping[str, Any], wanted: Any) -> str:
    """The file of a recording that holds the wanted channels."""
    sources = recording.get("sources")
    channels = wanted if isinstance(wanted, list) else [wanted]
    for source in sources if isinstance(sources, list) else ():
        if not isinstance(source, Mapping) or not isinstance(source.get("channels"), list):
            raise RejectedSequence("missing audio file", "a source without channels")
        if all(channel in source["channels"] for channel in channels):
            kind, path = source.get("type"), source.get("source")
            if kind != "file" or not isinstance(path, str):
                detail = f"a source of type {str(kind)[:40]}; only files are read, nothing is executed"
                raise RejectedSequence("a recording that is no file", detail)
            return path
    raise RejectedSequence("channel not in the file", f"{str(channels)[:80]} are in no one file")


def _all_channels(recording: Mapping[str, Any]) -> list[Any]:
    sources = recording["sources"]
    if not isinstance(sources, list) or not all(isinstance(one, Mapping) for one in sources):
        raise RejectedSequence("missing audio file", "expected a list of sources")
    found = [one.get("channels") for one in sources]
    return [channel for channels in found if isinstance(channels, list) for channel in channels]


def _supervised(supervisions: Any) -> dict[str, Any]:
    """What the supervisions of a cut say."""
    if not isinstance(supervisions, list) or not supervisions:
        return {}
    if not all(isinstance(one, Mapping) for one in supervisions):
        raise RejectedSequence("missing field", "expected objects in supervisions")
    try:
        ordered = sorted(supervisions, key=lambda one: one.get("start", 0))
    except TypeError:
        raise RejectedSequence("no such segment", "expected numbers in start of supervisions") from None
    found: dict[str, Any] = {}
    texts = [one["text"] for one in ordered if isinstance(one.get("text"), str)]
    if texts:
        found["text"] = " ".join(texts)
    for name in ("speaker", "language"):
        values = [one.get(name) for one in ordered]
        if isinstance(values[0], str) and values.count(values[0]) == len(values):
            found[name] = values[0]
    return found
