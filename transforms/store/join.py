"""Joining by tag: a sequence takes further data keys from the row of another store that has its tag.

A process holds of the other store only the hashes of its tags and the rows that they stand for, 12 bytes a
sequence (16 beyond two thousand million); the arrays are copied from the mapped files a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress
from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import array_bytes
from seqmill.transforms.features.encoder import shown
from seqmill.transforms.planning.blocks import position_type
from seqmill.transforms.records.slices import addresses, copied
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError
from seqmill.transforms.store.encode_blocks import tag_text
from seqmill.transforms.store.sequence_store import Store

_PART_BYTES = 4_000_000

_Reject = Callable[[int, RejectedSequence], None]

Joined = tuple[Mapping[str, Ragged], Sequence[int], Sequence[str]]
"""Arrays by data key, positions and tags of some sequences."""


@dataclass(frozen=True)
class JoinedStore:
    """A store that others take data keys from; small and picklable.

    Attributes:
        folder: The store's folder; its tags are all different.
        fingerprint: Of the store.
        where: What the configuration calls it.
        source: Of a mixed corpus the source whose sequences take data keys from it; else None.
    """

    folder: str
    fingerprint: str
    where: str
    source: str | None = None

    def has(self, tags: Sequence[Any], positions: Sequence[int], reject: _Reject) -> np.ndarray:
        """Which records have a tag that is here too, bool [n]: what has none needs no encoding.

        Args:
            tags: The tags, as fields have them; what is no tag is left to whoever reads it.
            positions: Positions of the records.
            reject: Called with the position and the reason of each one whose tag is not here.
        """
        store, index = _opened(self)
        texts = [*map(_text_or_none, tags)]
        found = index.find([text or "" for text in texts]) >= 0
        for place in np.flatnonzero(~found).tolist():
            text = texts[place]
            if text is None:
                found[place] = True
            else:
                reject(positions[place], self._missing(text, store))
        return found

    def join(self, sequences: Joined, reject: _Reject) -> Iterator[Joined]:
        """Yields the sequences with the data keys of the rows that have their tags, few bytes at a time.

        Args:
            sequences: The sequences.
            reject: Called with the position and the reason of each one whose tag is not here.
        """
        arrays, positions, tags = sequences
        if not len(positions):
            return
        store, index = _opened(self)
        rows = index.find(tags)
        for part in _parts(store, rows):
            here, joined = _take(store, rows, part, tags)
            is_here = np.zeros(len(rows), bool)
            is_here[here] = True
            for place in part[~is_here[part]].tolist():
                reject(positions[place], self._missing(tags[place], store))
            if len(here) < len(rows):
                kept = {key: _kept(ragged, is_here) for key, ragged in arrays.items()}
                yield {**kept, **joined}, [*compress(positions, is_here)], [*compress(tags, is_here)]
            else:
                yield {**arrays, **joined}, positions, tags

    def _missing(self, tag: str, store: Store) -> RejectedSequence:
        detail = f"{shown(tag)}; the first tag there is {shown(store.tag(0).decode())}"
        return RejectedSequence(f"tag not in {self.where}", detail)


@dataclass(frozen=True)
class TagIndex:
    """Finds rows of a store by their tags.

    Attributes:
        hashes: Of all tags, rising, uint64 [n].
        rows: The rows that have them, [n].
    """

    hashes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, store: Store) -> TagIndex:
        """The index of a store of which all tags are different. Raises SeqmillError where it is damaged."""
        blocks = map(store.block, range(store.num_blocks))
        tags = chain.from_iterable(block.tags.stored or () for block in blocks)
        hashes = np.fromiter(map(xxh3_64_intdigest, tags), np.uint64, store.num_seqs)
        rows = np.argsort(hashes).astype(position_type(len(hashes)))
        return cls(hashes[rows], rows)

    def find(self, tags: Sequence[str]) -> np.ndarray:
        """Rows whose tags have the hashes of some tags, int64 [n]; -1 where there is none."""
        wanted = np.array([xxh3_64_intdigest(tag.encode()) for tag in tags], np.uint64)
        places = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        return np.where(self.hashes[places] == wanted, self.rows[places], -1).astype(np.int64)


@lru_cache(maxsize=4)
def _opened(joined: JoinedStore) -> tuple[Store, TagIndex]:
    """The store, kept for the next split of a run."""
    store = Store(joined.folder)
    if store.manifest.fingerprint != joined.fingerprint:
        raise SeqmillError(f"{joined.folder}: has changed since this run began; run again")
    return store, TagIndex.of(store)


def _parts(store: Store, rows: np.ndarray) -> list[np.ndarray]:
    """Places of ``rows``, -1 for none, in runs whose arrays have about ``_PART_BYTES`` at most."""
    sizes = array_bytes(store.data_keys, {key: column[rows] for key, column in store.lengths.items()})
    steps = np.cumsum(np.where(rows < 0, 0, sizes)) // _PART_BYTES
    return np.split(np.arange(len(rows)), np.flatnonzero(np.diff(steps)) + 1)


def _take(
    store: Store, rows: np.ndarray, part: np.ndarray, tags: Sequence[str]
) -> tuple[np.ndarray, dict[str, Ragged]]:
    """Which places of a part have a row of their tag, and its arrays.

    Args:
        store: The store.
        rows: Rows whose tags have the hashes of ``tags``, -1 for none, [n].
        part: Places of some of them, rising.
        tags: The tags, [n].
    """
    part = part[rows[part] >= 0]
    numbers = np.searchsorted(store.block_starts, rows[part], "right") - 1
    is_it = np.zeros(len(part), bool)
    places = {key: np.zeros(len(part), np.int64) for key in store.data_keys}
    lengths = {key: column[rows[part]] for key, column in store.lengths.items()}
    held = []  # what addresses point into
    for number in np.unique(numbers).tolist():
        block = store.block(number)
        held.append(block)
        chosen = np.flatnonzero(numbers == number)
        local = rows[part[chosen]] - store.block_starts[number]
        there = block.tags.take(local)
        # Another tag may have the same hash.
        is_it[chosen] = [tag == tags[place].encode() for tag, place in zip(there, part[chosen], strict=True)]
        for key, spec in store.data_keys.items():
            column = block.keys[key]
            starts = column.offsets[local].astype(np.int64) * spec.frame_bytes
            sizes = lengths[key][chosen].astype(np.int64) * spec.frame_bytes
            places[key][chosen] = addresses(column.elements.view(np.uint8), starts, sizes)
    arrays = {}
    for key, spec in store.data_keys.items():
        own = lengths[key][is_it]
        flat = copied(places[key][is_it], own.astype(np.int64) * spec.frame_bytes).view(spec.elements)
        arrays[key] = Ragged(flat.reshape(-1, *spec.feature_shape), own)
    return part[is_it], arrays


def _kept(ragged: Ragged, kept: np.ndarray) -> Ragged:
    return Ragged(ragged.values[np.repeat(kept, ragged.lengths)], ragged.lengths[kept])


def _text_or_none(value: Any) -> str | None:
    try:
        return tag_text(value)
    except RejectedSequence:
        return None
