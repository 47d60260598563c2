"""Beam's metrics of blocks: what a transform read, kept, dropped and rejected, frames and lengths."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics import Metrics

from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.sequence_block import SequenceBlock


class Counting:
    """Counts what a transform does, in the namespace ``seqmill.<transform>``.

    Counters are ``read``, ``kept``, ``dropped``, ``rejected`` and, per data key, ``frames/<key>``;
    distributions are ``length/<key>``.

    Args:
        transform: Name of the transform.
    """

    def __init__(self, transform: str):
        self._namespace = f"seqmill.{transform}"

    def add(self, name: str, number: int) -> None:
        """Adds to a counter."""
        Metrics.counter(self._namespace, name).inc(number)

    def block(self, block: SequenceBlock, read: int, dropped: int = 0, rejected: int = 0) -> None:
        """Counts a block as the transform leaves it, and the lengths of its sequences.

        Args:
            block: The block.
            read: Records or sequences that the transform took.
            dropped: Sequences that it dropped.
            rejected: Records that it rejected.
        """
        self._numbers(read, block.num_seqs, dropped, rejected)
        self.lengths(block)
        for key, ragged in block.arrays.items():
            self.add(f"frames/{key}", int(ragged.lengths.sum(dtype=int)))

    def lengths(self, block: SequenceBlock) -> None:
        """Adds to the distributions of lengths."""
        for key, ragged in block.arrays.items():
            update = Metrics.distribution(self._namespace, f"length/{key}").update
            for length in ragged.lengths.tolist():
                update(length)

    def whole(self, counts: Counts, num_frames: Mapping[str, int]) -> None:
        """Counts a corpus that was written."""
        self._numbers(counts.read, counts.kept, sum(counts.dropped.values()), sum(counts.rejected.values()))
        for key, frames in num_frames.items():
            self.add(f"frames/{key}", frames)

    def epochs(self, written: Manifest) -> None:
        """Counts a corpus whose epochs were written, with the frames of all of them."""
        keys = written.data_keys
        self.whole(written.counts, {key: sum(one.num_frames[key] for one in written.epochs) for key in keys})

    def _numbers(self, read: int, kept: int, dropped: int, rejected: int) -> None:
        numbers = {"read": read, "kept": kept, "dropped": dropped, "rejected": rejected}
        for name, number in numbers.items():
            self.add(name, number)
