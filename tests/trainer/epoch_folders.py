"""Writes small corpus folders as ``seqmill preprocess`` does: real shards and manifests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import xxhash
from plain_options import plain_options

from seqmill.transforms.batches import epoch_manifest, manifest, record
from seqmill.transforms.batches.described_options import describe
from seqmill.transforms.batches.epoch_manifest import EpochManifest, Shard
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.records import tfrecord
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.checked_files import Checksum, checksum

Batches = list[PaddedBatch]


def write_corpus(
    folder: Path,
    epochs: list[Batches],
    specs: dict[str, ArraySpec],
    batches_per_shard: int = 2,
    options: dict | None = None,
    fingerprint: str = "fingerprint",
    others: dict[str, Checksum] | None = None,
) -> str:
    """Writes ``epochs`` (lists of batches) into ``folder`` and returns it as a string."""
    planned = tuple(
        _write_epoch(folder, number, batches, list(specs), batches_per_shard)
        for number, batches in enumerate(epochs, 1)
    )
    counts = manifest.Counts(
        read=planned[0].num_seqs, kept=planned[0].num_seqs, dropped={}, rejected={}, converted={}
    )
    manifest.write(
        str(folder),
        manifest.Manifest(
            format=manifest.FORMAT,
            fingerprint=fingerprint,
            corpus=folder.name,
            options={**describe(_schedule(list(specs), len(epochs))), **(options or {})},
            data_keys=specs,
            counts=counts,
            epochs=planned,
            others=others or {},
        ),
    )
    return str(folder)


def _schedule(keys: list[str], num_epochs: int) -> Schedule:
    options = plain_options(keys[0], BatchLimits({}, 8), shard_size=128_000_000)
    return Schedule(options, num_epochs)


def regression_epochs(sizes: list[int], seed: int = 0, same_shape: bool = False) -> list[Batches]:
    """Epochs of ``sizes`` batches: frames ``data`` [B, T, 3] and labels ``classes`` [B, T] of 5 kinds."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).standard_normal((3, 5))
    return [
        [_batch(rng, index, weights, f"e{epoch}", same_shape) for index in range(size)]
        for epoch, size in enumerate(sizes, 1)
    ]


def batches_of(rows: list[int], same_shape: bool = False) -> Batches:
    """An epoch whose batches hold so many sequences; with ``same_shape`` of 8 frames at most, all of them."""
    rng = np.random.default_rng(3)
    weights = np.random.default_rng(99).standard_normal((3, 5))
    return [_batch(rng, i, weights, "b", same_shape, number) for i, number in enumerate(rows)]


SPECS = {
    "data": ArraySpec(type="floats", dtype="<f4", feature_shape=(3,)),
    "classes": ArraySpec(type="words", dtype="<i4", feature_shape=(), num_labels=5),
}


def poison(batch: PaddedBatch, row: int, value: float = float("nan")) -> PaddedBatch:
    """The batch with one value of ``data`` replaced in sequence ``row``."""
    data = batch.arrays["data"].copy()
    data[row, 0, 0] = value
    return PaddedBatch(
        {**batch.arrays, "data": data},
        batch.lengths,
        batch.seq_tags,
        batch.seq_index,
        batch.chunk_start,
        batch.batch_index,
    )


def _batch(
    rng: np.random.Generator, index: int, weights: np.ndarray, name: str, same_shape: bool, size: int = 0
) -> PaddedBatch:
    size = size or (3 if same_shape else int(rng.integers(2, 5)))
    lengths = np.resize([8, 5, 2], size) if same_shape else rng.integers(2, 9, size)
    data = np.zeros((size, lengths.max(), 3), "<f4")
    classes = np.zeros(data.shape[:2], "<i4")
    for row, length in enumerate(lengths):
        data[row, :length] = rng.standard_normal((length, 3))
        classes[row, :length] = (data[row, :length] @ weights).argmax(-1)
    return PaddedBatch(
        arrays={"data": data, "classes": classes},
        lengths={"data": lengths, "classes": lengths},
        seq_tags=[f"{name}-b{index}-s{row}".encode() for row in range(size)],
        seq_index=np.arange(size),
        chunk_start=np.zeros(size, int),
        batch_index=index,
    )


def _write_epoch(
    folder: Path, number: int, batches: Batches, keys: list[str], per_shard: int
) -> manifest.Epoch:
    runs = [batches[start : start + per_shard] for start in range(0, len(batches), per_shard)]
    shards = tuple(
        _write_shard(folder, f"epoch-{number:04d}/batches-{i:05d}-of-{len(runs):05d}.tfrecord", run)
        for i, run in enumerate(runs)
    )
    epoch = manifest.Epoch(
        epoch=number,
        fingerprint=xxhash.xxh128_hexdigest("".join(shard.xxh128 for shard in shards).encode()),
        kept=sum(len(batch.seq_tags) for batch in batches),
        left_out={},
        num_batches=len(batches),
        num_seqs=sum(len(batch.seq_tags) for batch in batches),
        num_chunks=sum(len(batch.seq_tags) for batch in batches),
        num_frames={key: int(sum(batch.lengths[key].sum() for batch in batches)) for key in keys},
        padded_frames={
            key: sum(batch.arrays[key].shape[0] * batch.arrays[key].shape[1] for batch in batches)
            for key in keys
        },
    )
    plan = _write_plan(folder, number)
    content = EpochManifest(epoch_manifest.FORMAT, folder.name, epoch, plan, shards)
    epoch_manifest.write(str(folder), content)
    return epoch


def _write_plan(folder: Path, number: int) -> Checksum:
    """Stands for the plan, which no reader of batches looks at."""
    path = folder / output_folder.plan_name(number)
    path.write_bytes(b"plan")
    return checksum(str(path))


def _write_shard(folder: Path, name: str, batches: Batches) -> Shard:
    file = io.BytesIO()
    for batch in batches:
        file.writelines(tfrecord.framed(record.encode(batch)))
    content = file.getvalue()
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Shard(name, len(batches), len(content), xxhash.xxh128_hexdigest(content))
