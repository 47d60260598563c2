"""A few sequences as they are: text, waveforms and pictures of features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seqmill.pipelines.report.drawing import lines, picture
from seqmill.pipelines.report.labels import labels_of
from seqmill.pipelines.report.page import Section, cut, heading, plain
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.vocab import decode_labels
from seqmill.transforms.store.sequence_store import Store

_PERCENTILES = (5, 50, 95)
_MOST_CHARACTERS = 500
_MOST_FRAMES, _MOST_ROWS = 600, 128
_MOST_POINTS = 600


def section(store: Store, length_key: str) -> Section:
    """A short, a middling and a long sequence of a store.

    Args:
        store: The store.
        length_key: The data key by whose length they are chosen.
    """
    order = np.argsort(store.lengths[length_key], kind="stable")
    rows = dict.fromkeys(int(order[(len(order) - 1) * percent // 100]) for percent in _PERCENTILES)
    labels = {key: labels_of(store, key) for key, spec in store.data_keys.items() if spec.vocab}
    parts: list[str] = []
    for row in rows:
        parts.append(heading(cut(store.tag(row).decode(errors="replace"), _MOST_CHARACTERS)))
        for key, spec in store.data_keys.items():
            parts += _of_key(key, spec, labels.get(key), store.sequence(key, row))
    return Section(
        f"Sequences of {store.manifest.corpus}",
        f"As the model will see them, of the 5th, 50th and 95th percentile of the length of {length_key}.",
        tuple(parts),
    )


def _of_key(key: str, spec: ArraySpec, labels: tuple[str, ...] | None, array: np.ndarray) -> Iterator[str]:
    size = f"{key}, {len(array):,} frames"
    text = None
    if labels is not None:
        text = decode_labels(labels, array[:_MOST_CHARACTERS].tolist(), spec.type)
    elif spec.type == "bytes":
        text = array[:_MOST_CHARACTERS].tobytes().decode(errors="replace")
    elif array.ndim == 1 and len(array) <= _MOST_POINTS // 20:
        text = " ".join(f"{number:.4g}" for number in array.tolist())
    if text is not None:
        more = "…" if len(array) > _MOST_CHARACTERS >= len(text) else ""
        yield f'<p>{plain(size)}: <span class="label">{plain(cut(text, _MOST_CHARACTERS) + more)}</span></p>'
    elif array.ndim == 1:
        yield f"<p>{plain(size)}</p>"
        yield lines({key: _envelope(array)}, "frame", "value", from_zero=False)
    elif len(array):
        shown = array[:_MOST_FRAMES].reshape(min(len(array), _MOST_FRAMES), -1)[:, :_MOST_ROWS]
        part = "" if len(array) <= _MOST_FRAMES else f", the first {_MOST_FRAMES:,} shown"
        yield f"<p>{plain(size + part)}</p>"
        yield picture(shown, "frame", "feature")


def _envelope(array: np.ndarray) -> tuple[list[int], list[float]]:
    """The least and the greatest number of each of few parts, in turn, and where they are."""
    starts = np.unique(np.linspace(0, len(array), _MOST_POINTS // 2, endpoint=False).astype(np.int64))
    low, high = np.minimum.reduceat(array, starts), np.maximum.reduceat(array, starts)
    return np.repeat(starts, 2).tolist(), np.stack([low, high], axis=1).ravel().astype(float).tolist()
