"""``seqmill preprocess``: ingest if needed, then plan and write every epoch of every corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.epochs_step import Todo, check_space, write_epochs
from seqmill.pipelines.epochs_there import EpochsThere, epochs_there
from seqmill.pipelines.ingest import bring_stores
from seqmill.pipelines.needed_epochs import most_at_once, needed_epochs
from seqmill.pipelines.options import TRAIN, Config
from seqmill.pipelines.shared_stores import reading_stores
from seqmill.pipelines.sources import sources_of
from seqmill.pipelines.stale_files import files_of, remove_stale
from seqmill.transforms.batches import epoch_manifest
from seqmill.transforms.batches.begin_epochs import (
    EpochsToWrite,
    begin,
    plan_again,
    plan_corpus,
    remove_epochs_but,
)
from seqmill.transforms.batches.layout import check_selections, planned_as_there, planned_by
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.per_epoch_options import behind_the_last
from seqmill.transforms.batches.stream import is_stream
from seqmill.transforms.batches.unchunkable import are_few_rejected
from seqmill.transforms.features.shared_vocabs import fields_of_two
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.planning.ahead import NONE_TO_WRITE, Needed
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.current_run import clear_leftovers
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.locks import only_writer
from seqmill.transforms.storage.ranges import counted, numbered
from seqmill.transforms.store.sequence_store import Store


def preprocess(
    config: Config,
    beam_flags: Sequence[str] = (),
    fresh: bool = False,
    *,
    shards: bool = True,
    ahead: int | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Brings stores and epochs of every corpus up to date, as the only writer of the output.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        fresh: Hash again everything that earlier runs have written, and redo what does not match.
        shards: Write them; without, epochs are only planned, which is enough to train from the store.
        ahead: How many of the epochs to write that come behind the one that the training needs next, where
            ``epochs_ahead`` is set; -1: not that one either. Default: as many as ``epochs_ahead`` says.
        check: Called when the stores are there, before anything is done to epochs; raises SeqmillError.

    Raises:
        SeqmillError: Bad input, or a run that failed; what is done already is kept for the next.

    >>> import seqmill
    >>> seqmill.preprocess(seqmill.load_config("config.toml"), ["--direct_running_mode=in_memory"])
    >>> len(seqmill.read_manifest("work/epochs/train").epochs)
    2
    """
    warn_of_options(config)
    _check_no_stream(config)
    with (
        only_writer(config.output, "run"),
        reading_stores(config, "run"),
        Engine(beam_flags) as engine,
    ):
        if not all(files.exists(output_folder.manifest_path(folder)) for folder in _epochs_folders(config)):
            engine.expect_work()
        bring_stores(config, engine, fresh)
        if check is not None:
            check()
        bring_epochs(config, engine, fresh, shards, ahead)


def is_up_to_date(config: Config, ahead: int | None = None) -> bool:
    """Whether the epochs of every corpus are as asked for, the stores being so.

    Args:
        config: The configuration.
        ahead: As for ``preprocess``.
    """
    return all(_is_up_to_date(config, name, needed_epochs(config, name, ahead)) for name in config.corpus)


def warn_of_options(config: Config) -> None:
    """Says which epochs a schedule names that are not trained, and which fields have two vocabularies."""
    for source in sources_of(config).values():
        for line in fields_of_two(source.keys, [*config.data.values()]):
            console.say(f"warning: {line}", once=True)
    for epochs in behind_the_last(config.schedule, config.num_epochs):
        console.say(f"warning: schedule: epochs {epochs} are behind num_epochs = {config.num_epochs}")


def _check_no_stream(config: Config) -> None:
    for folder in filter(is_stream, _epochs_folders(config)):
        raise UsageError(
            f"{folder}: is a stream of windows: `seqmill preprocess --watch` goes on with it; or choose "
            "another output"
        )


def _epochs_folders(config: Config) -> list[str]:
    return [output_folder.epochs_folder(config.output, name) for name in config.corpus]


def bring_epochs(
    config: Config, engine: Engine, fresh: bool = False, shards: bool = True, ahead: int | None = None
) -> None:
    """``preprocess``, where stores are there: brings epochs up to date, in one step for all corpora."""
    with files.remembering(*_epochs_folders(config)):
        open_corpora = _begin_epochs(config, fresh, shards, ahead)
    if not shards or not open_corpora:
        return
    write_epochs(open_corpora, engine, config.exchange)
    for todo in open_corpora:
        _say_what_was_written(todo.work)


def _begin_epochs(config: Config, fresh: bool, shards: bool, ahead: int | None) -> list[Todo]:
    """Plans what is to be written of every corpus, and makes its folder ready for it."""
    open_corpora = []
    for name in config.corpus:
        needed = needed_epochs(config, name, ahead) if shards else NONE_TO_WRITE
        if todo := _what_is_to_do(config, name, fresh, needed):
            open_corpora.append(todo)
    if shards:
        num_bytes = sum(_room(config, todo.work) for todo in open_corpora)
        check_space(output_folder.all_epochs_folder(config.output), num_bytes)
    for todo in open_corpora:
        begin(todo.work)
        name, there = todo.store.manifest.corpus, todo.work.num_written
        if not shards:
            console.say(f"plan {name}: batches come from {todo.store.folder}")
        elif there:
            shards_are = counted(there + len(todo.work.segments), "shard is", "shards are")
            console.say(f"preprocess {name}: {there:,} of {shards_are} there")
    return open_corpora


def _what_is_to_do(config: Config, name: str, fresh: bool, needed: Needed | None) -> Todo | None:
    store = Store(output_folder.store_folder(config.store_output, name))
    folder = output_folder.epochs_folder(config.output, name)
    asked = config.schedule_of(name)
    selections = planned_by(store, asked, anew=True) if fresh else planned_as_there(folder, store, asked)
    clear_leftovers(folder)
    there = epochs_there(folder, store, selections.schedule, fresh, needed)
    if there.is_complete and _few_rejected(config, name, there.manifest):
        if needed is not None:
            remove_epochs_but(folder, needed.to_keep)
        console.say(f"{'preprocess' if needed is None or needed.to_write else 'plan'} {name}: up to date")
        return None
    return Todo(store, selections.schedule, _plan_epochs(config, store, selections, there, fresh, needed))


def _is_up_to_date(config: Config, name: str, needed: Needed | None) -> bool:
    folder = output_folder.epochs_folder(config.output, name)
    store = Store(output_folder.store_folder(config.store_output, name))
    with files.remembering(folder):
        selections = planned_as_there(folder, store, config.schedule_of(name))
        there = epochs_there(folder, store, selections.schedule, False, needed)
    return there.is_complete and _few_rejected(config, name, there.manifest)


def _plan_epochs(
    config: Config,
    store: Store,
    selections: Selections,
    there: EpochsThere,
    fresh: bool,
    needed: Needed | None,
) -> EpochsToWrite:
    name = store.manifest.corpus
    folder = output_folder.epochs_folder(config.output, name)
    few_rejected = _few_rejected(config, name, there.manifest)
    if there.manifest is not None:
        remove_stale(config, folder, there.manifest.others, files_of(store.data_keys))
    if not there.is_asked_for or not few_rejected:
        files.remove(output_folder.manifest_path(folder))  # nothing is planned until all is known to fit
    if needed is not None and there.is_usable and few_rejected and there.manifest is not None:
        remove_epochs_but(folder, needed.to_keep)
        again = plan_again(folder, store, selections, there.manifest, needed.to_write, there.whole or ())
        return replace(again, kept=frozenset({*again.kept, *_kept(there.manifest, needed)}))
    check_selections(store, selections)
    epochs = numbered("epoch", selections.schedule.stored_epochs)
    console.say(f"plan {name}: {epochs} of {counted(len(selections.in_any.rows), 'sequence')}")
    max_rejected = config.corpus[name].max_rejected
    work = plan_corpus(folder, store, selections, max_rejected, fresh, there.whole, needed)
    if work.oversized:
        console.say(f"plan {name}: {work.oversized:,} alone exceed batch_size; each is a batch of its own")
    return work


def _kept(corpus: Manifest, needed: Needed) -> set[int]:
    return {epoch.epoch for epoch in corpus.epochs if epoch.epoch in needed.to_keep}


def _room(config: Config, work: EpochsToWrite) -> int:
    """Bytes that a corpus' epochs need beyond those that are there, now and while they are trained on."""
    if work.manifest.corpus != TRAIN or config.epochs_ahead is None:
        return work.num_bytes
    is_planned_anew = len(work.epoch_bytes) == len(work.manifest.epochs)
    return most_at_once(config, work.epoch_bytes) if is_planned_anew else work.num_bytes


def _few_rejected(config: Config, name: str, was: Manifest | None) -> bool:
    return was is not None and are_few_rejected(was, config.corpus[name].max_rejected)


def _say_what_was_written(work: EpochsToWrite) -> None:
    written = work.manifest
    there = [found for one in written.epochs if (found := epoch_manifest.find(work.folder, written, one))]
    num_bytes = sum(shard.bytes for epoch in there for shard in epoch.shards)
    counts, epochs = written.counts, counted(len(written.epochs), "epoch")
    if len(there) < len(written.epochs):
        epochs = f"{len(there)} of {epochs}"
    console.say(
        f"preprocess {written.corpus}: {epochs}, {num_bytes:,} bytes in {work.folder}; "
        f"{counts.read:,} read = {counts.kept:,} kept + {sum(counts.dropped.values()):,} dropped + "
        f"{sum(counts.rejected.values()):,} rejected"
    )
    for line in describe_errors(counts.largest_error, written.data_keys):
        console.say(f"  {line}")
