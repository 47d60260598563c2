"""What a plan comes to, in figures: for people as tables, for programs as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console

from seqmill.transforms.batches.described_options import describe_epoch, show_option
from seqmill.transforms.batches.layout import EpochLayout, selected_counts
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.planning.plan import Selection
from seqmill.transforms.planning.schedule import EpochRange, Schedule, Stretch
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.store.sequence_store import Store

_BINS = 10
_BAR = 30


@dataclass(frozen=True)
class EpochReport:
    """Figures of one planned epoch; ``padding`` is the share of padded frames that hold nothing, per key."""

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
        largest_errors: Of small elements, in words.
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
    largest_errors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


def report_corpus(
    store: Store, selection: Selection, schedule: Schedule, layouts: Iterable[EpochLayout]
) -> CorpusReport:
    """Sums up what would be written of a corpus."""
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
        length_key=length_key,
        lengths=histogram(selection.lengths[length_key]),
        num_epochs=schedule.num_epochs,
        num_steps=sum(epochs[stored].num_batches * times for stored, times in schedule.times_read),
        schedule=tuple(_report_schedule(store, schedule)),
        epochs=tuple(epochs.values()),
    )


def _report_schedule(store: Store, schedule: Schedule) -> Iterator[StretchReport]:
    """The stretches of a schedule; none where all epochs have the same options."""
    base, selections = describe_epoch(schedule.options), Selections(store.lengths, schedule)
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
            options={name: value for name, value in options.items() if base[name] != value},
            kept=len(selection.rows),
            left_out=selection.left_out,
            cut_short=None if goes_on or part + 1 == parts else f"{part + 1} of {parts}",
        )


def histogram(lengths: np.ndarray) -> tuple[HistogramBin, ...]:
    """Counts lengths [N] in at most ten bins of equal width."""
    low, high = int(lengths.min()), int(lengths.max())
    width = -(-(high - low + 1) // _BINS)
    counts = np.bincount((lengths - low) // width)
    return tuple(
        HistogramBin(low + i * width, min(low + (i + 1) * width - 1, high), int(count))
        for i, count in enumerate(counts)
    )


def print_reports(reports: Iterable[CorpusReport], as_json: bool = False, width: int | None = None) -> None:
    """Prints the figures on standard output, as tables or as JSON.

    Args:
        reports: The figures.
        as_json: Whether as JSON.
        width: Characters that the tables may be wide; by default the terminal's, or 200 where there is none.
    """
    if as_json:
        print(json.dumps([report.to_json() for report in reports], indent=2))  # ASCII, for any terminal
        return
    width = width or (None if sys.stdout.isatty() else 200)
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=width)
    for report in reports:
        console.print(_summary(report))
        for stretch in report.schedule:
            console.print(_stretch(stretch))
        for line in _epoch_tables(report, console.width):
            console.print(line)
        most = max(bin.num_seqs for bin in report.lengths)
        console.print(f"lengths of {report.length_key}")
        for bin in report.lengths:
            bar = "█" * round(_BAR * bin.num_seqs / most)
            console.print(f"  {bin.shortest:>7,} to {bin.longest:>7,} {bin.num_seqs:>12,} {bar}")
        console.print()


def _report_epoch(layout: EpochLayout) -> EpochReport:
    plan, entry = layout.plan, layout.entry
    return EpochReport(
        epoch=entry.epoch,
        num_batches=entry.num_batches,
        num_seqs=entry.num_seqs,
        num_chunks=entry.num_chunks,
        num_frames=entry.num_frames,
        padded_frames=entry.padded_frames,
        padding={key: 1 - entry.num_frames[key] / padded for key, padded in entry.padded_frames.items()},
        smallest_batch=int(plan.batch_seqs.min()),
        largest_batch=int(plan.batch_seqs.max()),
        mean_batch=len(plan.seq_index) / plan.num_batches,
        num_shapes=plan.num_shapes,
        num_shards=len(layout.segments),
        bytes=sum(segment.bytes for segment in layout.segments),
        oversized=plan.oversized,
    )


def _summary(report: CorpusReport) -> str:
    text = f"corpus {report.corpus}: {report.read:,} read, {report.kept:,} kept"
    for kind, counts in (("dropped", report.dropped), ("rejected", report.rejected)):
        for reason, count in counts.items():
            text += f", {count:,} {kind} ({reason})"
    if report.num_epochs > 1:
        text += f"; {report.num_steps:,} steps in {report.num_epochs:,} epochs"
    return "; ".join([text, *report.largest_errors])


def _stretch(report: StretchReport) -> str:
    parts = [f"{name} = {show_option(value)}" for name, value in report.options.items()]
    parts.append(f"{report.kept:,} kept")
    if report.cut_short is not None:
        parts.append(f"the last pass ends after {report.cut_short} parts")
    return f"  epochs {report.epochs}: {'; '.join(parts)}"


def _epoch_tables(report: CorpusReport, width: int) -> Iterator[str]:
    """Tables of the epochs' figures, each with the epochs' numbers first and at most ``width`` wide.

    Neighbours of equal figures share a row.
    """
    folded = [list(same) for _, same in groupby(report.epochs, key=lambda epoch: replace(epoch, epoch=0))]
    numbers = _column("epoch", [_range(same[0].epoch, same[-1].epoch) for same in folded])
    rest = _figures(report, [same[0] for same in folded])
    while rest:
        table = [numbers, *rest.pop(0)]
        while rest and _width([*table, *rest[0]]) <= width:
            table += rest.pop(0)
        for row in zip(*table, strict=True):
            yield "  ".join(row)


def _figures(report: CorpusReport, epochs: list[EpochReport]) -> list[list[list[str]]]:
    """Columns of figures, in groups that stay side by side."""
    columns = {
        "batches": [f"{epoch.num_batches:,}" for epoch in epochs],
        "sequences": [f"{epoch.num_seqs:,}" for epoch in epochs],
    }
    if any(epoch.num_chunks != epoch.num_seqs for epoch in epochs):
        columns["chunks"] = [f"{epoch.num_chunks:,}" for epoch in epochs]
    first = [[_column(name, cells)] for name, cells in columns.items()]
    keys = [
        [
            _column(f"{key} frames", [f"{epoch.num_frames[key]:,}" for epoch in epochs]),
            _column("padding", [f"{epoch.padding[key]:.1%}" for epoch in epochs]),
        ]
        for key in report.epochs[0].num_frames
    ]
    columns = {
        "batch min/mean/max": [
            f"{epoch.smallest_batch}/{epoch.mean_batch:.1f}/{epoch.largest_batch}" for epoch in epochs
        ],
        "shapes": [f"{epoch.num_shapes:,}" for epoch in epochs],
        "shards": [f"{epoch.num_shards:,}" for epoch in epochs],
        "bytes": [f"{epoch.bytes:,}" for epoch in epochs],
        "oversized": [f"{epoch.oversized:,}" for epoch in epochs],
    }
    return [*first, *keys, *([_column(name, cells)] for name, cells in columns.items())]


def _column(name: str, cells: list[str]) -> list[str]:
    """A heading and its cells, right-aligned."""
    width = max(map(cell_len, [name, *cells]))
    return [" " * (width - cell_len(cell)) + cell for cell in (name, *cells)]


def _width(columns: list[list[str]]) -> int:
    return cell_len("  ".join(column[0] for column in columns))


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
