"""What there is: the corpora in figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seqmill.pipelines.report.page import Section, Text, paragraph, table
from seqmill.transforms.batches.layout import EpochLayout, selected_counts
from seqmill.transforms.planning.plan import EpochPlan
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.sequence_store import Store


def section(
    stores: Mapping[str, Store], schedules: Mapping[str, Schedule], first: Mapping[str, EpochLayout]
) -> Section:
    """Sequences, frames, epochs, bytes and padding of each corpus.

    Args:
        stores: By corpus.
        schedules: Likewise.
        first: The first epoch of each.
    """
    corpora: list[list[object]] = []
    keys: list[list[object]] = []
    reasons: list[list[object]] = []
    for name, store in stores.items():
        counts = selected_counts(store, first[name].selection)
        corpora.append(_corpus(name, counts, schedules[name], first[name]))
        keys += _data_keys(name, store, first[name].plan)
        reasons += _reasons(name, counts)
    counted = ("read", "kept", "dropped", "rejected", "epochs", "batches", "shapes", "bytes")
    nothing = paragraph("No sequence was dropped or rejected.")
    return Section(
        "Overview",
        "What was read, what takes part, and what the first epoch of each corpus comes to: its batches, "
        "their different shapes (XLA compiles once for each), its bytes on disk, and the share of the frames "
        "of training steps that is padding.",
        (
            table([Text("corpus"), *counted], corpora),
            table([Text("corpus"), Text("data key"), Text("arrays"), "labels", "frames", "padding"], keys),
            table([Text("corpus"), Text(""), Text("reason"), "sequences"], reasons) if reasons else nothing,
        ),
    )


def _corpus(name: str, counts: Counts, schedule: Schedule, first: EpochLayout) -> list[object]:
    return [
        Text(name),
        counts.read,
        counts.kept,
        sum(counts.dropped.values()),
        sum(counts.rejected.values()),
        schedule.num_stored,
        first.plan.num_batches,
        first.plan.num_shapes,
        int(first.batch_bytes.sum()),
    ]


def _data_keys(name: str, store: Store, plan: EpochPlan) -> Iterator[list[object]]:
    for key, spec in store.data_keys.items():
        true, steps = plan.num_frames[key], int(plan.step_frames[key].sum())
        shape = ", ".join(map(str, ("T", *spec.feature_shape)))
        labels = f"{spec.num_labels:,}" if spec.num_labels else ""
        arrays = Text(f"{spec.type}, {spec.batch_dtype.name} [{shape}]")
        yield [Text(name), Text(key), arrays, labels, true, f"{1 - true / max(steps, 1):.1%}"]


def _reasons(name: str, counts: Counts) -> Iterator[list[object]]:
    for kind, by_reason in (("dropped", counts.dropped), ("rejected", counts.rejected)):
        for reason, number in by_reason.items():
            yield [Text(name), Text(kind), Text(reason, is_long=True), number]
