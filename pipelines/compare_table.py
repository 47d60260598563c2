"""The comparison of combinations of options for people, as a table, and for programs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from seqmill.pipelines.compare import Row
from seqmill.pipelines.plan_tables import text_console, wrapped

_BEST, _BEST_OF_SIZE, _REFUSED = "*", "+", "!"
_LEGEND = {
    _BEST: "no other pads less and is as random, or is more random and pads no more",
    _BEST_OF_SIZE: "the same among those of equal limits of a batch",
    _REFUSED: "has a record over 2 GB, which preprocess refuses",
}
_EXPLAINED = (
    "batch frames (of the length key) and bytes (of all arrays, in memory): of the smallest and the largest "
    "batch, padding included; random: 1 where sequences of similar length are as far apart as in a random "
    "order, 0 where sorted; steps, and bytes on disk: of an epoch"
)


@dataclass(frozen=True)
class _Column:
    """A heading, which may stand in several lines, and its cells."""

    heading: tuple[str, ...]
    cells: Sequence[str]
    is_label: bool = False

    @property
    def width(self) -> int:
        return max(map(cell_len, [*self.heading, *self.cells]))

    def lines(self, num_headings: int) -> Iterator[str]:
        """The heading over so many lines, then the cells."""
        for text in [*[""] * (num_headings - len(self.heading)), *self.heading, *self.cells]:
            space = " " * (self.width - cell_len(text))
            yield text + space if self.is_label else space + text


def print_comparison(rows: Sequence[Row], as_json: bool = False, width: int | None = None) -> None:
    """Prints a comparison on standard output.

    Args:
        rows: What ``compare`` gave.
        as_json: Whether as JSON.
        width: Characters that the table may be wide; by default the terminal's, or 80 where there is none.
            A table that is wider is folded, its options repeated.
    """
    if as_json:
        print(json.dumps([row.to_json() for row in rows], indent=2))
        return
    console = text_console(width)
    for line in _table(rows, console.width):
        console.print(line.rstrip())
    marks = {mark for row in rows for mark in _mark(row)}
    for mark, text in _LEGEND.items():
        if mark in marks:
            console.print(f"{mark} {text}")
    passes = {row.figures.epochs_per_pass for row in rows}
    of_pass = (
        f" ({passes.pop()} of which are a pass over the corpus)" if max(passes) > 1 == len(passes) else ""
    )
    for line in wrapped(_EXPLAINED + of_pass, console.width):
        console.print(line)


def _table(rows: Sequence[Row], width: int) -> Iterator[str]:
    labels = [
        _Column(("",), [_mark(row) for row in rows], is_label=True),
        *(
            _Column(_stacked(_short(flag)), [row.options[flag] for row in rows], is_label=True)
            for flag in rows[0].options
        ),
    ]
    rest = _figures(rows)
    while rest:
        shown = [*labels, rest.pop(0)]
        while rest and (_width([*shown, rest[0]], 1) <= width):
            shown.append(rest.pop(0))
        gap = " " if _width(shown, 2) > width else "  "
        num_headings = max(len(column.heading) for column in shown)
        for parts in zip(*(column.lines(num_headings) for column in shown), strict=True):
            yield gap.join(parts)


def _figures(rows: Sequence[Row]) -> list[_Column]:
    all_figures = [row.figures for row in rows]
    columns = [_Column(("steps",), [f"{one.steps_per_epoch:.0f}" for one in all_figures])]
    if len({one.epochs_per_pass for one in all_figures}) > 1:
        columns.append(_Column(("batches", "a pass"), [f"{one.num_batches}" for one in all_figures]))
    columns += [
        _Column(("pad %", *_stacked(key)), [f"{100 * one.padding[key]:.1f}" for one in all_figures])
        for key in all_figures[0].padding
    ]
    return [
        *columns,
        _Column(("shapes",), [f"{one.num_shapes}" for one in all_figures]),
        _Column(("batch", "frames"), ["-".join(map(_compact, one.batch_frames)) for one in all_figures]),
        _Column(("batch", "bytes"), ["-".join(map(_compact, one.batch_bytes)) for one in all_figures]),
        _Column(("random",), [f"{one.randomness:.2f}" for one in all_figures]),
        _Column(("on", "disk"), [_compact(one.bytes) for one in all_figures]),
    ]


def _mark(row: Row) -> str:
    best = _BEST if row.is_best else _BEST_OF_SIZE if row.is_best_of_its_size else ""
    return best + (_REFUSED if row.figures.is_refused else "")


def _short(flag: str) -> str:
    return flag.rpartition(".")[2]


def _stacked(name: str) -> tuple[str, ...]:
    """A name in lines of its words."""
    first, *others = name.split("_")
    return (f"{first}_", *(f"{word}_" for word in others[:-1]), others[-1]) if others else (first,)


def _width(columns: Sequence[_Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)


def _compact(number: int) -> str:
    """A whole number in few digits: ``950``, ``12k``, ``1.2k``, ``40M``.

    >>> _compact(950), _compact(1_240), _compact(12_400), _compact(999_900), _compact(40_000_000)
    ('950', '1.2k', '12k', '1M', '40M')
    """
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 0.9995 * size:
            digits = f"{number / size:.1f}" if number < 9.95 * size else f"{number / size:.0f}"
            return f"{digits.removesuffix('.0')}{unit}"
    return f"{number}"
