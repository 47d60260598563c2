"""One line per epoch, and TensorBoard scalars."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqmill.trainer.options import ENDLESS
from seqmill.transforms.batches.manifest import Epoch
from seqmill.transforms.storage import files


@dataclass
class EpochTimer:
    """Measures epochs for the progress line.

    Args:
        num_epochs: Epochs of the whole training.
        clock: Seconds, from anywhere.
    """

    num_epochs: int
    clock: Callable[[], float] = time.monotonic
    _begun: float = 0.0
    _trained: float = 0.0
    _finished: int = 0
    _total: float = 0.0

    def begin(self, spent: float = 0.0) -> None:
        """An epoch begins, or goes on of which ``spent`` seconds were trained before."""
        self._begun = self.clock() - spent

    def spent(self) -> float:
        """Seconds since the epoch began, those before it was interrupted included."""
        return self.clock() - self._begun

    def trained(self) -> None:
        """Its training is over, its evaluation to come."""
        self._trained = self.spent()

    def end(self, epoch: int, stored: Epoch, scores: Mapping[str, Mapping[str, float]]) -> str:
        """The epoch is over; its progress line."""
        self._finished += 1
        self._total += self.spent()
        to_go = None
        if self.num_epochs != ENDLESS:
            to_go = (self.num_epochs - epoch) * self._total / self._finished
        return progress_line(epoch, self.num_epochs, stored, scores, self._trained, to_go)


def progress_line(
    epoch: int,
    num_epochs: int,
    stored: Epoch,
    scores: Mapping[str, Mapping[str, float]],
    seconds: float,
    to_go: float | None,
) -> str:
    """What one epoch came to.

    Args:
        epoch: The epoch, from 1.
        num_epochs: Epochs of the whole training.
        stored: The stored epoch it read.
        scores: Per corpus and metric the score.
        seconds: Time the training of the epoch took, without evaluation.
        to_go: Seconds to the end of the training; ``None`` where it has none.
    """
    frames, padded = sum(stored.num_frames.values()), sum(stored.padded_frames.values())
    shown = "  ".join(
        f"{corpus} " + " ".join(f"{name} {value:.4g}" for name, value in values.items())
        for corpus, values in scores.items()
    )
    rate = max(seconds, 1e-9)
    number, end = (
        (f"{epoch}", "") if to_go is None else (f"{epoch}/{num_epochs}", f", {duration(to_go)} to go")
    )
    return (
        f"epoch {number}  {shown}  | {stored.num_seqs / rate:,.0f} seqs/s "
        f"{frames / rate:,.0f} frames/s  padding {1 - frames / max(padded, 1):.1%}  "
        f"{duration(seconds)}{end}"
    )


def duration(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ScalarWriters:
    """TensorBoard scalars: one run per corpus under a folder (path or URL), the epoch as step."""

    def __init__(self, folder: str):
        self._folder = folder
        self._writers: dict[str, Any] = {}
        # TensorFlow writes to few object stores: for those events are written here and copied.
        self._temporary = None if files.is_local(folder) else tempfile.TemporaryDirectory()
        self._local = self._temporary.name if self._temporary else folder

    def write(self, epoch: int, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Writes the scores of an epoch."""
        import tensorflow as tf

        # What tf.summary.scalar writes, which itself needs the package tensorboard.
        metadata = tf.compat.v1.SummaryMetadata(data_class=1)  # DATA_CLASS_SCALAR
        metadata.plugin_data.plugin_name = "scalars"
        for corpus, values in scores.items():
            if corpus not in self._writers:
                self._writers[corpus] = tf.summary.create_file_writer(f"{self._local}/{corpus}")
            with self._writers[corpus].as_default():
                for name, value in values.items():
                    tf.summary.write(name, np.float32(value), step=epoch, metadata=metadata)
            self._writers[corpus].flush()
            self._copy(corpus)

    def _copy(self, corpus: str) -> None:
        if self._temporary is None:
            return
        for events in Path(self._local, corpus).iterdir():
            with files.write_atomically(files.join(self._folder, corpus, events.name)) as file:
                file.write(events.read_bytes())
