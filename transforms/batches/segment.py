"""A segment: a run of whole batches of one epoch, the work of one shard; its file and its receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import xxhash
from pydantic import TypeAdapter

from seqmill.transforms.batches.manifest import Shard
from seqmill.transforms.planning.plan import EpochOptions, EpochPlan, shard_edges
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, is_intact
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed

_FORMAT = "seqmill.written/2"


@dataclass(frozen=True)
class _Receipt:
    format: str
    fingerprint: str
    shard: Shard


_RECEIPT = TypeAdapter(_Receipt)


@dataclass(frozen=True)
class Segment:
    """Batches ``first_batch`` … ``last_batch`` - 1 of an epoch.

    Attributes:
        index: Its place among all segments of the run.
        epoch: Number of the epoch.
        shard: Number of its shard in the epoch, from 0.
        num_shards: Shards of the epoch.
        first_batch: Its first batch, counted over the epoch.
        last_batch: The batch behind its last.
        bytes: The size that its file will have.
        plan: Size and hash of the file that holds the epoch's plan.
        fingerprint: Of everything that decides the file's bytes.
    """

    index: int
    epoch: int
    shard: int
    num_shards: int
    first_batch: int
    last_batch: int
    bytes: int
    plan: Checksum
    fingerprint: str

    @property
    def file(self) -> str:
        """Its file, relative to the corpus folder."""
        return output_folder.shard_name(self.epoch, self.shard, self.num_shards)

    @property
    def num_batches(self) -> int:
        """Batches of the segment."""
        return self.last_batch - self.first_batch


def cut_segments(
    plan: EpochPlan,
    plan_file: Checksum,
    batch_bytes: np.ndarray,
    options: EpochOptions,
    content: str,
    index: int,
) -> Iterator[Segment]:
    """The segments of an epoch.

    Args:
        plan: The epoch.
        plan_file: Size and hash of the plan's file.
        batch_bytes: Size of every batch's record, [batches].
        options: How many shards, and how sequences are chunked.
        content: Fingerprint of what the store holds.
        index: Place of the first segment among all of the run.
    """
    edges = shard_edges(batch_bytes, options).tolist()
    rules = {key: asdict(rule) for key, rule in options.chunking.items()}
    for shard, (first, last) in enumerate(pairwise(edges)):
        entries = slice(int(plan.batch_starts[first]), int(plan.batch_starts[last]))
        digest = xxhash.xxh3_128(plan.seq_index[entries].data)
        digest.update((plan.batch_starts[first : last + 1] - plan.batch_starts[first]).data)
        if plan.chunk is not None:
            digest.update(plan.chunk[entries].data)
        yield Segment(
            index=index + shard,
            epoch=plan.epoch,
            shard=shard,
            num_shards=len(edges) - 1,
            first_batch=first,
            last_batch=last,
            bytes=int(batch_bytes[first:last].sum()),
            plan=plan_file,
            fingerprint=fingerprint(
                content, rules, options.length_key, options.batch_limits.packed, first, digest.hexdigest()
            ),
        )


def receipt_path(folder: str, segment: Segment) -> str:
    """Path of a segment's receipt in a corpus folder."""
    return output_folder.segment_receipt_path(folder, segment.epoch, segment.shard)


def write_receipt(folder: str, segment: Segment, xxh128: str) -> None:
    """Says that a segment's file is written, and its hash."""
    shard = Shard(segment.file, segment.num_batches, segment.bytes, xxh128)
    receipt = _Receipt(_FORMAT, segment.fingerprint, shard)
    write_sealed(receipt_path(folder, segment), _RECEIPT, receipt)


def read_receipt(folder: str, segment: Segment, fresh: bool = False, by_size: bool = False) -> Shard | None:
    """The shard of a segment, if it was written as the segment asks and is intact.

    Args:
        folder: The corpus folder.
        segment: The segment.
        fresh: Hash the file even where this version of it is known.
        by_size: Compare only its size, as this run has written or compared it already.
    """
    with suppress(SeqmillError):
        receipt: _Receipt = read_sealed(
            receipt_path(folder, segment), _RECEIPT, _FORMAT, "the segment is not written"
        )
        shard = receipt.shard
        same = receipt.fingerprint == segment.fingerprint and shard.file == segment.file
        path = files.inside(folder, shard.file)
        whole = files.is_whole(path, shard.bytes) if by_size else is_intact(path, shard.checksum, fresh)
        if same and whole:
            return shard
    return None
