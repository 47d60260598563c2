"""A sequence store to the segments of its epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor

from seqmill.transforms.batches.corpus_epochs import MAX_REJECTED, EpochsAsked, ask_epochs
from seqmill.transforms.batches.handed_plan import leaving_plan
from seqmill.transforms.batches.layout import check_selections, corpus_fingerprint, lay_out, planned_by
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.beam import fields
from seqmill.transforms.beam.staged_sequences import StoreWritten
from seqmill.transforms.beam.write_store import WriteStore
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class PlannedSegment:
    """A segment of a planned epoch, the work of one shard, and all that it takes to write it.

    Attributes:
        segment: Its epoch, batches, bytes and file.
        store_folder: The store that its sequences are in.
        store_fingerprint: Of that store.
        asked: What the epochs of the corpus are planned by.
        num_segments: How many segments all epochs of the corpus have.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import PlanEpochs
    >>> with beam.Pipeline() as pipeline:
    ...     segments = pipeline | PlanEpochs("work/store/train", {"max_seqs": 3})
    ...     printed = segments | beam.Map(lambda planned: print(planned.segment.bytes, planned.num_segments))
    1159 1
    """

    segment: Segment
    store_folder: str
    store_fingerprint: str
    asked: EpochsAsked
    num_segments: int


@beam.typehints.with_output_types(PlannedSegment)
@dataclass(eq=False)
class PlanEpochs(beam.PTransform):
    """Plans the epochs of a store: what is dropped, the order, chunks and batches; gives their segments.

    It stands at the beginning of a pipeline, where the store is there already, or behind the ``WriteStore``
    that writes the store.

    Args:
        store_folder: The store's folder.
        options: By the names of a configuration (``batch_size``, ``max_seqs``, ``max_seq_length``,
            ``seq_ordering``, ``chunking``, ``num_epochs``, ``seed``, …), or a ``seqmill.Schedule``.

    Raises:
        UsageError: A field is wrong, or the same pipeline writes the store elsewhere.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import PlanEpochs
    >>> with beam.Pipeline() as pipeline:
    ...     segments = pipeline | PlanEpochs("work/store/train", {"max_seqs": 3, "num_shards": 2})
    ...     described = segments | beam.Map(lambda one: (one.segment.file, one.segment.num_batches))
    ...     printed = described | beam.Map(print)
    ('epoch-0001/batches-00000-of-00002.tfrecord', 2)
    ('epoch-0001/batches-00001-of-00002.tfrecord', 1)
    """

    store_folder: str
    options: Mapping[str, Any] | Schedule

    def __post_init__(self) -> None:
        self.store_folder = fields.folder_of(self, self.store_folder, "store_folder")
        fields.epochs_of(self, self.options)

    def expand(self, before: Any) -> Any:  # noqa: D102
        if isinstance(before, beam.pvalue.PBegin | beam.Pipeline):
            _check_written_before(before.pipeline, self.store_folder)
            stores = before | "Store" >> beam.Create([self.store_folder])
        else:
            stores = before
        plan = beam.ParDo(_Plan(self.store_folder, self.options))
        return stores | "Plan" >> plan.with_output_types(PlannedSegment)


def leave_plan_of(segments: Any, folder: str) -> None:
    """Has the ``PlanEpochs`` that segments come from, if there is one, leave its plan for who writes them.

    Not in a bucket, where it would be sent to and fro several times.

    Args:
        segments: Its collection, or what transforms in a line have made of it.
        folder: Where they are written.
    """
    producer = segments.producer if files.is_local(folder) else None
    while producer is not None:
        does = getattr(producer.transform, "fn", None)
        if isinstance(does, _Plan):
            does.folders.append(folder)
            return
        producer = producer.inputs[0].producer if len(producer.inputs) == 1 else None


def asked_of(options: Mapping[str, Any] | Schedule, store: Store) -> tuple[EpochsAsked, Selections]:
    """What options ask for of the epochs of a store, and what takes part in them. Raises UsageError."""
    if isinstance(options, Schedule):
        asked = EpochsAsked(options, MAX_REJECTED)
    else:
        asked = ask_epochs(options, [*store.data_keys])
    selections = planned_by(store, asked.schedule)
    return replace(asked, schedule=selections.schedule), selections


class _Plan(beam.DoFn):
    """A store to the segments of its epochs, of which the plan is left in ``folders``."""

    def __init__(self, store_folder: str, options: Mapping[str, Any] | Schedule):
        self._store_folder, self._options = store_folder, options
        self.folders: list[str] = []

    def process(self, there: str | StoreWritten) -> Iterator[PlannedSegment]:
        store = _store(there, self._store_folder)
        asked, selections = asked_of(self._options, store)
        check_selections(store, selections)
        layouts = lay_out(store, selections)
        for folder in self.folders:
            layouts = leaving_plan(folder, corpus_fingerprint(store, selections.schedule), layouts)
        segments = [one for layout in layouts for one in layout.segments]
        for segment in segments:
            yield PlannedSegment(
                segment, self._store_folder, store.manifest.fingerprint, asked, len(segments)
            )


def _store(there: str | StoreWritten, folder: str) -> Store:
    if isinstance(there, StoreWritten) and there.folder != folder:
        raise UsageError(
            f"PlanEpochs: store_folder: found {folder}, behind a WriteStore that writes {there.folder}"
        )
    if not files.exists(output_folder.manifest_path(folder)):
        raise SeqmillError(
            f"{folder}: no sequence store is there (yet). Where the same pipeline writes it, chain them: "
            f"… | WriteStore({folder!r}) | PlanEpochs({folder!r}, …); a pipeline knows no other order"
        )
    store = Store(folder)
    if isinstance(there, StoreWritten) and there.fingerprint != store.manifest.fingerprint:
        raise SeqmillError(f"{folder}: another store than this pipeline has written")
    return store


def _check_written_before(pipeline: beam.Pipeline, folder: str) -> None:
    """Refuses to begin with a store that the same pipeline writes: it would be the one of an earlier run."""

    class Look(PipelineVisitor):
        def enter_composite_transform(self, transform_node: Any) -> None:
            transform = transform_node.transform
            if isinstance(transform, WriteStore) and transform.folder == folder:
                raise UsageError(
                    f"PlanEpochs: the same pipeline writes {folder}, and knows no order but that of a line; "
                    f"chain them: … | WriteStore({folder!r}) | PlanEpochs({folder!r}, …)"
                )

    pipeline.visit(Look())
