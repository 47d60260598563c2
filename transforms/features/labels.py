"""``chars`` and ``words``: label ids by a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN, Encoder
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.vocab import BOS, EOS, UNK, Vocab, code_points, split_all
from seqmill.transforms.storage.errors import RejectedSequence, UsageError

_NOT_THERE = -1


class Labels(Encoder):
    """``chars``, ``words``: label ids, int32 [T].

    A label that the vocabulary lacks becomes ``<unk>``; a vocabulary without ``<unk>`` rejects the sequence.

    Args:
        key: The data key.
        vocab: Its vocabulary.

    Raises:
        UsageError: ``bos`` or ``eos`` is set and the vocabulary has no ``<s>`` or ``</s>``.
    """

    def __init__(self, key: DataKey, vocab: Vocab):
        super().__init__(key)
        self.num_labels = len(vocab)
        self._type = key.type
        self._index = vocab.index
        self._unknown = vocab.index.get(UNK, _NOT_THERE)
        self._boundaries = boundary_ids(key, vocab.index, f"the vocabulary {key.vocab or ''}".rstrip())
        self._by_code_point = _code_point_table(vocab, self._unknown)

    def encode(self, value: Any) -> np.ndarray:
        """Label ids [T]. Raises RejectedSequence."""
        return self.encode_block([value]).values

    def encode_block(self, values: list[Any]) -> Ragged:
        """See Encoder."""
        if self._type == "chars" and set(map(type, values)) == {str}:
            ids = self._char_ids("".join(values))
        else:
            values = split_all(self._type, values)
            ids = self._label_ids(chain.from_iterable(values))
        lengths = np.fromiter(map(len, values), np.int32, len(values))
        if self._unknown == _NOT_THERE and (ids == _NOT_THERE).any():
            label = next(label for value in values for label in value if label not in self._index)
            raise RejectedSequence("label not in the vocabulary", repr(label))
        if self._unknown != _NOT_THERE:
            count_unknown(self.converted, ids, self._unknown)
        return add_boundaries(Ragged(ids.astype(self.dtype, copy=False), lengths), *self._boundaries)

    def _char_ids(self, text: str) -> np.ndarray:
        return self._by_code_point[np.minimum(code_points(text), len(self._by_code_point) - 1)]

    def _label_ids(self, labels: Iterable[str]) -> np.ndarray:
        return np.fromiter(map(self._index.get, labels, repeat(self._unknown)), np.int32)


def count_unknown(converted: Counter[str], ids: np.ndarray, unknown: int) -> None:
    """Counts the labels that became ``<unk>``."""
    num_unknown = int(np.count_nonzero(ids == unknown))
    if num_unknown:
        converted[UNKNOWN] += num_unknown


def boundary_ids(key: DataKey, index: dict[str, int], where: str) -> tuple[int | None, int | None]:
    """Ids of ``<s>`` and ``</s>``, each ``None`` where the key does not want it.

    Raises:
        UsageError: A wanted one is not in the vocabulary; ``where`` names that.
    """
    for option, wanted, label in (("bos", key.bos, BOS), ("eos", key.eos, EOS)):
        if wanted and label not in index:
            raise UsageError(f"data key {key.name!r}: {option} is set, but {where} has no label {label}")
    return (index[BOS] if key.bos else None, index[EOS] if key.eos else None)


def add_boundaries(labels: Ragged, bos: int | None, eos: int | None) -> Ragged:
    """Puts ``bos`` before and ``eos`` after every sequence, where they are not ``None``."""
    extra = (bos is not None) + (eos is not None)
    if not extra:
        return labels
    lengths = labels.lengths + np.int32(extra)
    ends = np.cumsum(lengths, dtype=np.int64)
    values = np.empty(int(lengths.sum(dtype=np.int64)), labels.values.dtype)
    is_label = np.ones(len(values), bool)
    for label, positions in ((bos, ends - lengths), (eos, ends - 1)):
        if label is not None:
            values[positions] = label
            is_label[positions] = False
    values[is_label] = labels.values
    return Ragged(values, lengths)


def _code_point_table(vocab: Vocab, unknown: int) -> np.ndarray:
    """Ids by code point; the last entry stands for everything above."""
    chars = {ord(label): position for label, position in vocab.index.items() if len(label) == 1}
    table = np.full(max(chars, default=0) + 2, unknown, np.int32)
    table[list(chars)] = list(chars.values())
    return table
