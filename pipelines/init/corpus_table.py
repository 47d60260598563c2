"""The table of a corpus: its files as the configuration names them, and where paths in them start from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from seqmill.pipelines.init.audio_roots import root_finder
from seqmill.pipelines.init.corpora import Corpora
from seqmill.pipelines.init.field_kinds import MOST_MISSING
from seqmill.pipelines.init.guess_keys import Guesses
from seqmill.pipelines.init.sample_records import read_sample
from seqmill.pipelines.init.write_config import Line
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.name_patterns import has_wildcard

_Text = TypeVar("_Text", str, list[str])
_MOST_UP = 3
_FEW_FILES = 4


def corpus_lines(name: str, corpora: Corpora, guesses: Guesses, roots: Roots, folder: str) -> list[Line]:
    """The lines of the table of a corpus; ``folder`` is that of the configuration. Raises SeqmillError."""
    paths = corpora.files[name]
    lines = [Line("format", corpora.format)]
    if isinstance(paths, Mapping):
        fields = [guess.kind.field for guess in guesses.keys]
        lines.append(
            Line("files", {field: [_seen_from(folder, p) for p in paths[field]] for field in fields})
        )
    else:
        lines.append(Line("files", as_patterns([_seen_from(folder, path) for path in paths], folder)))
    if corpora.quoting is not None:
        lines.append(Line("quoting", corpora.quoting, "as in the tables of Common Voice"))
    root = _audio_root(name, corpora, guesses, roots)
    if root is not None:
        lines.append(Line("audio_root", _seen_from(folder, root), "where paths of files start from"))
    if guesses.seq_tag is not None:
        lines.append(Line("seq_tag", guesses.seq_tag, "the name of a sequence"))
    return lines


def _audio_root(name: str, corpora: Corpora, guesses: Guesses, roots: Roots) -> str | None:
    """Where the paths of a corpus start from, if not from the folder of the file that names them."""
    if corpora.audio_root is not None or corpora.format in ("librispeech", "text"):
        return corpora.audio_root
    sample = read_sample(corpora.format, corpora.files[name], corpora.quoting)
    for guess in guesses.keys:
        values = sample.fields.get(guess.kind.field)
        if not values or len(values) < (1 - MOST_MISSING) * sample.num_records:
            raise SeqmillError(f"{shown(corpora.files[name])}: no field {guess.kind.field}, which train has")
        if guess.kind.is_path or (FORMATS[corpora.format].names_files and values):
            root = roots.of_values(sample.folder, values)
            if root != sample.folder:
                return root
    return None


def _seen_from(folder: str, path: str) -> str:
    """A path as a configuration in ``folder`` names it."""
    if not files.is_local(path):
        return path
    if not files.is_local(folder):
        return str(Path(path).absolute())
    relative = os.path.relpath(path, folder)
    is_far = relative.startswith("../" * (1 if path.startswith("/") else _MOST_UP + 1))
    return str(Path(path).absolute()) if is_far else relative


def as_patterns(paths: list[str], folder: str) -> list[str]:
    """Many files as a pattern that matches just them, if there is one."""
    if len(paths) < _FEW_FILES:
        return paths
    first, last = common_start(paths), common_start([path[::-1] for path in paths])[::-1]
    pattern = f"{first}*{last}"
    if "/" in last or has_wildcard(first) or has_wildcard(last):
        return paths
    matches = files.expand(files.join(folder, pattern))
    return [pattern] if matches == sorted(files.join(folder, path) for path in paths) else paths


def common_start(texts: Sequence[_Text]) -> _Text:
    """What all of some texts, or lists of parts of texts, begin with.

    >>> common_start(["part-1", "part-27"]), common_start([["a", "b"], ["a", "bc"]])
    ('part-', ['a'])
    """
    least, most = min(texts), max(texts)
    return least[: next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))]


@dataclass
class Roots:
    """Where paths of each corpus start from.

    Attributes:
        corpora: The corpora.
        given: Folders in which they may be looked for too.
    """

    corpora: Corpora
    given: Sequence[str]

    def finder(self, folder: str) -> Callable[[Sequence[str]], str | None]:
        """See ``root_finder``; ``folder`` is that of the records."""
        if self.corpora.audio_root is not None:
            return lambda names: self.corpora.audio_root
        return root_finder(folder, self.given)

    def of_values(self, folder: str, values: Sequence[Any]) -> str:
        """The folder from which some values start, where they are paths; else that of their file."""
        name = values[0].get("path") if isinstance(values[0], Mapping) else values[0]
        return (self.finder(folder)([name]) or folder) if isinstance(name, str) else folder


def shown(paths: Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    """The files of a corpus in few words."""
    if isinstance(paths, Mapping):
        return "; ".join(f"{name}: {shown(some)}" for name, some in paths.items())
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")
