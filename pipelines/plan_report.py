"""What a plan comes to, in figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from seqmill.transforms.batches.described_options import describe_epoch, differing_options
from seqmill.transforms.batches.layout import EpochLayout, selected_counts
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.planning.blocks import blocks
from seqmill.transforms.planning.schedule import EpochRange, Schedule, Stretch
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.store.sequence_store import Store

_BINS = 10


@dataclass(frozen=True)
class EpochReport:
    """Figures of one planned epoch.

    ``padding`` is per key the share of the frames of training steps that hold nothing, rows that fill batches
    up included; ``sources`` are the sequences of each source of a mixed corpus.
    """

    epoch: int
    num_batches: int
    num_seqs: int
    num_chunks: int
    num_frames: Mapping[str, int]
    padded_frames: Mapping[str, int]
    padding: Mapping[str, float]
    smallest_batch: int
    largest_batch: int
    mean_batch: float
    num_shapes: int
    num_shards: int
    bytes: int
    oversized: int
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StretchReport:
    """Consecutive epochs of equal options, where a schedule makes others of some.

    Attributes:
        epochs: The first and the last, such as ``1-5``.
        options: What differs from the options of the corpus.
        kept: Sequences that take part.
        left_out: Sequences that do not, by reason.
        cut_short: Of a pass that is not complete when the next one begins, how many of its parts there are,
            such as ``2 of 4``; else None.
    """

    epochs: str
    options: Mapping[str, Any]
    kept: int
    left_out: Mapping[str, int]
    cut_short: str | None


@dataclass(frozen=True)
class HistogramBin:
    """Sequences whose length in the length key is ``shortest`` … ``longest``."""

    shortest: int
    longest: int
    num_seqs: int


@dataclass(frozen=True)
class CorpusReport:
    """Figures of all planned epochs of a corpus.

    Attributes:
        num_epochs: Epochs of the training.
        num_steps: Batches of all of them.
        schedule: Their options, where these are not the same for all.
        epochs: Those that are stored.
        alike: First and last of the stored epochs that differ from one another by chance alone.
        padded_lengths: Per data key with ``length_buckets`` those that batches are padded to, but for epochs
            of which a schedule says otherwise.
        largest_errors: Of small elements, in words.
        sources: Of a mixed corpus the sequences of each source that were read, and of them those kept.
    """

    corpus: str
    read: int
    kept: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]
    length_key: str
    lengths: tuple[HistogramBin, ...]
    num_epochs: int
    num_steps: int
    schedule: tuple[StretchReport, ...]
    epochs: tuple[EpochReport, ...]
    alike: tuple[tuple[int, int], ...] = ()
    padded_lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    largest_errors: tuple[str, ...] = ()
    sources: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def report_corpus(store: Store, selections: Selections, layouts: Iterable[EpochLayout]) -> CorpusReport:
    """Sums up what would be written of a corpus."""
    schedule, selection = selections.schedule, selections.in_any
    length_key = schedule.options.length_key
    epochs = {layout.plan.epoch: _report_epoch(layout) for layout in layouts}
    counts = selected_counts(store, selection)
    return CorpusReport(
        corpus=store.manifest.corpus,
        read=counts.read,
        kept=counts.kept,
        dropped=counts.dropped,
        rejected=counts.rejected,
        largest_errors=tuple(describe_errors(counts.largest_error, store.data_keys)),
        sources={
            name: (own.read, selection.sources[name]) for name, own in store.counts_of_sources().items()
        },
        length_key=length_key,
        lengths=histogram(selection.lengths[length_key]),
        num_epochs=schedule.num_epochs,
        num_steps=sum(epochs[stored].num_batches * times for stored, times in schedule.times_read),
        schedule=tuple(_report_schedule(selections)),
        epochs=tuple(epochs.values()),
        alike=tuple(_alike(schedule)),
        padded_lengths=schedule.options.batch_limits.padded_lengths,
    )


def _report_schedule(selections: Selections) -> Iterator[StretchReport]:
    """The stretches of a schedule; none where all epochs have the same options."""
    schedule = selections.schedule
    base = describe_epoch(schedule.options)
    if not schedule.changes:
        return
    following: Stretch | None
    for stretch, following in zip(schedule.stretches, (*schedule.stretches[1:], None), strict=True):
        options, selection = describe_epoch(stretch.options), selections.at(stretch.first)
        number, part = stretch.options.place(stretch.last)
        parts = stretch.options.partition_epoch
        goes_on = following is None or following.options.place(following.first)[0] == number
        yield StretchReport(
            epochs=str(EpochRange(stretch.first, stretch.last)),
            options=differing_options(base, options),
            kept=len(selection.rows),
            left_out=selection.left_out,
            cut_short=None if goes_on or part + 1 == parts else f"{part + 1} of {parts}",
        )


def _alike(schedule: Schedule) -> Iterator[tuple[int, int]]:
    for stretch, stored in zip(schedule.stretches, schedule.stored_runs, strict=True):
        if stretch.options.ordering.is_random or stretch.options.mix:
            yield stored[0], stored[-1]


def histogram(lengths: np.ndarray) -> tuple[HistogramBin, ...]:
    """Counts lengths [N] in at most ten bins of equal width."""
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // _BINS)
    counts = np.zeros(_BINS + 1, np.int64)
    for block in blocks(len(lengths)):
        counts += np.bincount((lengths[block] - low) // width, minlength=len(counts))
    counts = np.trim_zeros(counts, "b")
    return tuple(
        HistogramBin(low + i * width, min(low + (i + 1) * width - 1, high), int(count))
        for i, count in enumerate(counts)
    )


def _report_epoch(layout: EpochLayout) -> EpochReport:
    plan, entry = layout.plan, layout.entry
    return EpochReport(
        epoch=entry.epoch,
        num_batches=entry.num_batches,
        num_seqs=entry.num_seqs,
        num_chunks=entry.num_chunks,
        num_frames=entry.num_frames,
        padded_frames=entry.padded_frames,
        padding={key: 1 - plan.num_frames[key] / int(all_.sum()) for key, all_ in plan.step_frames.items()},
        smallest_batch=int(plan.batch_seqs.min()),
        largest_batch=int(plan.batch_seqs.max()),
        mean_batch=len(plan.seq_index) / plan.num_batches,
        num_shapes=plan.num_shapes,
        num_shards=len(layout.segments),
        bytes=sum(segment.bytes for segment in layout.segments),
        oversized=plan.oversized,
        sources=entry.sources,
    )
