"""The tags of many sequences as one array of bytes, which is far faster to handle than a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seqmill.transforms.records.slices import slices


@dataclass(frozen=True, eq=False)
class Tags:
    """Byte strings behind one another; indexing and iterating give bytes.

    Attributes:
        text: The bytes of all tags, uint8.
        offsets: Where every tag begins in ``text``, and where the last ends, int64 [n + 1].
    """

    text: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, tags: Tags | list[bytes]) -> Tags:
        """Tags of a list; tags as they are."""
        if isinstance(tags, Tags):
            return tags
        offsets = np.cumsum([0, *map(len, tags)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(tags), np.uint8), offsets)

    @classmethod
    def numbered(cls, prefixes: Sequence[bytes], chosen: np.ndarray, numbers: np.ndarray) -> Tags:
        """One of some prefixes and a number in decimal each.

        Args:
            prefixes: The prefixes.
            chosen: Which of them every tag has, [n].
            numbers: Its number, none negative, [n].
        """
        size = max(map(len, prefixes))
        known = np.frombuffer(b"".join(prefix.rjust(size, b"\0") for prefix in prefixes), np.uint8)
        is_known = np.arange(size) >= size - np.array([*map(len, prefixes)])[:, None]
        width = size + len(str(int(numbers.max(initial=0))))
        text, used = np.empty((len(numbers), width), np.uint8), np.ones((len(numbers), width), bool)
        text[:, :size], used[:, :size] = known.reshape(len(prefixes), size)[chosen], is_known[chosen]
        rest = numbers.astype(np.int64)
        for column in range(width - 1, size - 1, -1):
            used[:, column] = rest > 0
            tens = rest // 10
            text[:, column] = rest - 10 * tens + ord("0")
            rest = tens
        used[:, -1] = True
        return cls(text[used], np.concatenate(([0], np.cumsum(used.sum(axis=1)))))

    @classmethod
    def concatenate(cls, parts: Iterable[Tags | list[bytes]]) -> Tags:
        """All tags of some, one after the other."""
        some = [cls.of(part) for part in parts]
        offsets = np.concatenate([part.offsets for part in some])
        ends = np.cumsum([len(part.offsets) for part in some])
        firsts, lasts = offsets[[0, *ends[:-1]]].tolist(), offsets[ends - 1].tolist()
        texts = [part.text[a:b] for part, a, b in zip(some, firsts, lasts, strict=True)]
        sizes = np.delete(np.diff(offsets), ends[:-1] - 1)
        return cls(np.concatenate(texts), np.concatenate(([0], np.cumsum(sizes))))

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of every tag, int64 [n]."""
        return np.diff(self.offsets)

    def take(self, positions: np.ndarray) -> Tags:
        """The tags at ``positions``, [m]."""
        starts = self.offsets[positions]
        sizes = self.offsets[positions + 1] - starts
        return Tags(slices(self.text, starts, sizes), np.concatenate(([0], np.cumsum(sizes))))

    def slice(self, start: int, end: int) -> Tags:
        """Tags ``start`` … ``end`` - 1, without copying."""
        return Tags(self.text, self.offsets[start : end + 1])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> bytes:
        return self.text[self.offsets[position] : self.offsets[position + 1]].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return (self[position] for position in range(len(self)))
