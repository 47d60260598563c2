"""How fast batches would be written here, measured on some that are made and thrown away."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import chain

from seqmill.transforms.batches import record
from seqmill.transforms.batches.layout import EpochLayout
from seqmill.transforms.batches.padded_batch import padded_batches
from seqmill.transforms.batches.plan_file import planned_batches
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

_SECONDS = 0.2  # of measuring a corpus


class WriteRate:
    """Makes batches as a task does, all but writing them down.

    Attributes:
        bytes: How many were made.
        seconds: How long it took one process.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.seconds = 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """What one process makes in a second; None where nothing was measured."""
        return self.bytes / self.seconds if self.bytes and self.seconds else None

    def measure(self, store: Store, schedule: Schedule, layout: EpochLayout) -> None:
        """Makes the first batches of an epoch; not of a remote store, which would have to be fetched."""
        if files.is_local(store.folder):
            with suppress(SeqmillError):  # a damaged store is for those to report who write from it
                self._make(store, schedule, layout)

    def _make(self, store: Store, schedule: Schedule, layout: EpochLayout) -> None:
        planned = planned_batches(layout.plan, layout.segments[0])
        options = schedule.at(layout.plan.epoch)
        start = time.perf_counter()
        made = 0
        for batches in padded_batches(store, planned.seq_index, planned, options):
            records = map(tfrecord.framed, record.encode_all(batches))
            made += sum(map(len, tfrecord.joined(chain.from_iterable(records))))
            if time.perf_counter() - start > _SECONDS:
                break
        self.bytes += made
        self.seconds += time.perf_counter() - start
