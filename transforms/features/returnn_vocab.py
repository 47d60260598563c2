"""Vocabularies as RETURNN has them: a Python dict from labels to ids, read as data; never a pickle."""

from __future__ import annotations

import ast
import re
import warnings

from seqmill.transforms.storage.errors import SeqmillError

_ENTRY = re.compile(
    r"""\s*(?:,\s*)?(?:[uU]?('[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"))\s*:\s*(\d{1,9})\s*"""
)
_END = re.compile(r"\s*,?\s*}\s*")
_PICKLE = re.compile(rb"\x80[\x00-\x05]|\(dp?\d*\n|\(lp?\d*\n|}q")


def check_no_pickle(path: str, data: bytes) -> None:
    """Refuses a pickle, which would execute what it holds when it is loaded. Raises SeqmillError."""
    if _PICKLE.match(data):
        raise SeqmillError(
            f"vocabulary {path}: this is a pickle, which is never read, as loading one executes code. "
            "If you trust it, write it as text: python -c 'import pickle, sys; "
            f'print(pickle.load(open(sys.argv[1], "rb")))\' {path} > vocab.txt'
        )


def parse_dict(path: str, text: str) -> dict[str, int] | None:
    """The ids of labels in a dict literal; None where the text is no such literal, but one label a line.

    Raises:
        SeqmillError: It is one that cannot be a vocabulary.

    >>> parse_dict("labels.txt", "{'<s>': 0, '</s>': 0, 'a': 1}")
    {'<s>': 0, '</s>': 0, 'a': 1}
    """
    if not text.startswith("{") or _ENTRY.match(text, 1) is None:
        return None
    ids: dict[str, int] = {}
    at, number = 1, 0
    while (match := _ENTRY.match(text, at)) is not None:
        label = _label(path, match[1], number)
        if label in ids:
            raise SeqmillError(f"vocabulary {path}: label {label!r} is there twice")
        ids[label] = int(match[2])
        at, number = match.end(), number + 1
    if _END.fullmatch(text, at) is None:
        line = text.count("\n", 0, at) + 1
        raise SeqmillError(
            f"vocabulary {path}, line {line}: expected 'label': number, found {text[at : at + 40]!r}"
        )
    return ids


def in_order(path: str, ids: dict[str, int]) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    """The label of every id, and further labels with their ids; of several for one id the last by code point.

    That is how RETURNN names an id that ``<s>`` and ``</s>`` share.

    Raises:
        SeqmillError: An id between 0 and the highest has no label.
    """
    names = {number: label for label, number in sorted(ids.items())}
    labels = tuple(names.get(number, "") for number in range(len(names)))
    if len(names) <= max(names):
        missing = next(number for number in range(max(names)) if number not in names)
        raise SeqmillError(f"vocabulary {path}: no label has the id {missing}, the highest is {max(names)}")
    return labels, tuple((label, number) for label, number in ids.items() if names[number] != label)


def _label(path: str, literal: str, number: int) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            label = ast.literal_eval(literal)
        label.encode()
    except (ValueError, SyntaxError) as error:
        raise SeqmillError(f"vocabulary {path}, entry {number + 1}: {literal[:60]}: {error}") from None
    if not label:
        raise SeqmillError(f"vocabulary {path}, entry {number + 1}: empty label")
    return str(label)
