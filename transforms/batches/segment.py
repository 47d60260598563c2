"""A segment: a run of whole batches of one epoch, the work of one shard; its file and its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import xxhash
from pydantic import TypeAdapter

from seqmill.transforms.batches.epoch_manifest import Shard
from seqmill.transforms.planning.plan import EpochOptions, EpochPlan, shard_edges
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, is_intact
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed

_FORMAT = "seqmill.written/3"


@dataclass(frozen=True)
class Segment:
    """Batches ``first_batch`` … ``last_batch`` - 1 of an epoch.

    Attributes:
        epoch: Number of the epoch.
        shard: Number of its shard in the epoch, from 0.
        num_shards: Shards of the epoch.
        first_batch: Its first batch, counted over the epoch.
        last_batch: The batch behind its last.
        bytes: The size that its file will have.
        plan: Size and hash of the file that holds the epoch's plan.
        fingerprint: Of everything that decides the file's bytes.
    """

    epoch: int
    shard: int
    num_shards: int
    first_batch: int
    last_batch: int
    bytes: int
    plan: Checksum
    fingerprint: str

    @property
    def index(self) -> int:
        """A number that no other segment of the corpus has."""
        return self.index_of(self.epoch, self.shard)

    @staticmethod
    def index_of(epoch: int, shard: int) -> int:
        """``index`` of the segment of a shard."""
        return (epoch << 32) + shard

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
) -> Iterator[Segment]:
    """The segments of an epoch.

    Args:
        plan: The epoch.
        plan_file: Size and hash of the plan's file.
        batch_bytes: Size of every batch's record, [batches].
        options: How many shards, and how sequences are chunked.
        content: Fingerprint of what the store holds.
    """
    edges = shard_edges(batch_bytes, options).tolist()
    rules = {key: asdict(rule) for key, rule in options.chunking.items()}
    limits = options.batch_limits
    time_axes = [dict(limits.padded_lengths)] if limits.padded_lengths else []
    for shard, (first, last) in enumerate(pairwise(edges)):
        entries = slice(int(plan.batch_starts[first]), int(plan.batch_starts[last]))
        digest = xxhash.xxh3_128(plan.seq_index[entries].astype(np.int64).data)
        digest.update((plan.batch_starts[first : last + 1] - plan.batch_starts[first]).data)
        if plan.chunk is not None:
            digest.update(plan.chunk[entries].astype(np.int64).data)
        yield Segment(
            epoch=plan.epoch,
            shard=shard,
            num_shards=len(edges) - 1,
            first_batch=first,
            last_batch=last,
            bytes=int(batch_bytes[first:last].sum()),
            plan=plan_file,
            fingerprint=fingerprint(
                content, rules, options.length_key, limits.packed, first, digest.hexdigest(), *time_axes
            ),
        )


def epoch_fingerprint(segments: Iterable[Segment], left_out: Mapping[str, int]) -> str:
    """Of everything that decides the bytes of an epoch.

    Args:
        segments: All its segments, in order.
        left_out: Sequences that its options leave out, by reason.
    """
    return fingerprint(left_out, *(asdict(segment) for segment in segments))


@dataclass(frozen=True)
class Receipt:
    """What the task of a segment leaves.

    Attributes:
        format: Its version.
        segment: What was written.
        shard_xxh128: Hash of the file.
    """

    format: str
    segment: Segment
    shard_xxh128: str

    @property
    def shard(self) -> Shard:
        """The file, as the epoch's manifest has it."""
        return Shard(self.segment.file, self.segment.num_batches, self.segment.bytes, self.shard_xxh128)


_RECEIPT = TypeAdapter(Receipt)


def receipt_path(folder: str, segment: Segment) -> str:
    """Path of a segment's receipt in a corpus folder."""
    return output_folder.segment_receipt_path(folder, segment.epoch, segment.shard)


def write_receipt(folder: str, segment: Segment, xxh128: str) -> None:
    """Says that a segment's file is written, and its hash."""
    write_sealed(receipt_path(folder, segment), _RECEIPT, Receipt(_FORMAT, segment, xxh128))


def is_written(folder: str, segment: Segment, fresh: bool = False) -> bool:
    """Whether a segment's file was written as the segment asks and is intact.

    Args:
        folder: The corpus folder.
        segment: The segment.
        fresh: Hash the file even where this version of it is known.
    """
    with suppress(SeqmillError):
        receipt = _read_receipt(receipt_path(folder, segment))
        path = files.join(folder, segment.file)
        return receipt.segment == segment and is_intact(path, receipt.shard.checksum, fresh)
    return False


def read_receipts(folder: str, epoch: int) -> list[Receipt]:
    """The receipts of an epoch's segments that are there, in order. Raises SeqmillError of a damaged one."""
    receipts = output_folder.receipts_folder(output_folder.epoch_folder(folder, epoch))
    names = sorted(_receipt_names(receipts), key=lambda name: (len(name), name))
    return [_read_receipt(files.join(receipts, name)) for name in names]


def num_receipts(folder: str, epoch: int) -> int:
    """How many receipts an epoch's segments have left."""
    return len(_receipt_names(output_folder.receipts_folder(output_folder.epoch_folder(folder, epoch))))


def _receipt_names(receipts: str) -> list[str]:
    return [name for name in files.list_names(receipts) if output_folder.is_segment_receipt_name(name)]


def _read_receipt(path: str) -> Receipt:
    receipt: Receipt = read_sealed(path, _RECEIPT, _FORMAT, "the segment is not written")
    return receipt
