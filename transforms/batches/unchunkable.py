"""Sequences that cannot be chunked: they are rejected, and listed beside the epochs."""

from __future__ import annotations

import numpy as np
import orjson

from seqmill.transforms.batches.layout import selected_counts
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.planning.plan import CHUNKS_DISAGREE
from seqmill.transforms.planning.schedule import EpochRange, Schedule
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum
from seqmill.transforms.store.finish_store import check_rejected
from seqmill.transforms.store.sequence_store import Store


def list_unchunkable(
    folder: str, store: Store, schedule: Schedule, max_rejected: float
) -> dict[str, Checksum]:
    """Lists the sequences of which data keys have different numbers of chunks in some epochs.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        schedule: What the epochs are planned by.
        max_rejected: Largest share of all rejects in any epoch.

    Returns:
        What was written, by name.

    Raises:
        SeqmillError: Too many are rejected.
    """
    path = output_folder.rejected_path(folder, output_folder.PLAN)
    files.remove(path)
    selections = Selections(store.order, schedule)
    epochs_of = _epochs_of(selections, schedule)
    if not epochs_of:
        return {}
    with files.write_atomically(path) as file:
        for row, epochs in sorted(epochs_of.items()):
            lengths = {key: int(column[row]) for key, column in store.lengths.items()}
            source, position = store.place(row)
            reject = {
                "source": source,
                "position": position,
                "seq_tag": store.tag(row).decode(errors="replace"),
                "reason": CHUNKS_DISAGREE,
                "detail": ", ".join(f"{key} has {length} frames" for key, length in lengths.items()),
            }
            if len(epochs) < len(schedule.stretches):
                reject["epochs"] = ",".join(map(str, epochs))
            file.write(orjson.dumps(reject) + b"\n")
    _check(selections, store, schedule, max_rejected, path)
    return {output_folder.rejected_name(output_folder.PLAN): checksum(path)}


def check_unchunkable(store: Store, schedule: Schedule, max_rejected: float) -> None:
    """Raises SeqmillError where too much is rejected for some epochs; lists nothing."""
    _check(Selections(store.order, schedule), store, schedule, max_rejected, None)


def are_few_rejected(was: Manifest, max_rejected: float) -> bool:
    """Whether of a corpus that was planned no more is rejected in any epoch than is allowed."""
    ingested = sum(number for reason, number in was.counts.rejected.items() if reason != CHUNKS_DISAGREE)
    most = max(epoch.left_out.get(CHUNKS_DISAGREE, 0) for epoch in was.epochs)
    return ingested + most <= max_rejected * was.counts.read


def _check(
    selections: Selections, store: Store, schedule: Schedule, max_rejected: float, path: str | None
) -> None:
    """Raises SeqmillError where too much is rejected for some epochs; ``path``: what lists them."""
    for stretch in schedule.stretches:
        counts = selected_counts(store, selections.at(stretch.first))
        check_rejected(store.manifest.corpus, counts, max_rejected, path)


def _epochs_of(selections: Selections, schedule: Schedule) -> dict[int, list[EpochRange]]:
    """Rows of the store that cannot be chunked, and in which epochs."""
    found: dict[int, list[EpochRange]] = {}
    for stretch in schedule.stretches:
        for row in np.unique(selections.at(stretch.first).disagreeing).tolist():
            found.setdefault(row, []).append(EpochRange(stretch.first, stretch.last))
    return found
