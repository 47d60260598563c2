"""Other orderings and batch sizes, and what each would come to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from seqmill.pipelines.compare import Figures, best_of, figures_of
from seqmill.pipelines.report.drawing import Point, points
from seqmill.pipelines.report.page import Section, Text, table
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.order import Ordering
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.store.sequence_store import Store

_ORDERINGS = (
    Ordering("random"),
    Ordering("laplace", bin_size=100),
    Ordering("laplace", bin_size=1000),
    Ordering("sorted"),
)
_Variation = tuple[str, str, EpochOptions]  # the ordering and the limits in words, and the options
_SIZES = (Fraction(1, 2), Fraction(1), Fraction(2))  # exact for limits of any size


def section(store: Store, options: EpochOptions) -> Section:
    """A comparison of the options in force with others near them.

    Args:
        store: The corpus' store.
        options: Those in force.
    """
    tried, found = _different(store, _variations(options))
    _, best = best_of(found, [one for _, _, one in tried])
    groups: dict[str, list[Point]] = {}
    rows: list[list[object]] = []
    for number, ((order, size, one), figures) in enumerate(zip(tried, found, strict=True)):
        text = f"{order}, {size}: {figures.padding_bytes:.1%} padding, {figures.steps_per_epoch:,.0f} steps"
        point = Point(figures.padding_bytes, figures.randomness, text, number in best)
        groups.setdefault(order, []).append(point)
        in_force = ""
        if one == options:
            now, in_force = point, " (now)"
        rows.append([Text("best" if number in best else ""), Text(order + in_force), *_cells(size, figures)])
    texts = [Text(""), Text("seq_ordering"), Text("batch limits")]
    return Section(
        f"Other choices for {store.manifest.corpus}",
        "Each point is an ordering with half, the same or twice the limits of a batch: at the left there is "
        "little padding, at the top the order is as random as `random`, at the bottom sequences of "
        "similar length stand together. The ring is what the configuration says now. Filled points (best in "
        "the table) are those that no other one of the same limits beats in both; hollow ones are beaten. "
        "Steps are those of an epoch, shapes those of all epochs of a pass. `seqmill plan --compare` "
        "compares any options.",
        (
            points(groups, ("now", now), "padding, share of all bytes", "randomness"),
            table([*texts, "padding", "random", "steps", "shapes", "largest batch, bytes"], rows),
        ),
    )


def _different(store: Store, variations: Iterable[_Variation]) -> tuple[list[_Variation], list[Figures]]:
    """Those of some variations that come to something else than one of the same limits before them.

    Args:
        store: The corpus' store.
        variations: The variations.

    Returns:
        Them, and what they come to.
    """
    tried = [*variations]
    kept: dict[str, tuple[_Variation, Figures]] = {}
    for one, figures in zip(tried, figures_of(store, [options for _, _, options in tried]), strict=True):
        kept.setdefault(f"{one[1]} {figures}", (one, figures))
    return [one for one, _ in kept.values()], [figures for _, figures in kept.values()]


def _variations(options: EpochOptions) -> Iterator[_Variation]:
    """The ordering, the limits and the options, those in force among them, each once."""
    in_force = options.batch_limits
    for ordering in dict.fromkeys([options.ordering, *_ORDERINGS]):
        for size in _SIZES:
            limits = _scaled(in_force, size)
            if size != 1 and limits == _scaled(in_force, Fraction(1)):
                continue  # half of 1 is 1
            if size == 1 and ordering == options.ordering:
                limits = in_force
            shown = [f"{key} {most:,}" for key, most in limits.batch_size.items()]
            shown += [] if limits.max_seqs is None else [f"{limits.max_seqs:,} sequences"]
            yield str(ordering), ", ".join(shown), replace(options, ordering=ordering, batch_limits=limits)


def _scaled(limits: BatchLimits, size: Fraction) -> BatchLimits:
    """Limits so many times as large, for which padded lengths are still to be chosen."""
    return replace(
        limits,
        batch_size={key: max(int(most * size), 1) for key, most in limits.batch_size.items()},
        max_seqs=None if limits.max_seqs is None else max(int(limits.max_seqs * size), 1),
        padded_lengths={},
    )


def _cells(size: str, figures: Figures) -> list[object]:
    return [
        Text(size),
        f"{figures.padding_bytes:.1%}",
        f"{figures.randomness:.2f}",
        f"{figures.steps_per_epoch:,.0f}",
        figures.num_shapes,
        figures.batch_bytes[1],
    ]
