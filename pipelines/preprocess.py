"""``seqmill preprocess``: ingest if needed, then plan and write every epoch of every corpus."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.epochs_there import EpochsThere, epochs_there
from seqmill.pipelines.ingest import bring_stores, ingest_scanned, is_ingested
from seqmill.pipelines.ingest_work import scan
from seqmill.pipelines.options import Config
from seqmill.pipelines.per_epoch_options import behind_the_last
from seqmill.pipelines.shared_stores import check_shared_stores, reading_stores
from seqmill.pipelines.unchunkable import are_few_rejected, check_unchunkable, list_unchunkable
from seqmill.transforms.batches import epoch_manifest
from seqmill.transforms.batches.begin_epochs import EpochsToWrite, begin, copy_vocabs, plan_epochs
from seqmill.transforms.batches.finish_epochs import FinishEpochs
from seqmill.transforms.batches.layout import lay_out, select_sequences
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.write_shards import WriteShards
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Known, hash_all, known_here
from seqmill.transforms.storage.current_run import clear_leftovers
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer, reader
from seqmill.transforms.storage.ranges import ranges
from seqmill.transforms.store.sequence_store import Store

if TYPE_CHECKING:
    from seqmill.pipelines.plan_report import CorpusReport


def preprocess(
    config: Config, beam_flags: Sequence[str] = (), fresh: bool = False, shards: bool = True
) -> None:
    """Brings stores and epochs of every corpus up to date, as the only writer of the output.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        fresh: Hash again everything that earlier runs have written, and redo what does not match.
        shards: Write them; without, epochs are only planned, which is enough to train from the store.

    Raises:
        SeqmillError: Bad input, or a run that failed; what is done already is kept for the next.

    >>> import seqmill
    >>> seqmill.preprocess(seqmill.load_config("config.toml"), ["--direct_running_mode=in_memory"])
    >>> len(seqmill.read_manifest("work/epochs/train").epochs)
    2
    """
    _warn_of_schedule(config)
    with (
        only_writer(config.output, "run"),
        reading_stores(config, "run"),
        Engine(beam_flags) as engine,
    ):
        if not all(files.exists(output_folder.manifest_path(folder)) for folder in _epochs_folders(config)):
            engine.expect_work()
        bring_stores(config, engine, fresh)
        _write_epochs(config, engine, fresh, shards)


def plan(config: Config, beam_flags: Sequence[str] = ()) -> list[CorpusReport]:
    """What ``preprocess`` would write, per corpus; ingests first if needed.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.

    Raises:
        SeqmillError: Bad input, nothing to write, or what ``preprocess`` would refuse but for lack of space,
            which is a warning.

    >>> import seqmill
    >>> (report,) = seqmill.plan(seqmill.load_config("config.toml"))
    >>> report.corpus, report.epochs[0].num_batches, report.epochs[0].num_seqs
    ('train', 3, 8)
    """
    _warn_of_schedule(config)
    if config.store is not None:
        check_shared_stores(config)
    elif not is_ingested(scanned := scan(config)):
        with only_writer(config.output, "run"), Engine(beam_flags) as engine:
            ingest_scanned(scanned, engine)
    with reader(config.output, "plan"), reading_stores(config, "plan"):
        return [_plan_corpus(config, name) for name in config.corpus]


def _warn_of_schedule(config: Config) -> None:
    for epochs in behind_the_last(config.schedule, config.num_epochs):
        console.say(f"warning: schedule: epochs {epochs} are behind num_epochs = {config.num_epochs}")


def _plan_corpus(config: Config, name: str) -> CorpusReport:
    from seqmill.pipelines.plan_report import report_corpus  # figures, which preprocess need not load

    store, schedule = Store(output_folder.store_folder(config.store_output, name)), config.schedule_of(name)
    selection = select_sequences(store, schedule)
    check_unchunkable(store, schedule, config.corpus[name].max_rejected)
    report = report_corpus(store, selection, schedule, lay_out(store, schedule))
    free = _free_bytes(config.output)
    needed = sum(epoch.bytes for epoch in report.epochs)
    if config.read_from == "shards" and free is not None and needed > free:
        console.say(f"warning: {config.output}: {name} needs {needed:,} bytes, {free:,} bytes are free")
    return report


def _epochs_folders(config: Config) -> list[str]:
    return [output_folder.epochs_folder(config.output, name) for name in config.corpus]


@dataclass(frozen=True)
class _Todo:
    """What is to be written of a corpus, and what from."""

    store: Store
    schedule: Schedule
    work: EpochsToWrite


def _write_epochs(config: Config, engine: Engine, fresh: bool, shards: bool) -> None:
    """Brings the epochs of every corpus up to date, in one step for all."""
    open_corpora = [todo for name in config.corpus if (todo := _what_is_to_do(config, name, fresh, shards))]
    if not shards:
        for todo in open_corpora:
            begin(todo.work)
            console.say(f"plan {todo.store.manifest.corpus}: batches come from {todo.store.folder}")
    if not shards or not open_corpora:
        return
    num_bytes = sum(todo.work.num_bytes for todo in open_corpora)
    _check_space(output_folder.all_epochs_folder(config.output), num_bytes)
    for todo in open_corpora:
        begin(todo.work)
        if todo.work.num_written:
            there, num_segments = todo.work.num_written, todo.work.num_written + len(todo.work.segments)
            name = todo.store.manifest.corpus
            console.say(f"preprocess {name}: {there} of {num_segments} shards are there")
    step = Step("preprocess", tuple(_part(todo) for todo in open_corpora))
    stores = [todo.store for todo in open_corpora]
    engine.run(step, _shuffle(stores) if config.exchange == "shuffle" else None)
    for todo in open_corpora:
        _say_what_was_written(todo.work)


def _what_is_to_do(config: Config, name: str, fresh: bool, shards: bool) -> _Todo | None:
    store, schedule = Store(output_folder.store_folder(config.store_output, name)), config.schedule_of(name)
    folder = output_folder.epochs_folder(config.output, name)
    clear_leftovers(folder)
    there = epochs_there(folder, store, schedule, fresh, shards)
    if there.is_complete and _few_rejected(config, name, there.manifest):
        console.say(f"{'preprocess' if shards else 'plan'} {name}: up to date")
        return None
    return _Todo(store, schedule, _plan_epochs(config, store, schedule, there, fresh, shards))


def _plan_epochs(
    config: Config, store: Store, schedule: Schedule, there: EpochsThere, fresh: bool, shards: bool
) -> EpochsToWrite:
    name = store.manifest.corpus
    folder = output_folder.epochs_folder(config.output, name)
    if not there.is_asked_for or not _few_rejected(config, name, there.manifest):
        files.remove(output_folder.manifest_path(folder))  # nothing is planned until all is known to fit
    selection = select_sequences(store, schedule)
    epochs = ranges(schedule.stored_epochs)
    console.say(f"plan {name}: epochs {epochs} of {len(selection.rows):,} sequences")
    max_rejected = config.corpus[name].max_rejected
    others = {**list_unchunkable(folder, store, schedule, max_rejected), **copy_vocabs(folder, store)}
    work = plan_epochs(folder, store, selection, schedule, others, fresh, there.whole, shards)
    if work.oversized:
        console.say(f"plan {name}: {work.oversized:,} alone exceed batch_size; each is a batch of its own")
    return work


def _part(todo: _Todo) -> Part:
    store, work = todo.store, todo.work
    write = WriteShards(
        work.folder,
        store.folder,
        store.manifest.fingerprint,
        todo.schedule,
        work.run,
        _compare_store(store) if work.segments else None,
    )
    finish = FinishEpochs(work.folder, work.run, tuple(work.epochs))
    sizes = [segment.bytes for segment in work.segments]
    return Part(store.manifest.corpus, work.folder, work.segments, sizes, write, finish)


def _shuffle(stores: Sequence[Store]) -> Callable[[Step], Any]:
    """What makes a shuffle through Beam of a step whose parts read from ``stores``."""

    def transform(step: Step) -> Any:
        from seqmill.transforms.beam.shuffle import ShuffleShards

        return ShuffleShards(step, [store.num_blocks for store in stores])

    return transform


def _compare_store(store: Store) -> Known | None:
    """Compares a local store's files with their hashes; workers of this machine need not do it again."""
    if not files.is_local(store.folder):
        return None
    paths = {files.join(store.folder, file.file): file.checksum for file in store.manifest.files}
    hash_all(paths)
    return known_here(paths)


def _few_rejected(config: Config, name: str, was: Manifest | None) -> bool:
    return was is not None and are_few_rejected(was, config.corpus[name].max_rejected)


def _check_space(folder: str, needed: int) -> None:
    free = _free_bytes(folder)
    if free is not None and needed > free:
        raise SeqmillError(
            f"{folder}: no space: {needed:,} bytes are to be written, {free:,} bytes are free; fewer "
            "distinct_epochs need less"
        )


def _free_bytes(folder: str) -> int | None:
    if not files.is_local(folder):
        return None
    there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    return shutil.disk_usage(there).free


def _say_what_was_written(work: EpochsToWrite) -> None:
    written = work.manifest
    shards = [
        shard for epoch in written.epochs for shard in epoch_manifest.read(work.folder, written, epoch).shards
    ]
    num_bytes, counts = sum(shard.bytes for shard in shards), written.counts
    console.say(
        f"preprocess {written.corpus}: {len(written.epochs)} epochs, {num_bytes:,} bytes in {work.folder}; "
        f"{counts.read:,} read = {counts.kept:,} kept + {sum(counts.dropped.values()):,} dropped + "
        f"{sum(counts.rejected.values()):,} rejected"
    )
    for line in describe_errors(counts.largest_error, written.data_keys):
        console.say(f"  {line}")
