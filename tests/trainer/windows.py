"""Writes windows of a stream, as ``seqmill preprocess --watch`` does."""

from __future__ import annotations

from pathlib import Path

from epoch_folders import SPECS, regression_epochs, write_corpus

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.stream import (
    begin_stream,
    publish,
    stream_of,
    window_name,
)

SIZES = [3, 2, 4, 1, 3]


def name_of(number: int, pane: int = 0) -> str:
    return window_name(1_795_680_000_000 + 60_000 * number, pane)


def bring(folder: Path, number: int, pane: int = 0, num_batches: int | None = None) -> str:
    """Publishes a window whose batches are others than those of every other; its name."""
    name = name_of(number, pane)
    made = str(folder.parent / "making" / name / "train")
    epochs = regression_epochs([num_batches or SIZES[number % len(SIZES)]], seed=100 * pane + number)
    write_corpus(Path(made), epochs, SPECS, fingerprint=f"window {name}")
    content = manifest.read(made)
    begin_stream(str(folder), stream_of(content))
    publish(made, str(folder), name)
    return name
