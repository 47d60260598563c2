"""Pre-batch from the store against a plain copy of the same bytes, and against what a user would do today.

    python -m benchmarks.preprocess --folder /dev/shm

Two workloads: float32 features [T, 80], and short int sequences of two data keys. ``seqmill`` rows are the
real step in worker processes: planning, hashes, manifest, all in; only the
time until the first worker begins is listed apart. The copy reads the shards that seqmill wrote in as many
processes, hashes (xxh3_128), writes, fsyncs and renames; rounds alternate between the two and medians are
shown. RETURNN pads batches but writes none; tf.data writes padded TFRecords without hashes. Both run on a
part of the corpus, as they are slow; compare rates.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from benchmarks import common, peers
from benchmarks.common import Took
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files
from seqmill.transforms.store.sequence_store import Store

_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Workload:
    """A corpus in a store and how it is batched.

    Attributes:
        name: What it is.
        store: The store.
        schedule: The epoch.
        batch_size: Frames of a batch, for peers.
        peer_seqs: Sequences for peers.
    """

    name: str
    store: Store
    schedule: Schedule
    batch_size: int
    peer_seqs: int


def main() -> None:
    """Runs both workloads and prints a table."""
    parser = common.parser(
        __doc__ or "",
        gigabytes=(2.0, "size of the float corpus"),
        sequences=(4_000_000, "size of the int corpus"),
        workers=(2, "processes"),
        rounds=(3, "how often seqmill and the copy alternate"),
        peer_gigabytes=(0.2, "part of the float corpus for RETURNN and tf.data; 0 leaves them out"),
        peer_sequences=(10_000, "part of the int corpus for them"),
    )
    args = parser.parse_args()
    rows: list[Sequence[object]] = []
    with common.scratch(args.folder) as folder:
        for workload in _workloads(folder, args):
            rows += _measure(workload, folder, args.workers, args.rounds)
            files.remove(workload.store.folder)
    columns = (
        "",
        "data",
        "MB",
        "processes",
        "start-up s",
        "wall s",
        "CPU s",
        "MB/s",
        "seqs/s",
        "seqs/CPU s",
        "wall : copy",
    )
    common.print_table(f"pre-batch, {os.cpu_count()} cores, {args.folder}", columns, rows)


def _workloads(folder: str, args: argparse.Namespace) -> Iterator[Workload]:
    gigabytes, sequences = args.gigabytes, args.sequences
    store = common.write_store(f"{folder}/floats", common.FLOATS, common.float_blocks(int(gigabytes * 1e9)))
    schedule = common.one_epoch("laplace:.1000", {"data": 40_000})
    peer_seqs = int(store.num_seqs * min(1, args.peer_gigabytes / gigabytes))
    yield Workload("float32 [T, 80]", store, schedule, 40_000, peer_seqs)
    store = common.write_store(f"{folder}/ints", common.INTS, common.int_blocks(sequences))
    schedule = common.one_epoch("laplace:.1000", {"data": 4000, "classes": 4000})
    yield Workload("ints, 2 keys", store, schedule, 4000, min(sequences, args.peer_sequences))


def _measure(workload: Workload, folder: str, workers: int, rounds: int) -> list[Sequence[object]]:
    ours: list[Took] = []
    copies: list[Took] = []
    num_bytes = 0
    for _ in range(rounds):
        epochs, copied = f"{folder}/epochs", f"{folder}/copied"
        with contextlib.redirect_stderr(io.StringIO()):
            ours.append(common.prebatch(workload.store, workload.schedule, epochs, workers))
        corpus = manifest.read(epochs)
        shards = epoch_manifest.read(epochs, corpus, corpus.epochs[0]).shards
        num_bytes = sum(shard.bytes for shard in shards)
        files.make_folder(copied)
        tasks = [(f"{epochs}/{s.file}", f"{copied}/{files.name(s.file)}", s.xxh128) for s in shards]
        copies.append(common.run_processes(plain_copy, tasks, f"{folder}/notes", workers))
        for used in (epochs, copied, f"{folder}/notes"):
            files.remove(used)
    copy = _median(copies)
    num_seqs = workload.store.num_seqs
    rows = [
        _row("seqmill", workload.name, num_bytes, workers, _median(ours), num_seqs, copy.wall),
        _row("plain copy + hash", workload.name, num_bytes, workers, copy, num_seqs, copy.wall),
    ]
    if workload.peer_seqs:
        for name, peer in (
            ("RETURNN, HDF", peers.returnn_from_hdf),
            ("tf.data buckets", peers.tf_data_buckets),
        ):
            took = _in_own_process(peer, workload, folder)
            share = workload.peer_seqs / num_seqs
            rows.append(
                _row(name, workload.name, share * num_bytes, 1, took, workload.peer_seqs, share * copy.wall)
            )
    return rows


def plain_copy(task: tuple[str, str, str]) -> None:
    """Copies a file, hashing what is copied, with fsync and rename; checks the hash."""
    source, target, expected = task
    digest = xxhash.xxh3_128()
    buffer = memoryview(bytearray(_COPY_BYTES))
    with (
        Path(source).open("rb", buffering=0) as reader,
        Path(f"{target}.tmp").open("wb", buffering=0) as writer,
    ):
        while count := reader.readinto(buffer):
            digest.update(buffer[:count])
            writer.write(buffer[:count])
        os.fsync(writer.fileno())
    Path(f"{target}.tmp").replace(target)
    assert digest.hexdigest() == expected


def _in_own_process(peer: Callable[..., Took], workload: Workload, folder: str) -> Took:
    with common.scratch(folder) as own, multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peer, (workload.store.folder, workload.peer_seqs, workload.batch_size, own))


def _median(runs: list[Took]) -> Took:
    return Took(
        *(
            statistics.median(column)
            for column in zip(*((r.startup, r.wall, r.cpu) for r in runs), strict=True)
        )
    )


def _row(
    what: str, data: str, num_bytes: float, processes: int, took: Took, num_seqs: int, copy_wall: float
) -> Sequence[object]:
    return (
        what,
        data,
        f"{num_bytes / 1e6:,.0f}",
        processes,
        f"{took.startup:.1f}" if took.startup else "-",
        f"{took.wall:.2f}",
        f"{took.cpu:.2f}",
        f"{num_bytes / took.wall / 1e6:,.0f}",
        f"{num_seqs / took.wall:,.0f}",
        f"{num_seqs / took.cpu:,.0f}",
        f"{took.wall / copy_wall:.2f}",
    )


if __name__ == "__main__":
    main()
