"""What the benchmarks share: folders, synthetic stores, processes with clocks, the real runs, tables."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import secrets
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from seqmill.pipelines.engine import Engine
from seqmill.transforms.batches.begin_epochs import begin, plan_epochs
from seqmill.transforms.batches.finish_epochs import FinishEpochs
from seqmill.transforms.batches.layout import planned_by
from seqmill.transforms.batches.write_shards import WriteShards
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, hash_all, known_here
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.length_index import write_index
from seqmill.transforms.store.sequence_store import (
    FORMAT,
    Store,
    StoreFile,
    StoreManifest,
    write_manifest,
)
from seqmill.transforms.store.store_writer import StoreWriter

FLOATS = {"data": ArraySpec("floats", "<f4", (80,))}
INTS = {"data": ArraySpec("ints", "<i4", (), 1000), "classes": ArraySpec("ints", "<i4", (), 50)}
_MEAN_FRAMES = 600
_MEAN_INTS = 30
_BLOCK_BYTES = 16_000_000
_BLOCKS_PER_FILE = 8

Block = dict[str, Ragged]


def parser(description: str, **numbers: tuple[float, str]) -> argparse.ArgumentParser:
    """An argument parser with ``--folder`` and an option per number: its default and what it means."""
    made = argparse.ArgumentParser(description=description, allow_abbrev=False)
    default = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()
    made.add_argument("--folder", default=default, help=f"where to write; default {default}")
    for name, (value, meaning) in numbers.items():
        made.add_argument(f"--{name}", type=type(value), default=value, help=f"{meaning}; default {value:g}")
    return made


@contextmanager
def scratch(folder: str) -> Iterator[str]:
    """A new folder in ``folder`` that is removed, with all in it, when the block ends."""
    made = Path(folder) / f"seqmill-benchmark-{secrets.token_hex(4)}"
    made.mkdir(parents=True)
    try:
        yield str(made)
    finally:
        shutil.rmtree(made)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> None:
    """Prints one table: the first column to the left, figures to the right."""
    table = Table(title=title, caption=note or None, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=max(130, shutil.get_terminal_size().columns)).print(table)


def load_of_machine() -> str:
    """How busy the machine is, for the note of a table: the mean over 1, 5 and 15 minutes."""
    return "load of the machine: " + ", ".join(f"{load:.1f}" for load in os.getloadavg())


def write_store(folder: str, data_keys: Mapping[str, ArraySpec], blocks: Iterable[Block]) -> Store:
    """A sequence store of synthetic sequences, a file per few blocks, with default tags."""
    entries: list[StoreFile] = []
    indices = []
    unwritten = iter(blocks)
    while some := list(islice(unwritten, _BLOCKS_PER_FILE)):
        name = f"sequences-{len(entries):05d}.arrow"
        rows = 0
        with files.write_atomically(files.join(folder, name)) as file:
            writer = StoreWriter(file, data_keys, has_tags=False)
            for block in some:
                num_seqs = len(next(iter(block.values())).lengths)
                writer.append(block, range(rows, rows + num_seqs))
                rows += num_seqs
            writer.close()
        entries.append(
            StoreFile(
                file=name,
                fingerprint="",
                source="synthetic.jsonl",
                first_position=1 + sum(entry.num_positions for entry in entries),
                num_positions=rows,
                batch_rows=tuple(writer.batch_rows),
                bytes=writer.num_bytes,
                xxh128=writer.xxh128,
                rejected={},
                converted={},
                unknown={},
            )
        )
        indices.append(writer.index)
    index = write_index(output_folder.lengths_path(folder), pa.concat_tables(indices))
    num_seqs = sum(entry.num_positions for entry in entries)
    write_manifest(folder, store_manifest(data_keys, entries, num_seqs, {output_folder.LENGTHS_NAME: index}))
    return Store(folder)


def store_manifest(
    data_keys: Mapping[str, ArraySpec],
    entries: Sequence[StoreFile],
    num_seqs: int,
    others: Mapping[str, Checksum],
) -> StoreManifest:
    """The manifest of a store of synthetic sequences."""
    return StoreManifest(
        format=FORMAT,
        fingerprint=secrets.token_hex(8),
        corpus="train",
        sources=("synthetic.jsonl",),
        data_keys=data_keys,
        has_tags=False,
        counts=Counts(num_seqs, num_seqs, {}, {}, {}),
        files=tuple(entries),
        others=others,
    )


def float_blocks(num_bytes: int, seed: int = 1) -> Iterator[Block]:
    """Blocks of float32 features [T, 80], T about 600 frames on average, ``num_bytes`` in all."""
    rng = np.random.default_rng(seed)
    frames = _BLOCK_BYTES // 320
    pool = rng.standard_normal((2 * frames, 80), np.float32)
    done = 0
    while done < num_bytes:
        wanted = min(frames, (num_bytes - done) // 320 + 1)
        lengths = _lengths(rng, wanted, _MEAN_FRAMES)
        start = int(rng.integers(0, frames))
        values = pool[start : start + int(lengths.sum())]
        yield {"data": Ragged(values, lengths)}
        done += values.nbytes


def int_blocks(num_seqs: int, seed: int = 1) -> Iterator[Block]:
    """Blocks of int32 sequences of two keys, about as long as each other, 30 labels on average."""
    rng = np.random.default_rng(seed)
    for first in range(0, num_seqs, 50_000):
        lengths = int_lengths(rng, min(50_000, num_seqs - first))
        yield {
            key: Ragged(rng.integers(0, spec.num_labels, int(lengths[key].sum()), np.int32), lengths[key])
            for key, spec in INTS.items()
        }


def int_lengths(rng: np.random.Generator, num_seqs: int) -> dict[str, np.ndarray]:
    """Lengths of short sequences in two keys, int32 [num_seqs] each, 30 on average."""
    data = np.clip(rng.gamma(4.0, _MEAN_INTS / 4.0, num_seqs), 1, 200)
    classes = np.clip(data * rng.uniform(0.8, 1.2, num_seqs), 1, 200)
    return {"data": data.astype(np.int32), "classes": classes.astype(np.int32)}


def _lengths(rng: np.random.Generator, frames: int, mean: int) -> np.ndarray:
    """Lengths that add up to ``frames``."""
    lengths = np.clip(rng.gamma(4.0, mean / 4.0, 2 * frames // mean + 2), 20, 4 * mean).astype(np.int32)
    cut = int(np.searchsorted(np.cumsum(lengths), frames))
    lengths = lengths[: cut + 1]
    lengths[-1] -= int(lengths.sum()) - frames
    return lengths[lengths > 0]


def one_epoch(ordering: str, batch_size: Mapping[str, int], length_key: str = "data") -> Schedule:
    """One epoch with an ordering and limits, all else as it is by default."""
    options = EpochOptions(
        ordering=parse_ordering(ordering),
        length_key=length_key,
        length_limits=LengthLimits({}, {}),
        chunking={},
        batch_limits=BatchLimits(batch_size, None),
        seed=1,
        fixed_random_seed=None,
        partition_epoch=1,
        num_shards=None,
        shard_size=128_000_000,
    )
    return Schedule(options, num_epochs=1)


@dataclass(frozen=True)
class Span:
    """What one piece of work took in its process: clock readings in seconds, CPU seconds; the process."""

    start: float
    end: float
    cpu: float
    process: int


class Timed:
    """Work on a task that leaves a note of when it ran and what it took.

    Args:
        work: Called with a task.
        folder: Where the notes go.
    """

    def __init__(self, work: Callable[[Any], None], folder: str):
        self.work = work
        self.folder = folder

    def __call__(self, task: Any) -> None:
        """Does the task."""
        start, cpu = time.monotonic(), time.process_time()
        self.work(task)
        note = [start, time.monotonic(), time.process_time() - cpu, os.getpid()]
        files.write_json(files.join(self.folder, f"{secrets.token_hex(8)}.json"), note)


def read_spans(folder: str) -> list[Span]:
    """The notes of ``Timed`` work."""
    return [Span(*files.read_json(files.join(folder, name))) for name in files.list_names(folder)]


@dataclass(frozen=True)
class Took:
    """What a measured run took, in seconds.

    Attributes:
        startup: Until the first worker began.
        wall: From then on to the end.
        cpu: Of all workers' work.
        longest: Of the CPU seconds those of the worker with the most, and what was done before them.
    """

    startup: float
    wall: float
    cpu: float
    longest: float = 0.0


def run_step(part: Part, notes: str, workers: int) -> Took:
    """Does a part whose work is ``Timed`` in worker processes of seqmill's, as a step of its own."""
    flags = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    files.make_folder(notes)
    begin = time.monotonic()
    with Engine(flags) as engine:
        engine.run(Step("benchmark", (part,)))
    return _took(begin, read_spans(notes), time.monotonic())


def run_processes(work: Callable[[Any], None], tasks: Sequence[Any], notes: str, workers: int) -> Took:
    """Runs plain processes that take tasks in turn, with the clocks of ``run_step``."""
    files.make_folder(notes)
    begin = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(Timed(work, notes), tasks, chunksize=1)
        end = time.monotonic()
    return _took(begin, read_spans(notes), end)


def _took(begin: float, spans: list[Span], end: float) -> Took:
    start = min(span.start for span in spans)
    by_worker: defaultdict[int, float] = defaultdict(float)
    for span in spans:
        by_worker[span.process] += span.cpu
    return Took(start - begin, end - start, sum(span.cpu for span in spans), max(by_worker.values()))


def prebatch(store: Store, schedule: Schedule, folder: str, workers: int) -> Took:
    """Plans and writes an epoch as ``seqmill preprocess`` does; planning counts as wall time."""
    start, cpu = time.monotonic(), time.process_time()
    planned = plan_epochs(folder, store, planned_by(store, schedule), {})
    begin(planned)
    compared = {files.join(store.folder, file.file): file.checksum for file in store.manifest.files}
    hash_all(compared)
    known = known_here(compared)
    planning, cpu = time.monotonic() - start, time.process_time() - cpu
    notes = files.join(folder, "notes")
    write = WriteShards(folder, store.folder, store.manifest.fingerprint, schedule, planned.run, known)
    sizes = [segment.bytes for segment in planned.segments]
    finish = FinishEpochs(folder, planned.run, tuple(planned.epochs))
    part = Part("train", folder, planned.segments, sizes, Timed(write, notes), finish)
    took = run_step(part, notes, workers)
    return Took(took.startup, planning + took.wall, cpu + took.cpu, cpu + took.longest)
