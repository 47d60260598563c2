"""``subwords`` by byte pair encoding, as subword-nmt learns it and RETURNN's ``BytePairEncoding`` has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import Encoder
from seqmill.transforms.features.labels import add_boundaries, count_unknown, special_ids
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.sentence_pieces import is_sentencepiece
from seqmill.transforms.features.text import to_text
from seqmill.transforms.features.vocab import Vocab
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

_END, _CONTINUES = "</w>", "@@"
_MOST_CACHED = 100_000  # words
_MOST_CHARACTERS = 1_000  # of a word: merging takes the square of it

Pair = tuple[str, str]


class BpeSubwords(Encoder):
    """``subwords``: ids of pieces of words, int32 [T]; pieces inside of a word end with ``@@``.

    A piece that the vocabulary lacks is taken apart again; what still is not there becomes ``<unk>``, or
    rejects the sequence where there is none.

    Args:
        key: The data key; its ``tokenizer`` is the file of codes.
        vocab: Its vocabulary.

    Raises:
        SeqmillError: The codes cannot be read.
        UsageError: The vocabulary has not the special labels that the key wants.
    """

    def __init__(self, key: DataKey, vocab: Vocab):
        super().__init__(key)
        assert key.tokenizer is not None
        self.num_labels = len(vocab)
        self._codes = Codes(key.tokenizer, vocab)
        self._index = vocab.index
        special = special_ids(key, vocab.index, f"the vocabulary {key.vocab}")
        self._unknown = special.unk
        self._boundaries = (special.bos, special.eos)
        self.pad = special.pad

    def encode(self, value: Any) -> np.ndarray:
        """Ids [T]. Raises RejectedSequence."""
        pieces = [piece for word in to_text(value).split() for piece in self._codes.pieces(word)]
        ids = [self._index.get(piece, self._unknown) for piece in pieces]
        if None in ids:
            raise RejectedSequence("label not in the vocabulary", repr(pieces[ids.index(None)]))
        labels = np.array(ids, self.dtype)
        if self._unknown is not None:
            count_unknown(self.converted, labels, self._unknown)
        return add_boundaries(Ragged(labels, np.array([len(labels)], np.int32)), *self._boundaries).values


class Codes:
    """Merges of a file of BPE codes, applied to words.

    Args:
        path: The file: perhaps a line ``#version: 0.2``, then a pair of symbols a line, in order of merging.
        vocab: Pieces that words may be cut into.

    Raises:
        SeqmillError: It is missing, or no such file.
    """

    def __init__(self, path: str, vocab: Vocab):
        version, pairs = _read(path)
        self._is_first_version = version == "0.1"
        self._ranks = {pair: rank for rank, pair in reversed([*enumerate(pairs)])}
        self._parts = {first + second: (first, second) for first, second in self._ranks}
        self._vocab = vocab.index
        self._cache: dict[str, list[str]] = {}

    def pieces(self, word: str) -> list[str]:
        """What a word is cut into. Raises RejectedSequence where it is too long to be one."""
        found = self._cache.get(word)
        if found is None:
            if len(word) > _MOST_CHARACTERS:
                raise RejectedSequence("a word too long", f"{len(word):,} characters without white space")
            found = [*self._in_vocabulary(self._merged(word))]
            if len(self._cache) < _MOST_CACHED:
                self._cache[word] = found
        return found

    def _merged(self, word: str) -> list[str]:
        symbols = [*word, _END] if self._is_first_version else [*word[:-1], word[-1] + _END]
        while len(symbols) > 1:
            pair = min(pairwise(symbols), key=lambda pair: self._ranks.get(pair, 1 << 62))
            if pair not in self._ranks:
                break
            symbols = _with_merged(symbols, pair)
        last = symbols.pop().removesuffix(_END)
        return [*symbols, last] if last else symbols

    def _in_vocabulary(self, symbols: list[str]) -> Iterator[str]:
        for symbol in symbols[:-1]:
            yield from self._cut(symbol, is_last=False)
        yield from self._cut(symbols[-1], is_last=True)

    def _cut(self, symbol: str, is_last: bool) -> Iterator[str]:
        """The symbol, or its parts where the vocabulary lacks it, as long as it can be taken apart."""
        pending = [(symbol, is_last)]
        while pending:
            symbol, is_last = pending.pop()
            piece = symbol if is_last else symbol + _CONTINUES
            parts = self._parts.get(symbol + _END if is_last else symbol)
            if piece in self._vocab or parts is None:
                yield piece
                continue
            first, second = parts
            second = second.removesuffix(_END) if is_last else second
            pending += [(second, is_last), (first, False)] if second else [(first, is_last)]


def _with_merged(symbols: list[str], pair: Pair) -> list[str]:
    merged, at = [], 0
    while at < len(symbols):
        is_pair = tuple(symbols[at : at + 2]) == pair
        merged.append("".join(pair) if is_pair else symbols[at])
        at += 1 + is_pair
    return merged


def _read(path: str) -> tuple[str, list[Pair]]:
    if is_sentencepiece(path):
        raise SeqmillError(f"{path}: a SentencePiece model has its own labels; leave vocab out")
    try:
        lines = files.read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise SeqmillError(f"{path}: BPE codes that are not UTF-8 ({error})") from None
    version = "0.1"
    if lines and lines[0].startswith("#version:"):
        version = re.sub(r"(\.0+)*$", "", lines.pop(0).split(":")[1].strip())
        if version not in ("0.1", "0.2"):
            raise SeqmillError(f"{path}: BPE codes of version {version}; expected 0.1 or 0.2")
    pairs: list[Pair] = []
    for number, line in enumerate(lines, 1):
        symbols = line.split()
        if len(symbols) != 2:
            raise SeqmillError(
                f"{path}: not a file of BPE codes, which vocab belongs to: expected two symbols a line, "
                f"pair {number} is {line[:40]!r}; a file of the tokenizers library has its own"
            )
        pairs.append((symbols[0], symbols[1]))
    if not pairs:
        raise SeqmillError(f"{path}: a file of BPE codes without any")
    return version, pairs
