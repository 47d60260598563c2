"""Tags that must all be different, as sequences are joined by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.encoder import shown
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import map_checked
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.arrow_file import ArrowFile
from seqmill.transforms.store.record_batches import store_schema
from seqmill.transforms.store.sequence_store import StoreFile


def check_unique(
    folder: str,
    corpus: str,
    data_keys: Mapping[str, ArraySpec],
    entries: Sequence[StoreFile],
    hashes: np.ndarray,
) -> None:
    """Refuses tags that several sequences have, by name.

    Args:
        folder: The store's folder.
        corpus: Its name.
        data_keys: What its arrays are like.
        entries: Its files.
        hashes: Of the tags of all sequences, in the order of the files, uint64 [n].

    Raises:
        SeqmillError: Names the first one, and where its sequences are from.
    """
    order = np.argsort(hashes, kind="stable")
    again = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    if not len(again):
        return
    first = again[order[again].argmin()]
    places = [_place(folder, data_keys, entries, int(order[first + step])) for step in (0, 1)]
    (tag, source), (other, other_source) = places
    if tag != other:  # once in some thousand million million pairs
        raise SeqmillError(
            f"corpus {corpus}: the tags {shown(tag)} ({source}) and {shown(other)} ({other_source}) have the "
            "same hash; give one of them another name"
        )
    raise SeqmillError(
        f"corpus {corpus}: a join needs different tags, and "
        f"{counted(len(again), 'sequence has', 'sequences have')} that of another one: {shown(tag)} is in "
        f"{source} and in {other_source}"
    )


def _place(
    folder: str, data_keys: Mapping[str, ArraySpec], entries: Sequence[StoreFile], row: int
) -> tuple[str, str]:
    """The tag of a row, and the source that it is from."""
    for entry in entries:
        if row < entry.num_seqs:
            break
        row -= entry.num_seqs
    mapped = map_checked(files.join(folder, entry.file), entry.checksum)
    file = ArrowFile(
        files.join(folder, entry.file), mapped, store_schema(data_keys, has_tags=True), entry.batch_rows
    )
    number = 0
    while row >= entry.batch_rows[number]:
        row -= entry.batch_rows[number]
        number += 1
    return str(file.batch(number)["seq_tag"][row].as_py()), entry.source
