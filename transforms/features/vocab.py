r"""Vocabularies: which label has which id.

A vocabulary file is UTF-8 with one label a line, the first line being label 0. Labels may hold any
character: a line feed is written ``\n``, a carriage return ``\r`` and a backslash ``\\``. Space around a
label belongs to it. A byte order mark and carriage returns before line feeds are skipped. A Python dict from
labels to ids, as RETURNN has it, is read as well.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.normalize import normalized
from seqmill.transforms.features.returnn_vocab import check_no_pickle, in_order, parse_dict
from seqmill.transforms.features.special_labels import special_labels
from seqmill.transforms.features.text import code_points, to_text
from seqmill.transforms.features.text_steps import Step, apply_steps
from seqmill.transforms.readers.split import named_errors
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

SPECIAL = re.compile(r"<.+>|\[.+\]")
"""What a label looks like that need not occur in a text."""

_BYTES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
_ESCAPED = re.compile(r"\\(.?)")
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}


@dataclass(frozen=True)
class Vocab:
    """Labels; a label's id is its position.

    Attributes:
        labels: By id.
        aliases: Further labels, with their ids.

    >>> Vocab(("<pad>", "<unk>", "yes")).index["yes"]
    2
    """

    labels: tuple[str, ...]
    aliases: tuple[tuple[str, int], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def index(self) -> dict[str, int]:
        """Label → id."""
        return {label: position for position, label in enumerate(self.labels)} | dict(self.aliases)


def read_vocab(path: str) -> Vocab:
    """Reads a vocabulary file.

    Raises:
        SeqmillError: It is missing, empty, a pickle or not UTF-8, or a label is empty, there twice or badly
            escaped.

    >>> import seqmill
    >>> seqmill.read_vocab("work/epochs/train/vocab/data.txt").labels[:4]
    ('<pad>', '<unk>', 'e', 'a')
    """
    text = vocab_text(path)
    if not text:
        raise SeqmillError(f"vocabulary {path}: the file is empty; expected one label a line")
    if (ids := parse_dict(path, text)) is not None:
        return Vocab(*in_order(path, ids))
    labels = text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").split("\n")
    if "\\" in text:
        labels = [_unescaped(path, number, label) for number, label in enumerate(labels, start=1)]
    if "" in labels:
        raise _bad_line(path, labels.index("") + 1, "empty label")
    vocab = Vocab(tuple(labels))
    if len(vocab.index) < len(labels):
        number = next(n for n, label in enumerate(labels) if vocab.index[label] != n)
        again = vocab.index[labels[number]]
        raise _bad_line(path, again + 1, f"label {labels[number]!r} is already on line {number + 1}")
    return vocab


def vocab_text(path: str) -> str:
    """The text of a file of labels, without a byte order mark.

    Raises:
        SeqmillError: It is missing, a pickle or not UTF-8.
    """
    with named_errors(f"vocabulary {path}"):
        data = files.read_bytes(path).removeprefix(codecs.BOM_UTF8)
    check_no_pickle(path, data)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _bad_line(path, line, f"not UTF-8 ({error})") from None


def check_labels_occur(path: str, vocab: Vocab, label_type: str) -> None:
    """Refuses a given vocabulary with a label that a text never has: most often the file is of another kind.

    Labels in angle or square brackets (``<blank>``, ``[PAD]``) need not occur.

    Args:
        path: The file, for the message.
        vocab: Its labels.
        label_type: ``chars``: a label is one code point; ``words``: it holds no white space.

    Raises:
        SeqmillError: Names the line.
    """
    for number, label in enumerate(vocab.labels, start=1):
        if label_type == "chars":
            found = f"has {len(label)} characters" if len(label) > 1 else None
        else:
            found = "holds white space" if label.split() != [label] else None
        if found and not re.fullmatch(SPECIAL, label):
            raise _bad_line(path, number, f"label {label!r} {found}, and no label of type {label_type} does")


def never_found(vocab: Vocab, steps: Sequence[Step]) -> list[str]:
    """Labels that no text has after steps of ``normalize``, special ones apart.

    >>> never_found(Vocab(("[UNK]", "USA", "us")), ["lower"])
    ['USA']
    """
    alone = [step for step in steps if isinstance(step, str)]  # expressions see more than a label
    made = apply_steps(alone, list(vocab.labels))
    pairs = zip(vocab.labels, made, strict=True)
    return [label for label, other in pairs if label != other and not SPECIAL.fullmatch(label)]


def write_vocab(path: str, vocab: Vocab) -> None:
    """Writes a vocabulary file, whole or not at all."""
    with files.write_atomically(path) as file:
        file.write("".join(f"{_escape(label)}\n" for label in vocab.labels).encode())


def count_labels(key: DataKey, values: list[Any], counter: Counter[str]) -> None:
    """Adds the labels of some values to ``counter``; of values that encoding would reject, none."""
    try:
        values = normalized(key.type, key.normalize, values)
        if key.type == "chars" and set(map(type, values)) == {str}:
            _count_characters("".join(values), counter)
        else:
            counter.update(chain.from_iterable(split_all(key.type, values)))
    except RejectedSequence:
        for value in values if len(values) > 1 else ():
            count_labels(key, [value], counter)


def build_vocab(counts: Mapping[str, int], key: DataKey, *others: DataKey) -> Vocab:
    """The vocabulary of counted labels.

    0 is ``<pad>``, 1 is ``<unk>``, then ``<s>`` and ``</s>`` where the key has ``bos`` or ``eos`` set, each
    by the name that the key gives it; then the labels by falling frequency, ties by code point. Special
    labels that stand in the data are not listed again. The key's ``min_count`` and ``max_labels`` end the
    list. ``others`` are the data keys that share the vocabulary.
    """
    special = special_labels(key, *others)
    counted = sorted(counts.keys() - set(special), key=lambda label: (-counts[label], label))
    if key.min_count is not None:
        counted = [label for label in counted if counts[label] >= key.min_count]
    return Vocab((*special, *counted)[: key.max_labels])


def split_all(label_type: str, values: list[Any]) -> list[Sequence[str]]:
    """``split_labels`` of each of some values, which is faster than one by one."""
    if set(map(type, values)) != {str}:
        return [split_labels(label_type, value) for value in values]
    to_text("".join(values))
    return values if label_type == "chars" else [*map(str.split, values)]


def split_labels(label_type: str, value: Any) -> Sequence[str]:
    """The labels that a value holds.

    Args:
        label_type: ``chars``: every Unicode code point is a label; ``words``: what white space separates.
        value: Text, UTF-8 bytes, or a list of labels.

    Raises:
        RejectedSequence: The value is none of these, is not valid Unicode, or lists an empty label.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        labels = [to_text(item) for item in value]
        if "" in labels:
            raise RejectedSequence("empty label", f"at position {labels.index('')}")
        return labels
    text = to_text(value)
    return text if label_type == "chars" else text.split()


def decode_labels(labels: Sequence[str], ids: Iterable[int], label_type: str) -> str:
    """Label ids as text for people to read; an id that no label has is shown as a number.

    Args:
        labels: The vocabulary.
        ids: What one sequence holds.
        label_type: ``chars`` are joined as they are and ``words`` by spaces. ``subwords`` follow the marks
            in their labels: SentencePiece's ``▁`` begins a word and ``<0xC3>`` is a byte of one, BERT's
            ``##`` continues one; labels with neither are joined by spaces.
    """
    parts = [labels[i] if 0 <= i < len(labels) else f"<{i}>" for i in map(int, ids)]
    if label_type == "chars":
        return "".join(parts)
    if label_type == "subwords" and any("▁" in part for part in parts):
        return _BYTES.sub(_decoded, "".join(parts)).replace("▁", " ").strip()
    joined = " ".join(parts)
    return joined.replace(" ##", "") if label_type == "subwords" else joined


def _decoded(match: re.Match[str]) -> str:
    return bytes.fromhex(re.sub("<0x|>", "", match[0])).decode(errors="replace")


def _count_characters(text: str, counter: Counter[str]) -> None:
    counts = np.bincount(code_points(text))
    found = np.flatnonzero(counts)
    for code_point, count in zip(found.tolist(), counts[found].tolist(), strict=True):
        counter[chr(code_point)] += count


def _escape(label: str) -> str:
    return re.sub(r"[\\\n\r]", lambda match: _ESCAPES[match[0]], label)


def _unescaped(path: str, number: int, line: str) -> str:
    try:
        return _ESCAPED.sub(_unescape_one, line) if "\\" in line else line
    except ValueError as error:
        raise _bad_line(path, number, str(error)) from None


def _unescape_one(match: re.Match[str]) -> str:
    if match[0] not in _UNESCAPES:
        raise ValueError(f"unknown escape {match[0]!r}; write \\\\ for a backslash, \\n for a line feed")
    return _UNESCAPES[match[0]]


def _bad_line(path: str, number: int, problem: str) -> SeqmillError:
    return SeqmillError(f"vocabulary {path}, line {number}: {problem}")
