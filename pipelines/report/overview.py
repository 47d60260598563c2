"""What there is: the corpora in figures."""

from __future__ import annotations

from collections.abc import Mapping

from seqmill.pipelines.report.page import Section, Text, paragraph, table
from seqmill.transforms.batches.layout import EpochLayout, selected_counts
from seqmill.transforms.planning.schedule import Schedule
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
    rows: list[list[object]] = []
    frames: list[list[object]] = []
    reasons: list[list[object]] = []
    for name, store in stores.items():
        plan, stored = first[name].plan, len([*schedules[name].stored_epochs])
        counts = selected_counts(store, first[name].selection)
        for kind, by_reason in (("dropped", counts.dropped), ("rejected", counts.rejected)):
            reasons += [[Text(name), Text(kind), Text(why, is_long=True), n] for why, n in by_reason.items()]
        rows.append(
            [
                Text(name),
                counts.read,
                counts.kept,
                sum(counts.dropped.values()),
                sum(counts.rejected.values()),
                stored,
                plan.num_batches,
                plan.num_shapes,
                int(first[name].batch_bytes.sum()),
            ]
        )
        for key, spec in store.data_keys.items():
            true, steps = plan.num_frames[key], int(plan.step_frames[key].sum())
            shape = ", ".join(map(str, ("T", *spec.feature_shape)))
            label = f"{spec.num_labels:,}" if spec.num_labels else ""
            frames.append(
                [
                    Text(name),
                    Text(key),
                    Text(f"{spec.type}, {spec.batch_dtype.name} [{shape}]"),
                    label,
                    true,
                    f"{1 - true / max(steps, 1):.1%}",
                ]
            )
    parts = [
        table(
            [Text("corpus"), "read", "kept", "dropped", "rejected", "epochs", "batches", "shapes", "bytes"],
            rows,
        ),
        table([Text("corpus"), Text("data key"), Text("arrays"), "labels", "frames", "padding"], frames),
    ]
    if reasons:
        parts.append(table([Text("corpus"), Text(""), Text("reason"), "sequences"], reasons))
    else:
        parts.append(paragraph("No sequence was dropped or rejected."))
    return Section(
        "Overview",
        "What was read, what takes part, and what the first epoch of each corpus comes to: its batches, "
        "their different shapes (XLA compiles once for each), its bytes on disk, and the share of the frames "
        "of training steps that is padding.",
        tuple(parts),
    )
