"""The curves of a training."""

from __future__ import annotations

import math

from seqmill.pipelines.report.drawing import lines
from seqmill.pipelines.report.page import Section, heading
from seqmill.trainer import scores
from seqmill.transforms.storage.ranges import counted

_MOST_EPOCHS = 400
_MOST_METRICS = 12


def section(folder: str) -> Section:
    """The scores over the epochs, a drawing for each metric, where a model folder holds a training."""
    history = scores.read(folder)
    if history is None or not history.epochs:
        return Section(
            "Training", "There are no scores yet; `seqmill train` writes some after each epoch.", ()
        )
    epochs = sorted(history.epochs)
    step = -(-len(epochs) // _MOST_EPOCHS)
    chosen = epochs[::-1][::step][::-1]
    corpora = dict.fromkeys(corpus for epoch in chosen for corpus in history.epochs[epoch])
    metrics = dict.fromkeys(
        metric for epoch in chosen for by_metric in history.epochs[epoch].values() for metric in by_metric
    )
    parts = []
    for metric in [*metrics][:_MOST_METRICS]:
        curves = {
            corpus: (chosen, [history.epochs[e].get(corpus, {}).get(metric, math.nan) for e in chosen])
            for corpus in corpora
            if any(metric in history.epochs[e].get(corpus, {}) for e in chosen)
        }
        of = metric if len(curves) > 1 else f"{metric} of {next(iter(curves))}"
        parts += [
            heading(of),
            lines(
                curves,
                "epoch",
                metric,
                has_points=len(chosen) <= 60,
                from_zero=False,
                by_ones=len(chosen) <= 12,
            ),
        ]
    each = "" if step == 1 else f" One of {step} epochs is shown."
    return Section(
        "Training",
        f"Scores of {counted(len(epochs), 'epoch')} on each corpus; `seqmill best` ranks them.{each}",
        tuple(parts),
    )
