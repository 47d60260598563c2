"""Files of plain text: line-aligned ones, as of translations, or lines alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seqmill.pipelines.init.corpora import Corpora, by_name
from seqmill.pipelines.init.field_names import INPUT_NAMES, TARGET_NAMES
from seqmill.pipelines.init.find_sources import WHOLE, Found
from seqmill.pipelines.init.split_names import CORPORA, corpus_in_name, name_tokens
from seqmill.transforms.readers import split_corpus
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

_PLAIN = ("txt", "gz", "zst", "text")
_ALONE = "text"


def choose_texts(found: Found) -> Corpora | None:
    """Line-aligned files where names tell what belongs together, else lines of one field; None for none."""
    if not found.texts:
        return None
    by_corpus, why = by_name(found.texts, found)
    sides = {name: _sides(paths) for name, paths in by_corpus.items()}
    fields = list(sides["train"])
    if len(fields) > 1 and _are_aligned(sides["train"]):
        first, second = _input_and_target(fields)
        aligned: dict[str, dict[str, list[str]]] = {}
        for name in CORPORA:
            if name in sides and {first, second} <= sides[name].keys():
                aligned[name] = {field: [sides[name][field]] for field in (first, second)}
                for field in sides[name].keys() - {first, second}:
                    found.leave_out(sides[name][field], "a third of files that belong together")
            elif name in sides:
                for path in by_corpus[name]:
                    found.leave_out(path, "its lines belong to those of no other file")
        return Corpora("text", aligned, f"line i of {first} belongs to line i of {second}; {why}")
    return Corpora(
        "text", {name: {_ALONE: paths} for name, paths in by_corpus.items()}, f"a line each; {why}"
    )


def _sides(paths: list[str]) -> dict[str, str]:
    """Files by what is left of their names without that of their corpus; none where two are the same."""
    sides: dict[str, str] = {}
    words = {path: name_tokens(files.name(path)) for path in paths}
    shared = set.intersection(*map(set, words.values())) if len(paths) > 1 else set()
    for path, tokens in words.items():
        left = [t for t in tokens if corpus_in_name(t) is None and t not in _PLAIN and t not in shared]
        side = "_".join(left) or _ALONE
        if side in sides:
            return {_ALONE: path}
        sides[side] = path
    return sides


def _are_aligned(sides: Mapping[str, str]) -> bool:
    """Whether files are sides of one corpus: by endings or names, and by their numbers of lines."""
    names = [re.sub(r"\.(gz|zst)$", "", files.name(path)) for path in sides.values()]
    endings = {name.rpartition(".")[2] for name in names}
    are_named = any(INPUT_NAMES.fullmatch(side) or TARGET_NAMES.fullmatch(side) for side in sides)
    if not are_named and len(endings) < len(sides):
        return False
    try:
        split_corpus("text", {side: [path] for side, path in sides.items()}, WHOLE)
    except SeqmillError:
        return False
    return True


def _input_and_target(fields: list[str]) -> tuple[str, str]:
    first = min(
        fields, key=lambda name: (not INPUT_NAMES.fullmatch(name), bool(TARGET_NAMES.fullmatch(name)), name)
    )
    others = [name for name in fields if name != first]
    return first, min(others, key=lambda name: (not TARGET_NAMES.fullmatch(name), name))
