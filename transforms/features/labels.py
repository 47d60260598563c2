"""``chars`` and ``words``: label ids by a vocabulary."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.encoder import UNKNOWN, Encoder
from seqmill.transforms.features.ragged import Ragged
from seqmill.transforms.features.special_labels import UNK, boundary_labels
from seqmill.transforms.features.text import code_points
from seqmill.transforms.features.vocab import SPECIAL, Vocab, split_all
from seqmill.transforms.storage.errors import RejectedSequence, UsageError

_NOT_THERE = -1


class Labels(Encoder):
    """``chars``, ``words``: label ids, int32 [T].

    A label that the vocabulary lacks becomes ``<unk>``, or what the key names; without it the sequence is
    rejected.

    Args:
        key: The data key.
        vocab: Its vocabulary.

    Raises:
        UsageError: The vocabulary has not the special labels that the key wants.
    """

    def __init__(self, key: DataKey, vocab: Vocab):
        super().__init__(key)
        self.num_labels = len(vocab)
        self._type = key.type
        self._index = vocab.index
        special = special_ids(key, vocab.index, f"the vocabulary {key.vocab or ''}".rstrip())
        self._unknown = _NOT_THERE if special.unk is None else special.unk
        self._boundaries = (special.bos, special.eos)
        self.pad = special.pad
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


@dataclass(frozen=True)
class SpecialIds:
    """Ids of special labels, each ``None`` where a data key does without it; ``pad`` is 0 then."""

    unk: int | None
    bos: int | None
    eos: int | None
    pad: int


def special_ids(key: DataKey, index: Mapping[str, int], where: str) -> SpecialIds:
    """The special labels of a vocabulary that a data key wants.

    Args:
        key: The data key.
        index: Label → id.
        where: What the labels are of, for messages.

    Raises:
        UsageError: One that the key wants is not there.
    """
    bos, eos = boundary_labels(key)
    unk = key.unk if isinstance(key.unk, str) else None
    for option, label in (("unk", unk), ("bos", bos), ("eos", eos), ("pad", key.pad)):
        if label is not None and label not in index:
            found = "set" if getattr(key, option) is True else repr(label)
            raise UsageError(
                f"data key {key.name!r}: {option} is {found}, but {where} has no label {label}"
                f"{_near(label, index)}"
            )
    unknown = None if key.unk is False else index.get(unk or UNK)
    return SpecialIds(
        unk=unknown,
        bos=None if bos is None else index[bos],
        eos=None if eos is None else index[eos],
        pad=0 if key.pad is None else index[key.pad],
    )


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


def _near(label: str, index: Mapping[str, int]) -> str:
    """The special label that may be meant: without its brackets it is called alike."""
    special = {_bare(one): one for one in index if re.fullmatch(SPECIAL, one)}
    near = difflib.get_close_matches(_bare(label), special, n=1, cutoff=0.5)
    return f"; did you mean {special[near[0]]}?" if near else ""


def _bare(label: str) -> str:
    return label.strip("<>[]|/").lower()


def _code_point_table(vocab: Vocab, unknown: int) -> np.ndarray:
    """Ids by code point; the last entry stands for everything above."""
    chars = {ord(label): position for label, position in vocab.index.items() if len(label) == 1}
    table = np.full(max(chars, default=0) + 2, unknown, np.int32)
    table[list(chars)] = list(chars.values())
    return table
