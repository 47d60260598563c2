"""Which files are for training, which for evaluation: as their names say."""

from __future__ import annotations

import re

from seqmill.transforms.storage import files

_NAMES = {
    "train": re.compile(r"(train|training|trn)(set)?\d*"),
    "dev": re.compile(r"(dev|devel|development|val|valid|validation)(set)?\d*"),
    "test": re.compile(r"(test|testing|tst|eval|evaluation)(set)?\d*"),
}
CORPORA = tuple(_NAMES)


def corpus_in_name(name: str) -> str | None:
    """The corpus that the name of a file or folder means; None where it names none.

    >>> corpus_in_name("train-clean-100"), corpus_in_name("validation.tsv"), corpus_in_name("validated.tsv")
    ('train', 'dev', None)
    """
    for token in name_tokens(name):
        for corpus, pattern in _NAMES.items():
            if pattern.fullmatch(token):
                return corpus
    return None


def corpus_of(path: str, root: str) -> str | None:
    """The corpus that a path means: by its own name, else by the nearest folder, up to ``root``."""
    while True:
        if (corpus := corpus_in_name(files.name(path))) is not None:
            return corpus
        if path == root or len(path) <= len(root):
            return None
        path = files.parent(path)


def name_tokens(name: str) -> list[str]:
    """The words and numbers of a name, in small letters."""
    return [token for token in re.split(r"[\W_]+", name.lower()) if token]
