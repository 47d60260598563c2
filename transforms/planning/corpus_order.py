"""The sequences of a corpus in its order, of which some may be there several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from seqmill.transforms.planning.blocks import position_type, taken
from seqmill.transforms.planning.plan import EpochOptions, Selection, select


@dataclass(frozen=True)
class CorpusOrder:
    """The sequences of a corpus in its order.

    Attributes:
        lengths: Per data key the length of the sequence at every position, [N].
        rows: Its row in the store, [N]; None where they are the rows from 0, each once.
        sources: Of a corpus that can be mixed the positions of each source, one after the other; else empty.

    >>> CorpusOrder({"data": np.array([5, 7])}).repeats
    False
    """

    lengths: Mapping[str, np.ndarray]
    rows: np.ndarray | None = None
    sources: Mapping[str, int] = field(default_factory=dict)

    @property
    def repeats(self) -> bool:
        """Whether sequences are there several times."""
        return self.rows is not None

    @property
    def num_seqs(self) -> int:
        """Positions of the corpus: a sequence counts as often as it is there."""
        return len(next(iter(self.lengths.values())))

    def select(self, options: EpochOptions) -> Selection:
        """``planning.plan.select``, with rows of the store in place of positions."""
        return self.in_store(select(self.lengths, options))

    def in_store(self, selection: Selection) -> Selection:
        """A selection of positions as one of rows of the store."""
        if self.sources:
            ends = np.cumsum([0, *self.sources.values()])
            numbers = np.diff(np.searchsorted(selection.rows, ends)).tolist()
            selection = replace(selection, sources=dict(zip(self.sources, numbers, strict=True)))
        if self.rows is None:
            return selection
        rows, disagreeing = taken(self.rows, selection.rows), self.rows[selection.disagreeing]
        return replace(selection, rows=rows, disagreeing=disagreeing)


def as_listed(
    lengths: Mapping[str, np.ndarray],
    file_starts: np.ndarray,
    listed: Sequence[int],
    mixed: Mapping[str, int],
) -> CorpusOrder:
    """The order of a corpus whose files are listed in an order of their own, some of them several times.

    Args:
        lengths: Per data key the length of every row of the store, [n].
        file_starts: First row of every file, and the number of rows, [files + 1].
        listed: Numbers of files in the order in which they are listed; empty: each once, as they are stored.
        mixed: Of every source that is mixed the number of its files, one after the other; else empty.

    >>> order = as_listed({"data": np.array([5, 7, 2])}, np.array([0, 2, 3]), [0, 1, 0], {})
    >>> order.rows.tolist(), order.lengths["data"].tolist()
    ([0, 1, 2, 0, 1], [5, 7, 2, 5, 7])
    """
    numbers = np.array(listed or range(len(file_starts) - 1), np.int64)
    sizes = np.diff(file_starts)[numbers]
    source = np.searchsorted(np.cumsum([*mixed.values()]), numbers, "right")
    sources = {name: int(sizes[source == place].sum()) for place, name in enumerate(mixed)}
    if not listed:
        return CorpusOrder(lengths, None, sources)
    rows = np.empty(int(sizes.sum()), position_type(int(sizes.sum())))
    end = 0
    for number in listed:
        first, last = file_starts[number : number + 2].tolist()
        rows[end : end + last - first] = np.arange(first, last)
        end += last - first
    return CorpusOrder({key: taken(column, rows) for key, column in lengths.items()}, rows, sources)
