"""The tags of many sequences as one array of bytes, which is far faster to handle than a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    def numbered(cls, prefix: bytes, numbers: np.ndarray) -> Tags:
        """A prefix and a number in decimal for each of ``numbers``, none negative, [n]."""
        width = len(str(int(numbers.max(initial=0))))
        text = np.empty((len(numbers), len(prefix) + width), np.uint8)
        text[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
        used = np.ones(text.shape, bool)
        rest = numbers.astype(np.int64)
        for column in range(len(prefix) + width - 1, len(prefix) - 1, -1):
            used[:, column] = rest > 0
            rest, text[:, column] = rest // 10, rest % 10 + ord("0")
        used[:, -1] = True
        return cls(text[used], np.concatenate(([0], np.cumsum(used.sum(axis=1)))))

    @classmethod
    def concatenate(cls, parts: Iterable[Tags | list[bytes]]) -> Tags:
        """All tags of some, one after the other."""
        some = [cls.of(part) for part in parts]
        sizes = np.concatenate([part.sizes for part in some])
        texts = [part.text[part.offsets[0] : part.offsets[-1]] for part in some]
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
