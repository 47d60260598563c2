"""Segments of planned epochs to shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.begin_epochs import EpochsToWrite, begin, plan_corpus
from seqmill.transforms.batches.corpus_epochs import EpochsAsked
from seqmill.transforms.batches.finish_epochs import FinishEpochs
from seqmill.transforms.batches.handed_plan import HandedEpoch, remove_left_plan, take_plan
from seqmill.transforms.batches.layout import check_selections, corpus_fingerprint
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.write_shards import WriteShards, open_store
from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.beam.plan_epochs import PlannedSegment, leave_plan_of
from seqmill.transforms.beam.step import Part
from seqmill.transforms.beam.tasks import DoTasks, PartTask
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage.current_run import clear_leftovers
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store


@beam.typehints.with_input_types(PlannedSegment)
@beam.typehints.with_output_types(Manifest)
@dataclass(eq=False)
class WriteBatches(beam.PTransform):
    """Writes the epochs of a corpus, a shard for each segment; gives one element, the corpus' manifest.

    The bytes are those that ``seqmill preprocess`` writes from the same store and options. Shards that are
    there as planned are kept, so that a pipeline that failed goes on where it was when it is run again.

    All segments of one ``PlanEpochs`` must come, as they are; transforms of your own may stand between. The
    plan itself is left by ``PlanEpochs`` in this folder. Where it is not there, epochs are planned again.

    Args:
        folder: The corpus' folder of epochs: path or URL that all workers reach.

    Raises:
        UsageError: The folder is none.

    >>> import apache_beam as beam, seqmill
    >>> from seqmill.transforms.beam import PlanEpochs, WriteBatches
    >>> with beam.Pipeline() as pipeline:
    ...     segments = pipeline | PlanEpochs("work/store/train", {"max_seqs": 4, "seq_ordering": "sorted"})
    ...     manifests = segments | WriteBatches("mine/epochs/train")
    ...     printed = manifests | beam.Map(lambda manifest: print(manifest.epochs[0].num_batches))
    2
    >>> seqmill.read_manifest("mine/epochs/train").counts.kept
    8
    """

    folder: str

    def __post_init__(self) -> None:
        self.folder = fields.folder_of(self, self.folder)

    def expand(self, segments: Any) -> Any:  # noqa: D102
        leave_plan_of(segments, self.folder)
        return (
            segments
            | "Key" >> beam.Map(_keyed).with_output_types(tuple[int, PlannedSegment])
            | "Together" >> beam.GroupByKey()
            | "Begin" >> beam.FlatMap(_begin, self.folder).with_output_types(PartTask)
            | "Do" >> DoTasks()
            | "Count" >> beam.Map(_count).with_output_types(Manifest)
        )


def begin_epochs(
    folder: str,
    store: Store,
    selections: Selections,
    max_rejected: float,
    handed: Sequence[HandedEpoch] | None = None,
) -> EpochsToWrite:
    """Plans the epochs of a store and makes their folder ready: what is to be written then is the result.

    Done again while shards are written, it leaves what is there.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        selections: What takes part in its epochs.
        max_rejected: Largest share of rejected sequences.
        handed: The epochs, where they are planned already.
    """
    clear_leftovers(folder)
    check_selections(store, selections)
    work = plan_corpus(folder, store, selections, max_rejected, handed=handed)
    if _manifest_there(folder) != work.manifest:
        begin(work)
    return work


def epochs_part(store: Store, asked: EpochsAsked, work: EpochsToWrite) -> Part:
    """What does the segments of a corpus, and finishes its epochs."""
    write = WriteShards(work.folder, store.folder, store.manifest.fingerprint, asked.schedule, work.run)
    finish = FinishEpochs(work.folder, work.run, tuple(work.epochs))
    return Part(store.manifest.corpus, work.folder, (), (), write, partial(_finish, finish))


def _keyed(segment: PlannedSegment) -> tuple[int, PlannedSegment]:
    return 0, segment


def _begin(keyed: tuple[int, Iterable[PlannedSegment]], folder: str) -> Iterator[PartTask]:
    given = {one.segment: one for one in keyed[1]}
    first = next(iter(given.values()))
    for one in given.values():
        if (one.store_folder, one.store_fingerprint, one.asked) != (
            first.store_folder,
            first.store_fingerprint,
            first.asked,
        ):
            raise SeqmillError(
                f"{folder}: segments of {first.store_folder} and of {one.store_folder}, or of other options; "
                "expected those of one PlanEpochs"
            )
    if len(given) != first.num_segments:
        raise SeqmillError(
            f"{folder}: {len(given)} of {first.num_segments} segments came; expected all that PlanEpochs gave"
        )
    store = open_store(first.store_folder, first.store_fingerprint)
    selections = Selections(store.order, first.asked.schedule)
    handed = take_plan(folder, corpus_fingerprint(store, first.asked.schedule), given)
    work = begin_epochs(folder, store, selections, first.asked.max_rejected, handed)
    remove_left_plan(folder)
    if not given.keys() >= {*work.segments}:
        raise SeqmillError(f"{folder}: epochs are planned otherwise than PlanEpochs has; run again")
    part = epochs_part(store, first.asked, work)
    for segment in work.segments:
        yield PartTask(part, segment, len(work.segments))
    if not work.segments:
        yield PartTask(part, None, 0)


def _finish(finish: FinishEpochs, num_tasks: int) -> Manifest:
    finish(num_tasks)
    return manifest.read(finish.folder)


def _manifest_there(folder: str) -> Manifest | None:
    try:
        return manifest.read(folder)
    except SeqmillError:
        return None


def _count(written: Manifest) -> Manifest:
    counting = Counting("WriteBatches")
    counting.epochs(written)
    counting.add("batches", sum(epoch.num_batches for epoch in written.epochs))
    return written
