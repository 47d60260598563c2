"""The corpora of a configuration: which of the sources are read, and for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqmill.pipelines.init.find_sources import WHOLE, Found
from seqmill.pipelines.init.split_names import CORPORA, corpus_of
from seqmill.transforms.readers import split_corpus
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

# What says most of itself comes first.
_RANKED = (
    "kaldi",
    "librispeech",
    "lhotse",
    "hdf",
    "ogg_zip",
    "arrow",
    "webdataset",
    "tfrecord",
    "parquet",
    "jsonl",
    "csv",
    "tsv",
)
_COMMON_VOICE = {"client_id", "path", "sentence"}


@dataclass(frozen=True)
class Corpora:
    """Sources of one format.

    Attributes:
        format: The format.
        files: Per corpus its files or folders; for ``text`` files by field.
        why: By what it was told which is which.
        quoting: The option of that name, where it must be set.
        audio_root: Where paths start from, where that is known; else it is looked for.
    """

    format: str
    files: Mapping[str, Sequence[str] | Mapping[str, Sequence[str]]]
    why: str
    quoting: bool | None = None
    audio_root: str | None = None


def choose_sources(found: Found) -> Corpora | None:
    """The sources of the format that says most of itself; None where there is none of records.

    Args:
        found: What there is; what is not taken is noted in it.
    """
    format = next((name for name in _RANKED if found.sources.get(name)), None)
    if format is None:
        return None
    for other in [name for name in found.sources if name != format]:
        for path in found.sources[other]:
            found.leave_out(path, f"of format {other}, beside {format}; give its name alone to use it")
    sources, quoting = found.sources[format], None
    if format in ("csv", "tsv"):
        sources, quoting = _alike(format, sources, found)
        if not sources:
            del found.sources[format]
            return choose_sources(found)
    chosen, why = by_name(sources, found)
    return Corpora(format, chosen, why, quoting)


def by_name(sources: Mapping[str, str], found: Found) -> tuple[dict[str, list[str]], str]:
    """Per corpus the sources that mean it by name; without such names all are ``train``.

    Args:
        sources: Paths, each with the folder given that it was found in.
        found: Where those are noted that mean none.

    Returns:
        The paths by corpus, and why.
    """
    chosen: dict[str, list[str]] = {}
    unnamed: list[str] = []
    for path, root in sorted(sources.items()):
        corpus = corpus_of(path, root)
        (unnamed if corpus is None else chosen.setdefault(corpus, [])).append(path)
    if "train" in chosen:
        for path in unnamed:
            found.leave_out(path, "its name says none of train, dev (valid) and test")
        why = "by the names of files and folders"
    elif unnamed:
        chosen["train"] = unnamed
        why = "no name says train, so that all without dev or test in theirs are"
    else:
        first = next(name for name in CORPORA if name in chosen)
        chosen = {"train": chosen.pop(first), **chosen}
        why = f"no name says train: what is called {first} is taken as that"
    return {name: chosen[name] for name in CORPORA if name in chosen}, why


def _alike(format: str, sources: Mapping[str, str], found: Found) -> tuple[dict[str, str], bool | None]:
    """The tables with the columns of the one that is for training by name, or of the first; ``quoting``."""
    columns: dict[str, tuple[str, ...]] = {}
    for path in sorted(sources):
        try:
            columns[path] = split_corpus(format, [path], WHOLE)[0].columns
            if len(columns[path]) == 1 and any(mark in columns[path][0] for mark in ";|"):
                raise SeqmillError("its columns are separated by neither commas nor tabs")
        except SeqmillError as error:
            columns.pop(path, None)
            found.leave_out(path, str(error).removeprefix(f"{path}: "))
    if not columns:
        return {}, None
    first = min(columns, key=lambda path: (corpus_of(path, sources[path]) != "train", path))
    for path in [path for path in columns if columns[path] != columns[first]]:
        found.leave_out(path, f"its columns are others than those of {files.name(first)}")
        del columns[path]
    quoting = True if format == "tsv" and set(columns[first]) >= _COMMON_VOICE else None
    return {path: sources[path] for path in columns}, quoting
