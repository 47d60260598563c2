"""Writing shards: a task gathers a run of planned batches from the store and writes one TFRecord file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xxhash
from pydantic import TypeAdapter

from transforms import files, padded_batch, tfrecord
from transforms.chunk import Chunking, chunk_lengths, chunk_starts
from transforms.errors import SeqmillError
from transforms.gather import Gatherer
from transforms.manifest import Shard
from transforms.padded_batch import PaddedBatch
from transforms.plan_file import BatchRun, read_plan
from transforms.progress import Reporter
from transforms.store import Store

PARTS = "parts"
PROGRESS = "progress"

_WINDOW_BYTES = 4_000_000  # small batches are gathered several at once
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
        store = _open_store(self.store_folder, self.store_fingerprint)
        reporter = Reporter(files.join(self.folder, PROGRESS))
        run = read_plan(self.folder, segment.epoch, segment.first_batch, segment.last_batch)
        digest = xxhash.xxh3_128()
        size = 0
        with files.write_atomically(files.join(self.folder, segment.file)) as file:
            for batch in padded_batches(store, run, segment.first_batch, self.chunking, self.length_key):
                pieces = padded_batch.encode(batch)
                header, footer = tfrecord.frame(pieces)
                written = 0
                for piece in (header, *pieces, footer):
                    file.write(piece)
                    digest.update(piece)  # type: ignore[arg-type]
                    written += len(piece)
                size += written
                reporter.add(written, len(batch.seq_tags))
        reporter.flush()
        if size != segment.bytes:
            raise RuntimeError(f"{segment.file}: wrote {size} bytes where {segment.bytes} were planned")
        shard = Shard(segment.file, segment.last_batch - segment.first_batch, size, digest.hexdigest())
        receipt = {"fingerprint": segment.fingerprint, "shard": _SHARD.dump_python(shard, mode="json")}
        files.write_json(receipt_path(self.folder, segment), receipt)


def padded_batches(
    store: Store, run: BatchRun, first_batch: int, chunking: Chunking, length_key: str
) -> Iterator[PaddedBatch]:
    """The batches of a run, padded; the arrays of each are valid until the next is asked for.

    Args:
        store: Where the sequences are.
        run: The batches.
        first_batch: ``batch_index`` of the first of them.
        chunking: How data keys are chunked.
        length_key: The data key that ``chunk_start`` refers to.
    """
    gatherer = Gatherer(store)
    whole = {key: column[run.seq_index] for key, column in store.lengths.items()}
    starts = {key: chunk_starts(key, column, run.chunk, chunking) for key, column in whole.items()}
    lengths = {key: chunk_lengths(key, column, run.chunk, chunking) for key, column in whole.items()}
    edges = run.batch_starts
    longest = {key: np.maximum.reduceat(column, edges[:-1]) for key, column in lengths.items()}
    for first, last in _windows(_padded_bytes(store, edges, longest)):
        entries = slice(int(edges[first]), int(edges[last]))
        rows = run.seq_index[entries]
        arrays = gatherer.pad(
            rows,
            {key: column[entries] for key, column in starts.items()},
            {key: column[entries] for key, column in lengths.items()},
            edges[first : last + 1] - edges[first],
            {key: column[first:last] for key, column in longest.items()},
        )
        tags = gatherer.tags(rows)
        for i in range(first, last):
            here = slice(int(edges[i]), int(edges[i + 1]))
            yield PaddedBatch(
                arrays=arrays[i - first],
                lengths={key: column[here] for key, column in lengths.items()},
                seq_tags=tags[here.start - entries.start : here.stop - entries.start],
                seq_index=run.seq_index[here],
                chunk_start=starts[length_key][here],
                batch_index=first_batch + i,
            )


def shard_file_name(epoch: int, shard: int, num_shards: int) -> str:
    """Path of a shard, relative to the corpus folder."""
    return f"epoch-{epoch:04d}/batches-{shard:05d}-of-{num_shards:05d}.tfrecord"


def receipt_path(folder: str, segment: Segment) -> str:
    """Path of a segment's receipt."""
    return files.join(folder, PARTS, f"epoch-{segment.epoch:04d}-{segment.shard:05d}.json")


def read_receipt(folder: str, segment: Segment) -> Shard | None:
    """The shard of a segment, if it was written as the segment asks and is still there in that size."""
    with suppress(FileNotFoundError, ValueError, KeyError, SeqmillError):
        receipt = files.read_json(receipt_path(folder, segment))
        shard = _SHARD.validate_python(receipt["shard"])
        same = receipt["fingerprint"] == segment.fingerprint and shard.file == segment.file
        if same and files.size(files.join(folder, shard.file)) == shard.bytes:
            return shard
    return None


def _padded_bytes(store: Store, edges: np.ndarray, longest: dict[str, np.ndarray]) -> np.ndarray:
    total = np.zeros(len(edges) - 1, np.int64)
    for key, spec in store.manifest.data_keys.items():
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


@lru_cache(maxsize=2)
def _open_store(folder: str, fingerprint: str) -> Any:
    store = Store(folder)
    if store.manifest.fingerprint != fingerprint:
        raise SeqmillError(f"{folder}: the store changed while its epochs were written; run again")
    return store
