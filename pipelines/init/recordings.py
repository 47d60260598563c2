"""Folders of recordings (or arrays) with transcripts: what belongs to which, as records of a manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from statistics import mean

from seqmill.pipelines.init.corpus_table import common_start
from seqmill.pipelines.init.find_sources import Found
from seqmill.pipelines.init.split_names import corpus_of
from seqmill.transforms.readers.lines import line_blocks, split_lines
from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage import files

_BESIDE = (".txt", ".lab", ".normalized.txt")
_SEPARATORS = {"\t": "a tab", "|": '"|"', ":": '":"', " ": "a space"}
_MOST_LINE = 1 << 20
_MOST_TRIED = 1000  # lines by which a file is known to hold transcripts
_MOST_PARTS = 3  # of a path, by which a transcript names a recording, if not by all
_BUCKET_PARTS = 3  # of a URL: "s3:", "" and the bucket
_DEV_SHARE = 0.1
_LEAST_FOR_DEV = 10  # recordings
_NO_SPEECH = re.compile(r"[\[<(].*[\])>]")


@dataclass(frozen=True)
class Manifests:
    """Records for recordings, by corpus.

    Attributes:
        root: Folder that the paths in them start from.
        field: The field that holds a path.
        records: The records; ``text`` is what is said, or ``label`` the folder's name.
        guesses: What was found, and why it is meant so; one line each.
        why: By what it was told which corpus a recording is of.
        has_transcripts: Whether files say what is said.
        without: Recordings that are left out, as nothing says what is said.
    """

    root: str
    field: str
    records: Mapping[str, Sequence[Mapping[str, str]]]
    guesses: Sequence[str]
    why: str
    has_transcripts: bool
    without: Sequence[str]


@dataclass(frozen=True)
class _Sheet:
    """A file with the names of recordings and what is said in each; how many of its lines name none."""

    path: str
    separator: str
    texts: Mapping[str, str]
    num_others: int

    @property
    def mean_length(self) -> float:
        return mean(map(len, self.texts.values()))


def choose_recordings(found: Found) -> Manifests | None:
    """Recordings with their transcripts, else with the names of their folders; None where there are none.

    Args:
        found: What there is; files of transcripts are taken out of its texts and tables.
    """
    paths, name = (found.recordings, "audio") if found.recordings else (found.arrays, "features")
    if not paths:
        return None
    listed = sorted(paths)
    root = _common_folder([files.parent(path) for path in listed])
    what = f"{len(listed):,} {'recordings' if name == 'audio' else 'arrays'}"
    texts, guess = _transcripts(listed, root, found)
    has_transcripts, target = bool(texts), "text" if texts else "label"
    if not texts:
        texts, guess = _folders_as_labels(listed, root)
    records: dict[str, list[dict[str, str]]] = {}
    no_text = []
    for path in listed:
        record = {name: _relative(path, root)}
        if texts:
            if path not in texts or not texts[path].strip() or _NO_SPEECH.fullmatch(texts[path].strip()):
                no_text.append(path)
                continue
            record[target] = " ".join(texts[path].split())
        records.setdefault(corpus_of(path, paths[path]) or "", []).append(record)
    by_corpus, why = _corpora(records, name)
    return Manifests(root, name, by_corpus, [f"{what} below {root}", guess], why, has_transcripts, no_text)


def _common_folder(folders: Sequence[str]) -> str:
    """The folder that all of some are in; where there is none, that which the command was started in."""
    common = common_start([folder.split("/") for folder in folders])
    if files.is_local(folders[0]):
        return "/".join(common) or ("/" if common else ".")
    return "/".join(common) if len(common) >= _BUCKET_PARTS else "."


def _relative(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/") if root not in ("", ".") else path


def _transcripts(paths: Sequence[str], root: str, found: Found) -> tuple[dict[str, str], str]:
    """What is said in each recording, by text files; and what they are like."""
    beside = _beside(paths, found)
    if beside:
        return beside
    index = _index(paths, root)
    candidates = [*found.texts, *found.sources.get("tsv", ()), *found.sources.get("csv", ())]
    sheets = [sheet for path in candidates if (sheet := _sheet(path, index)) is not None]
    texts: dict[str, str] = {}
    said: list[str] = []
    for sheet in sorted(sheets, key=lambda sheet: -sheet.mean_length):
        new = {recording: text for recording, text in sheet.texts.items() if recording not in texts}
        for kind in (found.texts, found.sources.get("tsv", {}), found.sources.get("csv", {})):
            kind.pop(sheet.path, None)
        if not new:
            found.leave_out(sheet.path, "it names recordings too, but another file says more of each")
            continue
        texts |= new
        others = f" ({sheet.num_others:,} of its lines name none)" if sheet.num_others else ""
        said.append(f"{sheet.path}, {sheet.separator} between a name and what is said{others}")
    return texts, f"transcripts: {len(texts):,} of the recordings have one in {'; '.join(said)}"


def _beside(paths: Sequence[str], found: Found) -> tuple[dict[str, str], str] | None:
    """The texts in files that are called like the recordings."""
    for ending in _BESIDE:
        there = {p: t for p in paths if (t := f"{_stem(p)}{ending}") in found.texts}
        if 2 * len(there) >= len(paths):
            texts = {}
            for path, text in there.items():
                del found.texts[text]
                try:
                    texts[path] = files.read_bytes(text)[:_MOST_LINE].decode("utf-8-sig").strip()
                except UnicodeDecodeError:
                    found.leave_out(text, "not UTF-8")
            return texts, f"transcripts: {len(texts):,} of the recordings have a {ending} file beside them"
    return None


def _folders_as_labels(paths: Sequence[str], root: str) -> tuple[dict[str, str], str]:
    """The folder's name of each recording, where several folders hold several each."""
    labels = {path: files.name(files.parent(path)) for path in paths if files.parent(path) != root}
    different = set(labels.values())
    if len(labels) == len(paths) and 1 < len(different) <= len(paths) // 2:
        return labels, f"the folder of each is its label: {len(different):,} folders, and no transcripts"
    return {}, "no transcripts: none in a text file of names and texts, none beside the recordings"


def _index(paths: Sequence[str], root: str) -> dict[str, str]:
    """Recordings by the ends of their paths without ending; those that mean several are left out."""
    index: dict[str, str] = {}
    twice: set[str] = set()
    for path in paths:
        parts = _stem(_relative(path, root)).split("/")
        for number in range(1, min(len(parts), _MOST_PARTS) + 1):
            name = "/".join(parts[-number:])
            if index.setdefault(name, path) != path:
                twice.add(name)
    whole = {_stem(_relative(path, root)) for path in paths}
    return {name: path for name, path in index.items() if name not in twice or name in whole} | {
        _stem(_relative(path, root)): path for path in paths
    }


def _sheet(path: str, index: Mapping[str, str]) -> _Sheet | None:
    """What a file says of recordings; None where it is no list of names and texts.

    A table whose first line names no recording has a header, and is read as a table.
    """
    lines = [*islice(_lines(path), _MOST_TRIED)]
    counts = {mark: sum(_stem(_split(line, mark)[0]) in index for line in lines) for mark in _SEPARATORS}
    separator = max(_SEPARATORS, key=lambda mark: counts[mark])
    if not lines or 2 * counts[separator] < len(lines):
        return None
    if path.endswith((".csv", ".tsv")) and _stem(_split(lines[0], separator)[0]) not in index:
        return None
    texts: dict[str, str] = {}
    num_others = 0
    for line in _lines(path):
        key, text = _split(line, separator)
        if (recording := index.get(_stem(key))) is None:
            num_others += 1
        else:
            texts.setdefault(recording, text)
    if all(re.fullmatch(r"(\d+\.\d+)?", text) for text in texts.values()):
        return None  # durations
    return _Sheet(path, _SEPARATORS[separator], texts, num_others)


def _split(line: str, separator: str) -> tuple[str, str]:
    key, found, text = line.strip().partition(separator)
    if separator == "|":
        text = text.rpartition("|")[2]  # the last of several is the normalised one
    return key.strip(), text.strip() if found else ""


def _lines(path: str) -> Iterator[str]:
    try:
        for block in line_blocks(path, max_line=_MOST_LINE):
            if isinstance(block, bytes):
                for line in filter(bytes.strip, split_lines(block)):
                    try:
                        yield line.decode()
                    except UnicodeDecodeError:
                        yield ""  # a line that names no recording
    except DamagedFileError:
        return


def _stem(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{re.sub(r'[.](wav|flac|ogg|opus|mp3|npy)$', '', name, flags=re.IGNORECASE)}"


def _corpora(
    records: dict[str, list[dict[str, str]]], name: str
) -> tuple[dict[str, list[dict[str, str]]], str]:
    """Train and dev: by folders' names, else a tenth held out, the same one each time."""
    named = {corpus: some for corpus, some in records.items() if corpus}
    if "train" in named:
        named["train"] += records.get("", [])
        return named, "by the names of folders and files"
    rest = records.get("", [])
    if named and rest:
        return {"train": rest, **named}, "what is called neither dev nor test is for training"
    everything = [record for some in records.values() for record in some]
    if len(everything) < _LEAST_FOR_DEV:
        return {"train": everything}, "all, as there are few"
    # By each name alone, so that recordings stay where they are when others are added.
    places = {record[name]: sha256(record[name].encode()).digest() for record in everything}
    dev = {path for path, place in places.items() if int.from_bytes(place[:4]) < _DEV_SHARE * 2**32}
    dev = dev or {min(places, key=lambda path: places[path])}
    return {
        "train": [record for record in everything if record[name] not in dev],
        "dev": [record for record in everything if record[name] in dev],
    }, "about a tenth is held out for dev, by a hash of each name"
