"""Comparing written epochs with the store that they were made from: what a run would write, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from seqmill.transforms.batches import record
from seqmill.transforms.batches.epoch_manifest import EpochManifest
from seqmill.transforms.batches.layout import (
    EpochLayout,
    check_selections,
    is_planned_from,
    lay_out,
    planned_by,
    planned_manifest,
)
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.padded_batch import padded_batches
from seqmill.transforms.batches.plan_file import planned_batches
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.batches.shard_file import ShardFile
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store


def compare_with_store(
    folder: str, content: Manifest, there: Mapping[int, EpochManifest], store: Store
) -> None:
    """Plans every epoch again and compares every record with what the plan and the store give.

    Args:
        folder: The corpus' folder of epochs.
        content: Its manifest.
        there: The epochs that are there, by number.
        store: The store; its files have been compared with their hashes.

    Raises:
        SeqmillError: Names the first thing that differs.
    """
    schedule = content.schedule
    selections = planned_by(store, schedule, anew=True) if is_planned_from(content, store) else None
    if selections is None or selections.schedule != schedule:
        raise SeqmillError(
            f"{folder}: not made from what {store.folder} holds now: the store has changed since (ingest ran "
            "again); run `seqmill preprocess`"
        )
    for number in range(store.num_blocks):
        store.block(number)  # compares lengths and tags with the length index
    check_selections(store, selections)
    planned = planned_manifest(store, selections, (), {})
    _expect(f"{folder}: data_keys", asdict(content)["data_keys"], asdict(planned)["data_keys"])
    for spec in content.data_keys.values():
        if spec.vocab is not None:
            of_store = store.manifest.others.get(spec.vocab)
            _expect(f"{folder}: {spec.vocab}", content.others.get(spec.vocab), of_store)
    for field, expected in asdict(planned.counts).items():
        _expect(f"{folder}: counts: {field}", asdict(content.counts)[field], expected)
    for layout, epoch in zip(lay_out(store, selections), content.epochs, strict=True):
        for field, expected in asdict(layout.entry).items():
            _expect(f"{folder}: epoch {epoch.epoch}: {field}", asdict(epoch)[field], expected)
        if epoch.epoch in there:
            _compare_epoch(folder, there[epoch.epoch], schedule.at(epoch.epoch), store, layout)


def _compare_epoch(
    folder: str, epoch: EpochManifest, options: EpochOptions, store: Store, layout: EpochLayout
) -> None:
    where = f"{folder}: epoch {layout.plan.epoch}"
    _expect(f"{where}: its plan", epoch.plan, layout.plan_file)
    _expect(f"{where}: shards", len(epoch.shards), len(layout.segments))
    for segment, shard in zip(layout.segments, epoch.shards, strict=True):
        expected = (segment.file, segment.num_batches, segment.bytes)
        _expect(f"{where}: shard {segment.shard}", (shard.file, shard.num_batches, shard.bytes), expected)
        _compare_shard(ShardFile(folder, shard), segment, layout, options, store)


def _compare_shard(
    shard: ShardFile, segment: Segment, layout: EpochLayout, options: EpochOptions, store: Store
) -> None:
    planned = planned_batches(layout.plan, segment)
    made = padded_batches(store, planned.seq_index, planned, options)
    number = 0
    for batches in made:
        for batch, pieces in zip(batches, record.encode_all(batches), strict=True):
            if not _same(shard.record(number), pieces):
                raise SeqmillError(
                    f"{shard.path}: batch {batch.batch_index} is not what the store gives for it "
                    f"(sequences {batch.seq_tags[0].decode(errors='replace')} to "
                    f"{batch.seq_tags[-1].decode(errors='replace')})"
                )
            number += 1


def _same(found: np.ndarray, pieces: list[bytes | np.ndarray]) -> bool:
    position = 0
    for piece in pieces:
        expected = np.frombuffer(piece, np.uint8)
        if not np.array_equal(found[position : position + len(expected)], expected):
            return False
        position += len(expected)
    return position == len(found)


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise SeqmillError(f"{what}: found {found}, expected {expected}")
