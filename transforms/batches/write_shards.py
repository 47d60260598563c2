"""Writing shards: a task gathers the batches of a segment from the store and writes one TFRecord file."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from seqmill.transforms.batches import record
from seqmill.transforms.batches.finish_epochs import finish_if_last
from seqmill.transforms.batches.gather import SequenceSource
from seqmill.transforms.batches.padded_batch import padded_batches
from seqmill.transforms.batches.plan_file import PlannedBatches, read_plan
from seqmill.transforms.batches.segment import Segment, is_written, write_receipt
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Known, file_version, learn
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class WriteShards:
    """Does segments; what all of a corpus' segments share.

    Attributes:
        folder: The corpus' folder of epochs.
        store_folder: The store's folder.
        store_fingerprint: Of the store that the plan was made from.
        schedule: What the epochs were planned by.
        run: The run that the folder must still belong to (``begin_epochs.begin``).
        known: Files of the store that the driver has compared already.
    """

    folder: str
    store_folder: str
    store_fingerprint: str
    schedule: Schedule
    run: str
    known: Known | None = None

    def __call__(self, segment: Segment) -> None:
        """Writes the segment's shard and its receipt; does nothing where another attempt has."""
        if is_written(self.folder, segment):
            return
        learn(self.known)
        store = open_store(self.store_folder, self.store_fingerprint)
        planned = read_plan(self.folder, segment)
        store.bring(planned.seq_index)
        self.write(segment, planned, store, planned.seq_index)

    def write(
        self, segment: Segment, planned: PlannedBatches, source: SequenceSource, rows: np.ndarray
    ) -> None:
        """Writes a shard and its receipt, and with the last of its epoch the epoch's manifest.

        Args:
            segment: The shard to write.
            planned: Its batches.
            source: Where their sequences are.
            rows: Row in ``source`` of every entry of the batches, [n].
        """
        reporter = Reporter(output_folder.progress_folder(self.folder))
        path = files.join(self.folder, segment.file)
        with ExitStack() as published:
            with files.write_atomically(path) as file:
                sink = HashingFile(file)
                for batches in padded_batches(source, rows, planned, self.schedule.at(segment.epoch)):
                    before = sink.size
                    records = map(tfrecord.framed, record.encode_all(batches))
                    for piece in tfrecord.joined(chain.from_iterable(records)):
                        sink.write(piece)
                    reporter.add(sink.size - before, sum(len(batch.seq_tags) for batch in batches))
                if sink.size != segment.bytes:
                    raise RuntimeError(
                        f"{segment.file}: wrote {sink.size} bytes where {segment.bytes} were planned"
                    )
                published.enter_context(publishing(self.folder, self.run))
            write_receipt(self.folder, segment, sink.xxh128)
        reporter.flush()
        finish_if_last(self.folder, self.run, segment)


def open_store(folder: str, fingerprint: str) -> Store:
    """The store in a folder, opened once per process. Raises SeqmillError where it is another by now."""
    return _open_store(folder, fingerprint, file_version(output_folder.manifest_path(folder)))


@lru_cache(maxsize=2)
def _open_store(folder: str, fingerprint: str, manifest_version: object) -> Store:
    store = Store(folder)
    if store.manifest.fingerprint != fingerprint:
        raise SeqmillError(f"{folder}: the store changed while its epochs were written; run again")
    return store
