"""What a plan makes on disk: the exact bytes of every batch, the shards, and the corpus' manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import numpy as np

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.described_options import describe
from seqmill.transforms.batches.manifest import FORMAT, Epoch, Manifest
from seqmill.transforms.batches.plan_file import plan_checksum, write_plan
from seqmill.transforms.batches.record import CODE_VERSION as RECORD_VERSION
from seqmill.transforms.batches.record import LARGEST_RECORD, record_sizes
from seqmill.transforms.batches.segment import Segment, cut_segments, epoch_fingerprint
from seqmill.transforms.planning.length_buckets import with_buckets, without_buckets
from seqmill.transforms.planning.mix import windows
from seqmill.transforms.planning.plan import CODE_VERSION as PLANNING_VERSION
from seqmill.transforms.planning.plan import EpochPlan, Selection, plan_epoch, seqs_of_sources
from seqmill.transforms.planning.schedule import EpochRange, Schedule
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.records.tfrecord import FRAME_BYTES
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import NothingLeftError, SeqmillError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.sequence_store import Store

_MOST_MIXED = (1 << 31) - 1
_MOST_CHOSEN = 64

_chosen: dict[str, tuple[Schedule, Schedule]] = {}  # by fingerprint: before and after buckets were chosen


@dataclass(frozen=True)
class EpochLayout:
    """A planned epoch and the files it makes.

    Attributes:
        plan: The plan.
        selection: The sequences of which the epoch is a part.
        sources: Of a mixed corpus how many sequences the epoch has of each source.
        plan_file: Size and hash of the file that holds it.
        batch_bytes: Size of every batch's record, [batches].
        segments: One per shard.
    """

    plan: EpochPlan
    selection: Selection
    sources: Mapping[str, int]
    plan_file: Checksum
    batch_bytes: np.ndarray
    segments: tuple[Segment, ...]

    @property
    def oversized(self) -> int:
        """Sequences that alone exceed ``batch_size``."""
        return self.plan.oversized

    def write_plan(self, folder: str) -> None:
        """Writes its plan into a corpus folder."""
        write_plan(folder, self.plan)

    @property
    def entry(self) -> Epoch:
        """The epoch as the corpus' manifest lists it."""
        return Epoch(
            epoch=self.plan.epoch,
            fingerprint=epoch_fingerprint(self.segments, self.selection.left_out),
            kept=len(self.selection.rows),
            left_out=self.selection.left_out,
            num_batches=self.plan.num_batches,
            num_seqs=self.plan.num_seqs,
            num_chunks=len(self.plan.seq_index),
            num_frames=self.plan.num_frames,
            padded_frames=self.plan.padded_frames,
            sources=self.sources,
        )


def planned_by(store: Store, schedule: Schedule, anew: bool = False) -> Selections:
    """What takes part in a store's epochs, with the schedule they are planned by: its buckets are chosen.

    Args:
        store: The corpus' store.
        schedule: The epochs, with ``length_buckets`` or without.
        anew: Choose them also where this process has for the same options and content of the store.
    """
    if not schedule.has_buckets:
        return Selections(store.order, schedule)
    asked = without_buckets(schedule)
    selections = Selections(store.order, asked)
    name = corpus_fingerprint(store, asked)
    known = _chosen.get(name)
    if anew or known is None or known[0] != asked:
        if len(_chosen) >= _MOST_CHOSEN:
            _chosen.clear()
        known = _chosen[name] = asked, with_buckets(selections)
    return selections.of(known[1])


def planned_as_there(folder: str, store: Store, schedule: Schedule) -> Selections:
    """As ``planned_by``; time axes that epochs in a corpus' folder have are not chosen again.

    They must have been planned by the same options from what the store holds now, as the fingerprint says,
    of which content, options and the version of our own code are parts.
    """
    if schedule.has_buckets:
        with suppress(SeqmillError, ValueError):
            there = manifest.read(folder)
            then = there.schedule
            is_asked_for = without_buckets(then) == without_buckets(schedule)
            if is_asked_for and there.fingerprint == corpus_fingerprint(store, then):
                return Selections(store.order, then)
    return planned_by(store, schedule)


def check_selections(store: Store, selections: Selections) -> None:
    """Raises SeqmillError where in some epochs no sequence takes part."""
    schedule = selections.schedule
    for stretch in schedule.stretches:
        where = f" in epochs {EpochRange(stretch.first, stretch.last)}" if len(schedule.stretches) > 1 else ""
        check_selection(store, selections.at(stretch.first), stretch.options.mix, where)


def check_selection(store: Store, selection: Selection, mix: Mapping[str, int], where: str = "") -> None:
    """Raises SeqmillError where no sequence takes part, or none of a source that is mixed."""
    if not len(selection.rows):
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in selection.left_out.items())
        raise NothingLeftError(
            f"corpus {store.manifest.corpus}: no sequence is left{where} of {store.order.num_seqs:,} "
            f"({reasons})"
        )
    _check_mixed(store, selection, mix)


def _check_mixed(store: Store, selection: Selection, mix: Mapping[str, int]) -> None:
    name = store.manifest.corpus
    if mix and mix.keys() != selection.sources.keys():
        raise SeqmillError(
            f"corpus {name}: mixes {', '.join(mix)}, but its store holds "
            f"{', '.join(selection.sources) or 'one source'}; run `seqmill ingest`"
        )
    for source in mix:
        if not selection.sources[source]:
            left_out = ", ".join(f"{reason}: {count:,}" for reason, count in selection.left_out.items())
            raise NothingLeftError(
                f"corpus {name}: no sequence is left of {source}, which is mixed into it (left out of all "
                f"sources: {left_out or 'none'}); expected limits that leave some of each source"
            )
    if mix:
        number = sum(end - start for start, end in windows(selection.sources, mix, 1, 0).values())
        if number > _MOST_MIXED:
            raise SeqmillError(
                f"corpus {name}: a pass of its mix would have {number:,} sequences; expected shares that "
                f"come to {_MOST_MIXED:,} at most"
            )


def lay_out(
    store: Store, selections: Selections, epochs: Iterable[int] | None = None
) -> Iterator[EpochLayout]:
    """Plans epochs and lays them out, one after another.

    Args:
        store: The corpus' store.
        selections: What takes part in its epochs, as ``planned_by`` gives it.
        epochs: Which; by default all that are to be stored.
    """
    content, schedule = _content(store), selections.schedule
    for epoch in schedule.stored_epochs if epochs is None else epochs:
        options, selection = schedule.at(epoch), selections.at(epoch)
        plan = plan_epoch(selection, options, epoch)
        if not plan.num_batches:
            own = next(iter(selection.sources.values()), len(selection.rows))
            raise SeqmillError(
                f"corpus {store.manifest.corpus}: epoch {epoch} is empty: partition_epoch = "
                f"{options.partition_epoch}, but only {counted(own, 'sequence')}"
                + (" of its own" if options.mix else "")
            )
        batch_bytes = record_sizes(plan, store.manifest.data_keys, store.tag_sizes)
        _check_record_sizes(store, epoch, batch_bytes)
        plan_file = plan_checksum(plan)
        segments = tuple(cut_segments(plan, plan_file, batch_bytes, options, content))
        sources = seqs_of_sources(selection, options, epoch)
        yield EpochLayout(plan, selection, sources, plan_file, batch_bytes, segments)


def corpus_fingerprint(store: Store, schedule: Schedule) -> str:
    """Of everything that decides the files of a corpus' epochs; the manifest holds it."""
    others = store.manifest.others
    # Not in ``_content``: other labels under the same numbers change no shard.
    vocabs = {key: others.get(str(spec.vocab)) for key, spec in store.data_keys.items() if spec.vocab}
    norms = {key: others.get(spec.norm) for key, spec in store.data_keys.items() if spec.norm}
    parts = (vocabs, norms) if norms else (vocabs,)
    return fingerprint(PLANNING_VERSION, *parts, _content(store), describe(schedule))


def is_planned_from(there: Manifest, store: Store) -> bool:
    """Whether a manifest plans epochs as they are planned from what a store holds now, by its fingerprint."""
    return there.fingerprint == corpus_fingerprint(store, there.schedule)


def selected_counts(store: Store, selection: Selection) -> Counts:
    """What becomes of the records of a corpus where a selection of its sequences takes part."""
    ingested = store.counts
    rejected = {**ingested.rejected, **selection.rejected}
    dropped = Counter(ingested.dropped) + Counter(selection.dropped)
    return replace(ingested, kept=len(selection.rows), dropped=dict(dropped), rejected=rejected)


def planned_manifest(
    store: Store, selections: Selections, epochs: Sequence[Epoch], others: Mapping[str, Checksum]
) -> Manifest:
    """The manifest of a corpus' epochs.

    Args:
        store: The corpus' store.
        selections: What takes part in its epochs, as ``planned_by`` gives it.
        epochs: What is planned.
        others: The files that all epochs have in common.
    """
    schedule = selections.schedule
    return Manifest(
        format=FORMAT,
        fingerprint=corpus_fingerprint(store, schedule),
        corpus=store.manifest.corpus,
        options=describe(schedule),
        data_keys=store.manifest.data_keys,
        counts=selected_counts(store, selections.in_any),
        epochs=tuple(epochs),
        others=others,
        repeats=store.order.repeats or bool(schedule.options.mix),
    )


def _check_record_sizes(store: Store, epoch: int, batch_bytes: np.ndarray) -> None:
    largest = int(batch_bytes.argmax())
    if batch_bytes[largest] - FRAME_BYTES > LARGEST_RECORD:
        raise SeqmillError(
            f"corpus {store.manifest.corpus}: batch {largest} of epoch {epoch} would be a record of "
            f"{int(batch_bytes[largest]) - FRAME_BYTES:,} bytes, and nobody can parse one of more than "
            f"{LARGEST_RECORD:,}: lower batch_size or max_seqs, or, where it is a single sequence, set "
            "max_seq_length or chunking"
        )


def _content(store: Store) -> str:
    """A fingerprint of what the store holds, whatever it was made from, and of how it is written."""
    held = store.manifest
    parts = [(file.xxh128, file.source, file.first_position) for file in held.files]
    order = [one for one in (held.listed, held.mixed) if one]
    return fingerprint(RECORD_VERSION, parts, asdict(held.counts), held.data_keys, *order)
