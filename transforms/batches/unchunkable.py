"""Sequences that cannot be chunked: they are rejected, and listed beside the epochs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import orjson

from seqmill.transforms.batches.layout import selected_counts
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.planning.plan import CHUNKS_DISAGREE
from seqmill.transforms.planning.schedule import EpochRange
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.finish_store import check_rejected
from seqmill.transforms.store.sequence_store import Store


def list_unchunkable(
    folder: str, store: Store, selections: Selections, max_rejected: float
) -> dict[str, Checksum]:
    """Lists the sequences of which data keys have different numbers of chunks in some epochs.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        selections: What takes part in its epochs.
        max_rejected: Largest share of all rejects in any epoch.

    Returns:
        What was written, by name.

    Raises:
        SeqmillError: Too many are rejected.
    """
    path = output_folder.rejected_path(folder, output_folder.PLAN)
    files.remove(path)
    epochs_of, counts = _look_at(store, selections)
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
            if len(epochs) < len(selections.schedule.stretches):
                reject["epochs"] = ",".join(map(str, epochs))
            file.write(orjson.dumps(reject) + b"\n")
    _check(store, counts, max_rejected, path)
    return {output_folder.rejected_name(output_folder.PLAN): checksum(path)}


def check_unchunkable(store: Store, selections: Selections, max_rejected: float) -> None:
    """Raises SeqmillError where too much is rejected for some epochs; lists nothing."""
    _check(store, _look_at(store, selections)[1], max_rejected, None)


def are_few_rejected(was: Manifest, max_rejected: float) -> bool:
    """Whether of a corpus that was planned no more is rejected in any epoch than is allowed."""
    ingested = sum(number for reason, number in was.counts.rejected.items() if reason != CHUNKS_DISAGREE)
    most = max(epoch.left_out.get(CHUNKS_DISAGREE, 0) for epoch in was.epochs)
    return ingested + most <= max_rejected * was.counts.read


def _check(store: Store, counts: Iterable[Counts], max_rejected: float, path: str | None) -> None:
    """Raises SeqmillError where too much is rejected for some epochs; ``path``: what lists them."""
    for of_stretch in counts:
        check_rejected(store.manifest.corpus, of_stretch, max_rejected, path)


def _look_at(store: Store, selections: Selections) -> tuple[dict[int, list[EpochRange]], list[Counts]]:
    """Rows of the store that cannot be chunked and in which epochs, and what becomes of all by stretches."""
    found: dict[int, list[EpochRange]] = {}
    counts = []
    for stretch in selections.schedule.stretches:
        selection = selections.at(stretch.first)
        counts.append(selected_counts(store, selection))
        for row in np.unique(selection.disagreeing).tolist():
            found.setdefault(row, []).append(EpochRange(stretch.first, stretch.last))
    return found, counts
