"""The figures of a plan for people, as tables, and for programs, as JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from rich.cells import cell_len
from rich.console import Console

from seqmill.pipelines.plan_report import CorpusReport, EpochReport, StretchReport
from seqmill.transforms.batches.described_options import show_option
from seqmill.transforms.storage.ranges import counted

_WIDTH = 80
_BAR = 30


def print_reports(
    reports: Sequence[CorpusReport],
    as_json: bool = False,
    width: int | None = None,
    totals: Iterable[str] = (),
) -> None:
    """Prints the figures on standard output, as tables or as JSON.

    Args:
        reports: The figures.
        as_json: Whether as JSON.
        width: Characters that the tables may be wide; by default the terminal's, or 80 where there is none.
        totals: Lines to end with.
    """
    if as_json:
        print(json.dumps([report.to_json() for report in reports], indent=2))  # ASCII, for any terminal
        return
    console = text_console(width)
    for report in reports:
        for line in _lines(report, console.width):
            console.print(line)
        console.print()
    for line in totals:
        for part in wrapped(line, console.width):
            console.print(part)


def text_console(width: int | None = None) -> Console:
    """Prints text as it is, on standard output; ``width`` as for ``print_reports``."""
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=width)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many characters, those after the first indented, words whole."""
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _lines(report: CorpusReport, width: int) -> Iterator[str]:
    yield from wrapped(_summary(report), width)
    for name, (read, kept) in report.sources.items():
        yield f"  {name}: {kept:,} of {counted(read, 'sequence')} kept"
    yield from report.largest_errors
    for key, lengths in report.padded_lengths.items():
        yield from wrapped(f"  {key} is padded to {', '.join(map(str, lengths))} frames", width)
    for stretch in report.schedule:
        yield from wrapped(_stretch(stretch), width)
    yield from _epoch_tables(report, width)
    most = max(bin.num_seqs for bin in report.lengths)
    yield f"lengths of {report.length_key}"
    for bin in report.lengths:
        bar = "█" * round(_BAR * bin.num_seqs / most)
        yield f"  {bin.shortest:>7,} to {bin.longest:>7,} {bin.num_seqs:>12,} {bar}".rstrip()


def _summary(report: CorpusReport) -> str:
    text = f"corpus {report.corpus}: {report.read:,} read, {report.kept:,} kept"
    for kind, counts in (("dropped", report.dropped), ("rejected", report.rejected)):
        for reason, count in counts.items():
            text += f", {count:,} {kind} ({reason})"
    if report.num_epochs > 1:
        text += f"; {counted(report.num_steps, 'step')} in {report.num_epochs:,} epochs"
    return text


def _stretch(report: StretchReport) -> str:
    parts = [f"{name} = {show_option(value)}" for name, value in report.options.items()]
    parts.append(f"{report.kept:,} kept")
    if report.cut_short is not None:
        parts.append(f"the last pass ends after {report.cut_short} parts")
    return f"  epoch{'' if report.epochs.isdigit() else 's'} {report.epochs}: {'; '.join(parts)}"


def _epoch_tables(report: CorpusReport, width: int) -> Iterator[str]:
    """Tables of the epochs' figures, each with the epochs' numbers first and at most ``width`` wide.

    Neighbours of equal figures, and those that differ by chance alone, share a row.
    """
    folded = list(_folded(report))
    numbers = _column("epoch", [_range(same[0].epoch, same[-1].epoch) for same in folded])
    rest = _figures(folded)
    while rest:
        table = [numbers, *rest.pop(0)]
        while rest and _width([*table, *rest[0]]) <= width:
            table += rest.pop(0)
        for row in zip(*table, strict=True):
            yield "  ".join(row)


def _folded(report: CorpusReport) -> Iterator[list[EpochReport]]:
    alike = {number: first for first, last in report.alike for number in range(first, last + 1)}

    def key(epoch: EpochReport) -> object:
        return alike.get(epoch.epoch, replace(epoch, epoch=0))

    return (list(same) for _, same in groupby(report.epochs, key=key))


def _figures(folded: list[list[EpochReport]]) -> list[list[list[str]]]:
    """Columns of figures, in groups that stay side by side."""

    def column(name: str, figure: Callable[[EpochReport], float], form: str = "{:,}") -> list[str]:
        return _column(name, [_spread([figure(epoch) for epoch in same], form) for same in folded])

    first = [[column("batches", lambda e: e.num_batches)], [column("sequences", lambda e: e.num_seqs)]]
    for name in folded[0][0].sources:
        first.append([column(f"of {name}", lambda e, name=name: e.sources[name])])  # type: ignore[misc]
    if any(epoch.num_chunks != epoch.num_seqs for same in folded for epoch in same):
        first.append([column("chunks", lambda e: e.num_chunks)])
    keys = [
        [
            column(f"{key} frames", lambda e, key=key: e.num_frames[key]),  # type: ignore[misc]
            column("padding", lambda e, key=key: e.padding[key], "{:.1%}"),  # type: ignore[misc]
        ]
        for key in folded[0][0].num_frames
    ]
    sizes = _column("batch min/mean/max", [_sizes(same) for same in folded])
    return [
        *first,
        *keys,
        [sizes],
        [column("shapes", lambda e: e.num_shapes)],
        [column("shards", lambda e: e.num_shards)],
        [column("bytes", lambda e: e.bytes)],
        [column("oversized", lambda e: e.oversized)],
    ]


def _sizes(same: Sequence[EpochReport]) -> str:
    """The smallest, mean and largest batch of some epochs, in sequences."""
    mean = sum(epoch.num_chunks for epoch in same) / sum(epoch.num_batches for epoch in same)
    smallest, largest = min(e.smallest_batch for e in same), max(e.largest_batch for e in same)
    return f"{smallest}/{mean:.1f}/{largest}"


def _spread(values: Sequence[float], form: str) -> str:
    """The one value, or the least and the largest, of which the first needs no unit."""
    least, most = form.format(min(values)), form.format(max(values))
    return most if least == most else f"{least.removesuffix('%')}-{most}"


def _column(name: str, cells: Sequence[str]) -> list[str]:
    """A heading and its cells, right-aligned."""
    width = max(map(cell_len, [name, *cells]))
    return [" " * (width - cell_len(cell)) + cell for cell in (name, *cells)]


def _width(columns: list[list[str]]) -> int:
    return cell_len("  ".join(column[0] for column in columns))


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
