"""Transforms for anybody's pipeline: from records or files to stores and epochs.

The names below are the public ones; ``docs/beam.md`` tells how they fit together. Each is imported when it is
first asked for: a step of the command that runs without Beam does not load it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqmill.transforms.beam.count_labels import CountLabels as CountLabels
    from seqmill.transforms.beam.drop_by_length import DropByLength as DropByLength
    from seqmill.transforms.beam.encode_sequences import EncodeSequences as EncodeSequences
    from seqmill.transforms.beam.plan_epochs import PlanEpochs as PlanEpochs
    from seqmill.transforms.beam.plan_epochs import PlannedSegment as PlannedSegment
    from seqmill.transforms.beam.pre_batch import PreBatch as PreBatch
    from seqmill.transforms.beam.pre_batch_windows import PreBatchWindows as PreBatchWindows
    from seqmill.transforms.beam.read_sequences import ReadSequences as ReadSequences
    from seqmill.transforms.beam.staged_sequences import StoreWritten as StoreWritten
    from seqmill.transforms.beam.write_batches import WriteBatches as WriteBatches
    from seqmill.transforms.beam.write_store import WriteStore as WriteStore
    from seqmill.transforms.features.ragged import Ragged as Ragged
    from seqmill.transforms.store.sequence_block import SequenceBlock as SequenceBlock

_HOMES = {
    "CountLabels": "beam.count_labels",
    "DropByLength": "beam.drop_by_length",
    "EncodeSequences": "beam.encode_sequences",
    "PlanEpochs": "beam.plan_epochs",
    "PlannedSegment": "beam.plan_epochs",
    "PreBatch": "beam.pre_batch",
    "PreBatchWindows": "beam.pre_batch_windows",
    "Ragged": "features.ragged",
    "ReadSequences": "beam.read_sequences",
    "SequenceBlock": "store.sequence_block",
    "StoreWritten": "beam.staged_sequences",
    "WriteBatches": "beam.write_batches",
    "WriteStore": "beam.write_store",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"seqmill.transforms.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
