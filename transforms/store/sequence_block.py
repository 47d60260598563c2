"""A block of encoded sequences: what goes from one transform to the next in place of single records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any

import numpy as np

from seqmill.transforms.features import Norm, Ragged
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.small_elements import widen
from seqmill.transforms.storage.checked_files import Checksum

BLOCK_BYTES = 1_000_000
"""Bytes of arrays that a block is filled up to. A longer sequence is a block of its own."""

BLOCK_SEQS = 16_384
"""Most sequences and rejects of a block."""


@dataclass(frozen=True)
class VocabFile:
    """Where the labels of a data key are listed, and what the file held when it was read."""

    path: str
    checksum: Checksum


@dataclass(frozen=True)
class Origin:
    """What all blocks of a collection have in common.

    Attributes:
        data_keys: What the arrays are like.
        vocab_files: Per data key with a vocabulary its file.
        has_tags: Whether sequences have tags; else they are called by their source and position.
        order_by: Field of the records that rows are ordered by; None for the order of the files.
        num_splits: Parts of the files, where the blocks are read from files.
        norms: Per data key the statistics that its frames were normalized by, where there are any.
    """

    data_keys: Mapping[str, ArraySpec]
    vocab_files: Mapping[str, VocabFile]
    has_tags: bool
    order_by: str | None = None
    num_splits: int = 0
    norms: Mapping[str, Norm] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What rejects and messages call the source of records that are in no file."""
        return f"records by {self.order_by}"

    def no_arrays(self) -> dict[str, Ragged]:
        """The arrays of no sequences."""
        none = np.empty(0, np.int32)
        return {
            key: Ragged(np.empty((0, *spec.feature_shape), spec.elements), none)
            for key, spec in self.data_keys.items()
        }


@dataclass(frozen=True)
class SplitEnd:
    """What is known at the end of a split.

    Attributes:
        num_positions: Its lines, rows or records.
        num_records: Its records, by what the file says.
        damaged: What of it is lost without its being known how many records that were; else None.
    """

    num_positions: int
    num_records: int
    damaged: str | None


@dataclass(frozen=True)
class SplitPart:
    """Where in the files a block was read.

    Attributes:
        split: Number of the split, in corpus order.
        source: Its file, relative to the folder that holds all files of the corpus.
        number: Number of the block in its split, from 0.
        end: In the last block of a split: what is known at its end.
    """

    split: int
    source: str
    number: int
    end: SplitEnd | None = None


@dataclass(frozen=True)
class Reject:
    """A record that could not be used.

    Attributes:
        place: Its order key, or its position in its split; None where it has none.
        reason: A short, fixed phrase.
        detail: What was found.
        count: How many records it stands for.
    """

    place: int | str | None
    reason: str
    detail: str
    count: int = 1


@dataclass(frozen=True, eq=False)
class SequenceBlock:
    """Some sequences as arrays, and what became of the records that they were made from.

    Small enough for every runner: about a megabyte, or one sequence. It is frozen: ``dataclasses.replace``
    makes another of it, and ``keep`` one with fewer sequences.

    Attributes:
        origin: What all blocks of the collection have in common.
        arrays: Per data key the sequences' arrays [T_i, *feature_shape], in the elements of the data key.
        order: What the rows of the store are ordered by: of every sequence its order key (int or str), or
            its position in its split.
        tags: Of every sequence its tag; empty where there are none.
        read: How many records the block accounts for: those of its sequences, dropped and rejected ones.
        dropped: Sequences that were dropped, by reason.
        rejects: The records that could not be used.
        converted: Sequences that were changed on the way, by what was done.
        unknown: Per data key labels that its vocabulary lacks.
        largest_error: Per data key of small elements by how much one differs most from what it was made from.
        part: Where the block was read, if it was read from files.

    Raises:
        ValueError: What it is made of does not fit together.

    >>> from seqmill.transforms.beam import EncodeSequences
    >>> encode = EncodeSequences({"data": {"type": "bytes"}}, order_by="id")
    >>> block = encode.block([{"id": 7, "data": "sea"}, {"id": 3, "data": "a"}, {"data": "lost"}])
    >>> block.num_seqs, block.lengths["data"].tolist(), block.order, block.rejected
    (2, [3, 1], (7, 3), {'missing field': 1})
    >>> [(tag, arrays["data"].tolist()) for tag, arrays in block.sequences()]
    [('7', [115, 101, 97]), ('3', [97])]
    """

    origin: Origin
    arrays: Mapping[str, Ragged]
    order: tuple[int | str, ...]
    tags: tuple[str, ...]
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    converted: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    largest_error: Mapping[str, float] = field(default_factory=dict)
    part: SplitPart | None = None

    def __post_init__(self) -> None:
        specs = self.origin.data_keys
        if list(self.arrays) != list(specs):
            raise ValueError(f"arrays of {', '.join(self.arrays)}; expected those of {', '.join(specs)}")
        for key, ragged in self.arrays.items():
            _check(key, ragged, specs[key], self.num_seqs)
        if len(self.tags) != self.num_seqs * self.origin.has_tags:
            raise ValueError(f"{len(self.tags)} tags of {self.num_seqs} sequences")
        found = self.num_seqs + sum(self.dropped.values()) + sum(self.rejected.values())
        if self.read != found:
            raise ValueError(
                f"{self.read} records read, but {found} are kept, dropped or rejected; `keep` counts what it "
                "drops"
            )

    @property
    def num_seqs(self) -> int:
        """Sequences in the block."""
        return len(self.order)

    @property
    def num_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(ragged.values.nbytes for ragged in self.arrays.values())

    @property
    def lengths(self) -> dict[str, np.ndarray]:
        """Per data key the length of every sequence, int32 [num_seqs]."""
        return {key: ragged.lengths for key, ragged in self.arrays.items()}

    @property
    def rejected(self) -> dict[str, int]:
        """How many records were rejected, by reason."""
        counts: Counter[str] = Counter()
        for reject in self.rejects:
            counts[reject.reason] += reject.count
        return dict(counts)

    def sequences(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """Of every sequence its tag ("" where there are none) and its arrays as models read them."""
        starts = {key: np.cumsum([0, *ragged.lengths]) for key, ragged in self.arrays.items()}
        for row in range(self.num_seqs):
            arrays = {
                key: widen(ragged.values[starts[key][row] : starts[key][row + 1]], self.origin.data_keys[key])
                for key, ragged in self.arrays.items()
            }
            yield self.tags[row] if self.tags else "", arrays

    def keep(self, kept: np.ndarray, dropped: Mapping[str, int]) -> SequenceBlock:
        """The block with some of its sequences.

        Args:
            kept: Which, bool [num_seqs].
            dropped: Why the others are dropped: how many, by reason.

        >>> from seqmill.transforms.beam import EncodeSequences
        >>> encode = EncodeSequences({"data": {"type": "bytes"}}, order_by="id")
        >>> block = encode.block([{"id": 7, "data": "sea"}, {"id": 3, "data": "a"}])
        >>> block.keep(block.lengths["data"] > 2, {"short": 1}).order
        (7,)
        """
        arrays = {
            key: Ragged(ragged.values[np.repeat(kept, ragged.lengths)], ragged.lengths[kept])
            for key, ragged in self.arrays.items()
        }
        return replace(
            self,
            arrays=arrays,
            order=tuple(compress(self.order, kept)),
            tags=tuple(compress(self.tags, kept)),
            dropped=dict(Counter(self.dropped) + Counter(dropped)),
        )


def join_blocks(blocks: Sequence[SequenceBlock]) -> SequenceBlock:
    """Some blocks of one collection, and of one split of files, as one block."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    return replace(
        first,
        arrays={key: _joined([block.arrays[key] for block in blocks]) for key in first.arrays},
        order=tuple(place for block in blocks for place in block.order),
        tags=tuple(tag for block in blocks for tag in block.tags),
        read=sum(block.read for block in blocks),
        rejects=tuple(reject for block in blocks for reject in block.rejects),
        dropped=summed(block.dropped for block in blocks),
        converted=summed(block.converted for block in blocks),
        unknown=summed(block.unknown for block in blocks),
        largest_error=largest([block.largest_error for block in blocks]),
    )


def largest(errors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The largest of some errors, per data key."""
    keys = [key for some in errors for key in some]
    return {key: max(some.get(key, 0.0) for some in errors) for key in dict.fromkeys(keys)}


def summed(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of some tables of counts, in the order of their names."""
    counts: Counter[str] = Counter()
    for table in tables:
        counts.update(table)
    return {name: counts[name] for name in sorted(counts)}


def _joined(parts: Sequence[Ragged]) -> Ragged:
    values = np.concatenate([part.values for part in parts])
    return Ragged(values, np.concatenate([part.lengths for part in parts]))


def _check(key: str, ragged: Any, spec: ArraySpec, num_seqs: int) -> None:
    if not isinstance(ragged, Ragged):
        raise ValueError(f"{key}: found {type(ragged).__name__}; expected Ragged(values, lengths)")
    expected = (int(ragged.lengths.sum(dtype=np.int64)), *spec.feature_shape)
    if ragged.values.shape != expected or ragged.values.dtype != spec.elements:
        raise ValueError(
            f"{key}: values are {ragged.values.dtype} {list(ragged.values.shape)}; expected "
            f"{spec.elements} {list(expected)}"
        )
    if ragged.lengths.dtype != np.int32 or len(ragged.lengths) != num_seqs or not ragged.lengths.all():
        raise ValueError(f"{key}: expected int32 lengths of {num_seqs} sequences, none of them empty")
