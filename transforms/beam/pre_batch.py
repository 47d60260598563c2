"""Blocks of sequences to epochs, in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from seqmill.transforms.batches.corpus_epochs import MAX_REJECTED
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.beam import fields
from seqmill.transforms.beam.plan_epochs import PlanEpochs
from seqmill.transforms.beam.write_batches import WriteBatches
from seqmill.transforms.beam.write_store import WriteStore
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files
from seqmill.transforms.store.sequence_block import SequenceBlock


@beam.typehints.with_input_types(SequenceBlock)
@beam.typehints.with_output_types(Manifest)
@dataclass(eq=False)
class PreBatch(beam.PTransform):
    """Blocks of sequences to the epochs of a corpus; gives one element, the corpus' manifest.

    It is ``WriteStore``, ``PlanEpochs`` and ``WriteBatches`` behind one another.

    Args:
        folder: The corpus' folder of epochs: path or URL that all workers reach. The corpus has its name.
        options: As for ``PlanEpochs``; ``max_rejected`` is the largest share of rejected records, too.
        store: Folder to keep the store in; by default it is removed when the epochs are there.

    Raises:
        UsageError: A field is wrong; says what was given and what is expected.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import EncodeSequences, PreBatch
    >>> records = [{"id": number, "text": "a" * number} for number in range(1, 9)]
    >>> encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    >>> (manifest,) = records | encode | PreBatch("mine/epochs/train", {"batch_size": 12})
    >>> manifest.counts.kept, manifest.epochs[0].num_batches, manifest.epochs[0].num_frames
    (8, 5, {'data': 36})
    """

    folder: str
    options: Mapping[str, Any] | Schedule
    store: str | None = None

    def __post_init__(self) -> None:
        self.folder = fields.folder_of(self, self.folder)
        if self.store is not None:
            self.store = fields.folder_of(self, self.store, "store")
        fields.epochs_of(self, self.options)

    def expand(self, blocks: Any) -> Any:  # noqa: D102
        store = self.store or files.join(self.folder, ".store")
        options = self.options if isinstance(self.options, Mapping) else {}
        limit = options.get("max_rejected", MAX_REJECTED)
        written = (
            blocks
            | "WriteStore" >> WriteStore(store, corpus=files.name(self.folder), max_rejected=limit)
            | "PlanEpochs" >> PlanEpochs(store, self.options)
            | "WriteBatches" >> WriteBatches(self.folder)
        )
        if self.store is not None:
            return written
        return written | "Remove store" >> beam.Map(_without, store).with_output_types(Manifest)


def _without(written: Manifest, store: str) -> Manifest:
    files.remove(store)
    return written
