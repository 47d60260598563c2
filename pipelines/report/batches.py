"""The batches of an epoch one after another: padding and sizes."""

from __future__ import annotations

import numpy as np

from seqmill.pipelines.report.drawing import lines
from seqmill.pipelines.report.page import Section, Text, heading, pair, table
from seqmill.transforms.batches.layout import EpochLayout
from seqmill.transforms.store.sequence_store import Store

_MOST_POINTS = 300


def section(store: Store, layout: EpochLayout) -> Section:
    """Padding and sizes over the first epoch of a corpus.

    Args:
        store: The corpus' store.
        layout: The epoch.
    """
    plan = layout.plan
    starts = first_of_parts(plan.num_batches)
    middle = ((starts + 1 + np.append(starts[1:], plan.num_batches)) / 2).tolist()
    padding, frames = {}, {}
    for key, lengths in plan.lengths.items():
        true = np.add.reduceat(lengths, plan.batch_starts[:-1], dtype=np.int64)
        steps = plan.step_frames[key]
        share = 1 - np.add.reduceat(true, starts) / np.maximum(np.add.reduceat(steps, starts), 1)
        padding[key] = (middle, share.tolist())
        frames[key] = (middle, _means(steps, starts))
    seqs = plan.batch_seqs
    rows = [
        (Text("sequences in a batch"), *_figures(seqs)),
        *((Text(f"frames of {key}"), *_figures(plan.step_frames[key])) for key in plan.lengths),
        (Text("bytes of a record"), *_figures(layout.batch_bytes)),
    ]
    each = plan.num_batches / len(starts)
    point = "a batch" if each == 1 else f"the mean of about {each:,.1f} batches"
    return Section(
        f"Batches of {store.manifest.corpus}",
        f"Epoch {plan.epoch} from its first batch to its last; a point is {point}. What changes it: "
        "`seq_ordering` (whether sequences of similar length stand together), `batch_size`, `max_seqs` and "
        "`length_buckets`.",
        (
            heading("Padding"),
            lines(padding, "batch", "share of frames", is_share=True),
            pair(
                heading("Sequences in a batch")
                + lines({"sequences": (middle, _means(seqs, starts))}, "batch", "sequences"),
                heading("Frames of a batch, padding included") + lines(frames, "batch", "frames"),
            ),
            table(["", "smallest", "mean", "largest"], rows),
        ),
    )


def first_of_parts(num_batches: int) -> np.ndarray:
    """The first batches of at most 300 runs of batches of about the same size.

    >>> first_of_parts(3).tolist(), len(first_of_parts(100_000))
    ([0, 1, 2], 300)
    """
    number = min(num_batches, _MOST_POINTS)
    return np.arange(number) * num_batches // number


def _means(values: np.ndarray, starts: np.ndarray) -> list[float]:
    sizes = np.diff(np.append(starts, len(values)))
    return (np.add.reduceat(values, starts) / sizes).tolist()


def _figures(values: np.ndarray) -> tuple[int, str, int]:
    return int(values.min()), f"{values.mean():,.1f}", int(values.max())
