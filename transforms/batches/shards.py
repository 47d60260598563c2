"""Writing shards: a task gathers a run of planned batches from the store and writes one TFRecord file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from pydantic import TypeAdapter

from seqmill.transforms.batches import padded_batch
from seqmill.transforms.batches.gather import Gatherer, SequenceSource
from seqmill.transforms.batches.manifest import Shard
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.plan_file import BatchRun, read_plan
from seqmill.transforms.planning.chunk import Chunking, chunk_lengths, chunk_starts
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.hashing_file import HashingFile
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.sequence_store import Store

_WINDOW_BYTES = 16_000_000  # small batches are gathered several at once
_WRITE_BYTES = 128_000  # small pieces are written together
_SHARD = TypeAdapter(Shard)


@dataclass(frozen=True)
class Segment:
    """One shard to write: batches ``first_batch`` … ``last_batch`` - 1 of an epoch.

    Attributes:
        index: Its place among all segments of the run.
        epoch: Number of the epoch.
        shard: Number of the shard in its epoch, from 0.
        first_batch: Its first batch, counted over the epoch.
        last_batch: The batch behind its last.
        file: Its file, relative to the corpus folder.
        bytes: The size that its file will have.
        fingerprint: Of everything that decides the file's bytes.
    """

    index: int
    epoch: int
    shard: int
    first_batch: int
    last_batch: int
    file: str
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class WriteShards:
    """Does segments; what all of a corpus' segments share.

    Attributes:
        folder: The corpus' folder of epochs.
        store_folder: The store's folder.
        store_fingerprint: Of the store that the plan was made from.
        chunking: How data keys are chunked.
        length_key: The data key that ``chunk_start`` refers to.
    """

    folder: str
    store_folder: str
    store_fingerprint: str
    chunking: Chunking
    length_key: str

    def __call__(self, segment: Segment) -> None:
        """Writes the segment's shard and, last, its receipt."""
        store = open_store(self.store_folder, self.store_fingerprint)
        run = read_plan(self.folder, segment.epoch, segment.first_batch, segment.last_batch)
        self.write(segment, run, store, run.seq_index)

    def write(self, segment: Segment, run: BatchRun, source: SequenceSource, rows: np.ndarray) -> None:
        """Writes a shard and its receipt.

        Args:
            segment: The shard to write.
            run: Its batches.
            source: Where their sequences are.
            rows: Row in ``source`` of every entry of the run, [n].
        """
        reporter = Reporter(output_folder.progress_folder(self.folder))
        # The receipt of an earlier version must not vouch for this one if the task is interrupted.
        files.remove(receipt_path(self.folder, segment))
        with files.write_atomically(files.join(self.folder, segment.file)) as file:
            sink = HashingFile(file)
            buffered = io.BufferedWriter(sink, _WRITE_BYTES)
            for batches in padded_batches(
                source, rows, run, segment.first_batch, self.chunking, self.length_key
            ):
                before = buffered.tell()
                for pieces in padded_batch.encode_all(batches):
                    tfrecord.write_record(buffered, pieces)
                reporter.add(buffered.tell() - before, sum(len(batch.seq_tags) for batch in batches))
            buffered.flush()
        reporter.flush()
        if sink.size != segment.bytes:
            raise RuntimeError(f"{segment.file}: wrote {sink.size} bytes where {segment.bytes} were planned")
        shard = Shard(segment.file, segment.last_batch - segment.first_batch, sink.size, sink.xxh128)
        receipt = {"fingerprint": segment.fingerprint, "shard": _SHARD.dump_python(shard, mode="json")}
        files.write_json(receipt_path(self.folder, segment), receipt)


def padded_batches(
    source: SequenceSource,
    rows: np.ndarray,
    run: BatchRun,
    first_batch: int,
    chunking: Chunking,
    length_key: str,
) -> Iterator[list[PaddedBatch]]:
    """The batches of a run, padded, a few at a time; arrays are valid until the next are asked for.

    Args:
        source: Where the sequences are.
        rows: Row in ``source`` of every entry of the run, [n].
        run: The batches.
        first_batch: ``batch_index`` of the first of them.
        chunking: How data keys are chunked.
        length_key: The data key that ``chunk_start`` refers to.
    """
    gatherer = Gatherer(source)
    whole = {key: column[rows] for key, column in source.lengths.items()}
    starts = {key: chunk_starts(key, column, run.chunk, chunking) for key, column in whole.items()}
    lengths = {key: chunk_lengths(key, column, run.chunk, chunking) for key, column in whole.items()}
    edges = run.batch_starts
    longest = {key: np.maximum.reduceat(column, edges[:-1]) for key, column in lengths.items()}
    for first, last in _windows(_padded_bytes(source, edges, longest)):
        entries = slice(int(edges[first]), int(edges[last]))
        arrays, tags = gatherer.gather(
            rows[entries],
            {key: column[entries] for key, column in starts.items()},
            {key: column[entries] for key, column in lengths.items()},
            edges[first : last + 1] - edges[first],
            {key: column[first:last] for key, column in longest.items()},
        )
        bounds = pairwise(edges[first : last + 1].tolist())
        yield [
            PaddedBatch(
                arrays=arrays[number],
                lengths={key: column[start:end] for key, column in lengths.items()},
                seq_tags=tags.slice(start - entries.start, end - entries.start),
                seq_index=run.seq_index[start:end],
                chunk_start=starts[length_key][start:end],
                batch_index=first_batch + first + number,
            )
            for number, (start, end) in enumerate(bounds)
        ]


@lru_cache(maxsize=2)
def open_store(folder: str, fingerprint: str) -> Store:
    """The store in a folder, opened once per process. Raises SeqmillError where it is another by now."""
    store = Store(folder)
    if store.manifest.fingerprint != fingerprint:
        raise SeqmillError(f"{folder}: the store changed while its epochs were written; run again")
    return store


def receipt_path(folder: str, segment: Segment) -> str:
    """Path of a segment's receipt."""
    return output_folder.segment_receipt_path(folder, segment.epoch, segment.shard)


def read_receipt(folder: str, segment: Segment) -> Shard | None:
    """The shard of a segment, if it was written as the segment asks and is still there in that size."""
    with suppress(FileNotFoundError, ValueError, KeyError, SeqmillError):
        receipt = files.read_json(receipt_path(folder, segment))
        shard = _SHARD.validate_python(receipt["shard"])
        same = receipt["fingerprint"] == segment.fingerprint and shard.file == segment.file
        if same and files.is_whole(files.join(folder, shard.file), shard.bytes):
            return shard
    return None


def _padded_bytes(source: SequenceSource, edges: np.ndarray, longest: dict[str, np.ndarray]) -> np.ndarray:
    total = np.zeros(len(edges) - 1, np.int64)
    for key, spec in source.data_keys.items():
        frame_bytes = int(np.prod(spec.feature_shape)) * np.dtype(spec.dtype).itemsize
        total += np.diff(edges) * longest[key] * frame_bytes
    return total


def _windows(batch_bytes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of batches of about ``_WINDOW_BYTES``, at least one batch each."""
    first, size = 0, 0
    for i, here in enumerate(batch_bytes.tolist()):
        if i > first and size + here > _WINDOW_BYTES:
            yield first, i
            first, size = i, 0
        size += here
    yield first, len(batch_bytes)
