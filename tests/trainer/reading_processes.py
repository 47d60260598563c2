"""A reader of a corpus in a process of its own."""

from __future__ import annotations

import os
from itertools import islice

import numpy as np

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


def sums_of_losses(
    folder: str, reader: tuple[int, int], by: str, transition: list
) -> list[tuple[float, int]]:
    """Per batch the sum of the losses of all frames of a linear model, and how many frames these are."""
    sums = []
    for batch in seqmill.batches(seqmill.open_corpus(folder), 1, reader=reader, by=by):
        scores = batch["data"].astype("f8") @ np.array(transition)
        log_sums = np.log(np.exp(scores).sum(-1))
        losses = log_sums - np.take_along_axis(scores, batch["classes"][..., None], -1)[..., 0]
        mask = np.arange(losses.shape[1]) < batch["data_lengths"][:, None]
        sums.append((float((losses * mask).sum()), int(mask.sum())))
    return sums
