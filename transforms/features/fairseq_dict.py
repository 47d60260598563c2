"""Dictionaries of fairseq: a label and its count a line, behind special labels that are not in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.special_labels import BOS, EOS, PAD, UNK
from seqmill.transforms.features.vocab import Vocab, vocab_text
from seqmill.transforms.storage.errors import SeqmillError

_SPECIAL = (BOS, PAD, EOS, UNK)
_ENTRY = re.compile(r"(.+) -?[0-9]+( #fairseq:overwrite)?", re.DOTALL)


def read_fairseq(path: str) -> Vocab:
    """The labels of a dictionary, with the ids that fairseq gives them.

    ``<s>``, ``<pad>``, ``</s>`` and ``<unk>`` are 0 to 3, then come the lines. A label that a later line has
    again, marked ``#fairseq:overwrite``, has that line's id; its first id is called ``<label#id>``.

    Raises:
        SeqmillError: It cannot be read, or a line is no label with a count, or has a label again unmarked.
    """
    labels = [*_SPECIAL]
    index = {label: number for number, label in enumerate(labels)}
    for number, line in enumerate(_lines(path), start=1):
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            expected = "expected a label, a space and its count, as fairseq's dictionaries have it"
            raise SeqmillError(f"vocabulary {path}, line {number}: found {line[:60]!r}; {expected}")
        label = entry[1]
        if (first := index.get(label)) is not None:
            if entry[2] is None:
                raise SeqmillError(
                    f"vocabulary {path}, line {number}: label {label!r} is there already, as label {first}; "
                    "where that is meant, fairseq's dictionaries say #fairseq:overwrite behind the count"
                )
            labels[first] = f"<{label}#{first}>"
        index[label] = len(labels)
        labels.append(label)
    if len(set(labels)) < len(labels):
        again = next(label for number, label in enumerate(labels) if index.get(label, number) != number)
        raise SeqmillError(f"vocabulary {path}: label {again!r} is called as one that was overwritten")
    return Vocab(tuple(labels))


def labels_of_lines(vocab: Vocab) -> Vocab:
    """The labels that stand in a dictionary, one for each line."""
    return Vocab(vocab.labels[len(_SPECIAL) :])


def check_formats(keys: Iterable[DataKey]) -> None:
    """Refuses vocabularies that may be such dictionaries, where nobody has said which kind they are.

    Raises:
        SeqmillError: Every line of one ends in a space and a number.
    """
    given = {
        key.vocab: key for key in keys if key.vocab and not key.vocab_format and key.labels_of == key.name
    }
    for path, key in given.items():
        lines: list[str] = []
        with suppress(SeqmillError):  # it is said where the vocabulary is read
            lines = _lines(path)
        if lines and all(map(_ENTRY.fullmatch, lines)):
            raise SeqmillError(
                f"data.{key.name}.vocab: {path}: every line ends in a number, as in a dictionary of fairseq; "
                'vocab_format = "fairseq" reads labels with counts, "plain" takes each line for a label'
            )


def with_special_labels(key: DataKey, vocab: Vocab) -> DataKey:
    """A data key that wants the special labels of its dictionary where it names no others."""
    return replace(
        key,
        unk=vocab.labels[3] if key.unk is None else key.unk,
        bos=vocab.labels[0] if key.bos is True else key.bos,
        eos=vocab.labels[2] if key.eos is True else key.eos,
        pad=vocab.labels[1] if key.pad is None else key.pad,
    )


def _lines(path: str) -> list[str]:
    """The lines of a file, without the white space behind them, as fairseq reads them."""
    lines = re.split(r"\r\n|\r|\n", vocab_text(path))
    return [line.rstrip() for line in (lines if lines[-1] else lines[:-1])]
