"""Writing the epochs of corpora: the step that does it, wherever it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.transforms.batches.begin_epochs import EpochsToWrite
from seqmill.transforms.batches.finish_epochs import FinishEpochs
from seqmill.transforms.batches.routes import remove_routes
from seqmill.transforms.batches.write_shards import WriteShards
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import known_here
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

_LARGEST_SHUFFLED_SHARD = 1_000_000_000  # messages of 2 GB break on every runner, some at half of that


@dataclass(frozen=True)
class Todo:
    """What is to be written of a corpus, and what from."""

    store: Store
    schedule: Schedule
    work: EpochsToWrite


def write_epochs(todos: Sequence[Todo], engine: Engine, exchange: str, doing: str = "preprocess") -> None:
    """Writes what is to be written, in one step for all corpora.

    Args:
        todos: What that is; their epochs have been begun.
        engine: Runs it.
        exchange: How sequences come to the workers: ``"gather"`` or ``"shuffle"``.
        doing: What is being done, for people.
    """
    step = Step(doing, tuple(_part(todo, engine.is_this_machine) for todo in todos))
    if exchange == "gather":
        engine.run(step)
    elif engine.is_this_machine:
        console.say(f"{step.title}: one machine has no need of a shuffle: it reads the store, as gather does")
        engine.run(step)
    else:
        _check_shards_fit(todos)
        try:
            engine.run(step, _shuffle([todo.store for todo in todos]))
        finally:
            for todo in todos:
                remove_routes(todo.work.folder)


def check_space(folder: str, needed: int) -> None:
    """Raises SeqmillError where so many bytes find no room."""
    free = free_bytes(folder)
    if free is not None and needed > free:
        raise SeqmillError(
            f"{folder}: no space: {needed:,} bytes are to be written, {free:,} bytes are free; fewer "
            "distinct_epochs need less, or epochs_ahead"
        )


def free_bytes(folder: str) -> int | None:
    """What is free where a folder is or will be; None where nobody knows."""
    if not files.is_local(folder):
        return None
    there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    return shutil.disk_usage(there).free


def _check_shards_fit(todos: Sequence[Todo]) -> None:
    """Says how much a worker holds at once in a shuffle. Raises SeqmillError where no runner carries it."""
    shards = [segment.bytes for todo in todos for segment in todo.work.segments]
    largest = max(shards, default=0)
    if largest > _LARGEST_SHUFFLED_SHARD:
        raise SeqmillError(
            f'a shard of {largest:,} bytes: with exchange = "shuffle" a worker holds a shard\'s sequences in '
            f"memory, expected {_LARGEST_SHUFFLED_SHARD:,} bytes at most; set a smaller shard_size, or more "
            "num_shards"
        )
    console.say(
        f"shuffle: {sum(shards):,} bytes at most go through the runner; who writes holds up to {largest:,} "
        "at a time (shard_size)"
    )


def _part(todo: Todo, is_here: bool) -> Part:
    """What is to be done of a corpus; where its tasks run here, none hashes what another has."""
    store, work = todo.store, todo.work
    write = WriteShards(
        work.folder,
        store.folder,
        store.manifest.fingerprint,
        todo.schedule,
        work.run,
        known_here(store.compare_files()) if work.segments and is_here else None,
    )
    finish = FinishEpochs(work.folder, work.run, tuple(work.epochs))
    sizes = [segment.bytes for segment in work.segments]
    return Part(store.manifest.corpus, work.folder, work.segments, sizes, write, finish)


def _shuffle(stores: Sequence[Store]) -> Callable[[Step], Any]:
    """What makes a shuffle through Beam of a step whose parts read from ``stores``."""

    def transform(step: Step) -> Any:
        from seqmill.transforms.beam.shuffle import ShuffleShards

        return ShuffleShards(step, stores)

    return transform
