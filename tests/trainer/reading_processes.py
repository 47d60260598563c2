"""A reader of a corpus in a process of its own."""

from __future__ import annotations

import os
from itertools import islice

import seqmill


def rows_read(
    folder: str, reader: tuple[int, int], by: str, first_batch: int, steps: int
) -> tuple[int, list[tuple[str, list[float]]], int]:
    """Makes some steps; gives the process, tag and true frames of every row, and ``batches_done``."""
    data = seqmill.batches(
        seqmill.open_corpus(folder), 1, tags=True, reader=reader, by=by, first_batch=first_batch
    )
    rows = [
        (tag, frames[:length].ravel().tolist())
        for batch in islice(data, steps)
        for tag, frames, length in zip(
            batch["seq_tag"], batch["data"], batch["data_lengths"].tolist(), strict=True
        )
    ]
    return os.getpid(), rows, data.batches_done
