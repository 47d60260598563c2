"""``seqmill ingest``: raw corpora to sequence stores, and the vocabularies they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.ingest_work import CountWork, FrameWork, StoreWork, count_work, frame_work, store_work
from seqmill.pipelines.options import Config
from seqmill.pipelines.scan import Scanned, scan
from seqmill.pipelines.shared_stores import check_shared_stores, reading_stores
from seqmill.pipelines.sources import JOINED, Source, joined_into
from seqmill.pipelines.stale_files import files_of, remove_stale, remove_uncounted
from seqmill.pipelines.vocab_files import labels_never_found, listed_vocabs
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.features.data_keys import AUDIO_TYPES
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.features.vocab import read_vocab, write_vocab
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import damaged
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.current_run import begin_run, clear_leftovers
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer
from seqmill.transforms.storage.manifest_file import NoManifestError, UnusableManifestError
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.count_folder import CountFolder
from seqmill.transforms.store.count_frames import CountFrames, WriteNorms, frame_counts
from seqmill.transforms.store.count_labels import CountLabels, WriteVocabs, label_counts
from seqmill.transforms.store.counts import Counts
from seqmill.transforms.store.finish_store import FinishStore
from seqmill.transforms.store.ingest import IngestSplits, IngestTask, is_done
from seqmill.transforms.store.named_files import changed_among, find_changed, learn_hashes
from seqmill.transforms.store.sequence_store import Store, StoreManifest, read_manifest
from seqmill.transforms.store.split_receipt import remove_receipt

_MOST_UNKNOWN = 0.05  # share of <unk> beyond which the vocabulary is hardly that of the corpus

# Bytes a second: of text, of binary formats, of lines that name recordings (each takes tens of milliseconds).
_RATE_OF_TEXT, _RATE_OF_VALUES, _RATE_OF_PATHS = 200e6, 1e9, 1000.0

_Say = Callable[[str], None]


def ingest(config: Config, beam_flags: Sequence[str] = (), fresh: bool = False) -> None:
    """Makes the store of every corpus up to date, as the only writer of the output.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        fresh: Hash again what earlier runs have written, and redo what does not match.

    Raises:
        SeqmillError: Input is missing or bad, or the output holds another corpus.

    >>> import seqmill
    >>> seqmill.ingest(seqmill.load_config("config.toml"))
    >>> seqmill.Store("work/store/train").num_seqs
    8
    """
    with (
        only_writer(config.output, "run"),
        reading_stores(config, "run"),
        Engine(beam_flags) as engine,
    ):
        bring_stores(config, engine, fresh)


def bring_stores(config: Config, engine: Engine, fresh: bool = False) -> None:
    """``ingest``, where the output is this run's alone."""
    if config.store is not None:
        check_shared_stores(config)
    else:
        ingest_scanned(scan(config), engine, fresh)


def ingest_scanned(scanned: Scanned, engine: Engine, fresh: bool = False) -> None:
    """``ingest``, of an input that has been looked at already; one step for all corpora."""
    sources = scanned.sources
    own = [name for name, source in sources.items() if source.is_own]
    joined = [name for name, source in sources.items() if source.is_joined]
    for name in (*joined, *own):
        _check_not_foreign(scanned, name)
    if (counting := count_work(scanned)) is not None:
        _count_labels(scanned, counting, engine, fresh)
    if (frames := frame_work(scanned)) is not None:
        _count_frames(scanned, frames, engine, fresh)
    for path, labels in listed_vocabs(scanned.config, scanned.declared):
        if not files.exists(path) or read_vocab(path) != labels:
            write_vocab(path, labels)
    for line in labels_never_found(scanned.config, scanned.declared):
        console.say(f"warning: {line}", once=True)
    _bring(scanned, engine, fresh, joined)
    _bring(scanned, engine, fresh, own)


def _bring(scanned: Scanned, engine: Engine, fresh: bool, names: Sequence[str]) -> None:
    """Makes the stores of some sources up to date."""
    output = scanned.config.output
    with files.remembering(*(output_folder.store_folder(output, name) for name in names)):
        parts = [part for name in names if (part := _prepare(scanned, name, fresh))]
    if not parts:
        return
    began = time.time_ns()
    with _from_unchanged(scanned.hashes, [part.folder for part in parts], output_folder.manifest_path):
        engine.run(Step("ingest", tuple(parts)))
    for part in parts:
        with files.remembering(part.folder):
            learn_hashes(part.folder, part.tasks, scanned.hashes, began)
            _report(part.folder)


def is_ingested(scanned: Scanned) -> bool:
    """Whether every store is as ``ingest`` would leave it; writes and says nothing."""
    counting, frames = count_work(scanned), frame_work(scanned)
    if counting is not None and label_counts(counting.folder).fingerprint() != counting.fingerprint:
        return False
    if frames is not None and (
        frame_counts(frames.folder).fingerprint() != frames.fingerprint or _changed_frames(scanned, frames)
    ):
        return False
    if not all(
        files.exists(path) and read_vocab(path) == v
        for path, v in listed_vocabs(scanned.config, scanned.declared)
    ):
        return False
    stores = [name for name, source in scanned.sources.items() if source.is_own or source.is_joined]
    works = {name: store_work(scanned, name) for name in stores}
    with files.remembering(*(work.folder for work in works.values())):
        return all(
            _is_complete(work.folder, name, work.fingerprint, False, lambda _: None)
            and not find_changed(work.folder, work.tasks, scanned.hashes)
            for name, work in works.items()
        )


def _prepare(scanned: Scanned, name: str, fresh: bool) -> Part | None:
    """What is to be ingested of a corpus, its folder ready for it; None where it is up to date."""
    todo = store_work(scanned, name)
    folder = todo.folder
    clear_leftovers(folder)
    changed = find_changed(folder, todo.tasks, scanned.hashes)
    if not changed and _is_complete(folder, name, todo.fingerprint, fresh, console.say):
        console.say(f"ingest {name}: up to date")
        return None
    if (was := _written(folder, lambda _: None)) is not None:
        remove_uncounted(scanned.config, was.others, scanned.declared)
        remove_stale(scanned.config, folder, was.others, files_of(todo.specs))
    _begin(folder, todo.fingerprint, output_folder.manifest_path(folder))
    for other in files.list_names(folder):
        if other.startswith(JOINED) and f"{name}/{other}" not in joined_into(scanned.sources, name):
            files.remove(files.join(folder, other))  # what another configuration joined
    open_tasks = [task for task in todo.tasks if task in changed or not is_done(folder, task, fresh)]
    for task in open_tasks if fresh else changed:
        remove_receipt(folder, task.index)  # a task that finds it would do nothing
    if len(open_tasks) < len(todo.tasks):
        there = len(todo.tasks) - len(open_tasks)
        tasks = counted(len(todo.tasks), "task is", "tasks are")
        console.say(f"ingest {name}: {there:,} of {tasks} done already")
    work = IngestSplits(
        folder=folder,
        keys=todo.keys,
        data_keys=todo.specs,
        vocab_files=todo.vocab_files,
        run=todo.fingerprint,
        norms=todo.norms,
        joins=todo.joins,
    )
    return _part(name, folder, open_tasks, work, _finish_of(scanned.sources[name], todo))


def _finish_of(source: Source, todo: StoreWork) -> FinishStore:
    """What makes a store whole once all of its tasks are done."""
    return FinishStore(
        folder=todo.folder,
        corpus=source.name,
        sources=todo.sources,
        data_keys=todo.specs,
        has_tags=source.options.seq_tag is not None,
        fingerprint=todo.fingerprint,
        splits=tuple(task.fingerprint for task in todo.tasks),
        max_rejected=source.corpus.max_rejected,
        allow_damaged=source.corpus.allow_damaged,
        vocab_files=todo.vocab_files,
        run=todo.fingerprint,
        listed=todo.listed,
        mixed=todo.mixed,
        norms=todo.norms,
        unique_tags=source.is_joined,
        joined=todo.joins,
    )


def _count_labels(scanned: Scanned, todo: CountWork, engine: Engine, fresh: bool) -> None:
    folder, run = todo.folder, todo.fingerprint
    finish = WriteVocabs(folder, todo.keys, run, tuple(task.fingerprint for task in todo.tasks))
    work = CountLabels(folder, todo.keys, run)
    _count(scanned, todo, label_counts(folder), (work, finish), engine, fresh)


def _count_frames(scanned: Scanned, todo: FrameWork, engine: Engine, fresh: bool) -> None:
    folder, run, counts = todo.folder, todo.fingerprint, frame_counts(todo.folder)
    for task in _changed_frames(scanned, todo):
        files.remove(counts.summary_path)
        counts.remove_part(task.index)
    finish = WriteNorms(folder, todo.data_keys, run, tuple(task.fingerprint for task in todo.tasks))
    work = CountFrames(folder, todo.keys, todo.data_keys, run)
    _count(scanned, todo, counts, (work, finish), engine, fresh)


def _changed_frames(scanned: Scanned, todo: FrameWork) -> list[IngestTask]:
    """The counted splits whose records name files that have changed since."""
    counts = frame_counts(todo.folder)
    named = ((task, counts.part(task.index).get("named_files", {})) for task in todo.tasks)
    return changed_among(named, scanned.hashes)


def _count(
    scanned: Scanned,
    todo: CountWork,
    counts: CountFolder,
    work_and_finish: tuple[Any, Any],
    engine: Engine,
    fresh: bool,
) -> None:
    """Counts what is not counted yet."""
    folder, run = todo.folder, todo.fingerprint
    with files.remembering(folder):
        clear_leftovers(folder)
        counted = counts.fingerprint(fresh)
        if counted == run:
            return
        if counted is None and files.exists(counts.summary_path):
            console.say(f"{folder}: missing {counts.what}, or not what was written; they are made again")
        _begin(folder, run, counts.summary_path)
        open_tasks = [task for task in todo.tasks if not counts.is_counted(task.index, task.fingerprint)]
    with _from_unchanged(scanned.hashes, [folder], lambda _: counts.summary_path):
        engine.run(Step(f"count {counts.what}", (_part("", folder, open_tasks, *work_and_finish),)))


def _begin(folder: str, run: str, published: str) -> None:
    """Takes back what an earlier run has published, and leaves the folder to this one."""
    files.remove_file(published)
    files.make_folder(output_folder.receipts_folder(folder))
    begin_run(folder, run)


def _part(corpus: str, folder: str, tasks: list[IngestTask], work: Any, finish: Any) -> Part:
    sizes = [task.work for task in tasks]
    rate = _RATE_OF_TEXT
    if any(FORMATS[task.split.format].holds_values for task in tasks):
        rate = _RATE_OF_VALUES
    elif any(key.type in AUDIO_TYPES for key in work.keys):
        rate = _RATE_OF_PATHS
    return Part(corpus, folder, tasks, sizes, work, finish, rate)


@contextmanager
def _from_unchanged(
    hashes: ContentHashes, folders: Sequence[str], published: Callable[[str], str]
) -> Iterator[None]:
    """Takes back what the block writes where the input changed while it was read.

    Args:
        hashes: What the input held.
        folders: Where the block writes.
        published: The file of a folder that makes it whole.
    """
    failure = None
    try:
        yield
    except SeqmillError as error:
        failure = error  # of one corpus; others may be whole
    try:
        hashes.check_unchanged()
    except SeqmillError:
        for folder in folders:
            files.remove(published(folder))
            files.remove(output_folder.receipts_folder(folder))
        raise
    if failure is not None:
        raise failure


def _is_complete(folder: str, name: str, whole: str, fresh: bool, say: _Say) -> bool:
    """Whether a store is as it should be; says what of it is not."""
    manifest = _written(folder, say)
    if manifest is None or (manifest.fingerprint, manifest.corpus) != (whole, name):
        return False
    wrong = damaged(folder, manifest.checksums, fresh)
    for path in wrong:
        say(f"{path}: missing, or not what was written; it is made again")
    return not wrong


def _written(folder: str, say: _Say) -> StoreManifest | None:
    """The manifest of the store that is there, if it can be used."""
    try:
        return read_manifest(folder)
    except NoManifestError:
        return None
    except UnusableManifestError as error:
        say(f"{error}; it is made again")
        return None


def _check_not_foreign(scanned: Scanned, name: str) -> None:
    """Refuses to replace the store of a corpus that shares no source with this one."""
    config, splits = scanned.config, scanned.splits[name]
    folder = output_folder.store_folder(config.output, name)
    written = _written(folder, lambda _: None)
    if written is None:
        return
    there = written.sources
    if not {files.name(path) for path in there} & {files.name(split.source) for split in splits}:
        raise UsageError(
            f"output {config.output} holds another corpus: {folder} was made from {there[0]}, not from "
            f"{splits[0].source}; choose another output, or delete that folder"
        )


def _report(folder: str) -> None:
    store = Store(folder)
    manifest, counts = store.manifest, store.manifest.counts
    rejected = sum(counts.rejected.values())
    text = f"ingest {manifest.corpus}: {counted(counts.read, 'sequence')} read, {rejected:,} rejected"
    for what, number in counts.converted.items():
        text += f", {number:,} {what}"
    console.say(text)
    for name, own in store.counts_of_sources(as_listed=False).items():
        console.say(f"  {name}: {_shares(own)}")
    for where, joined in manifest.joined.items():
        console.say(f"  joined with {where}: {_shares(joined.counts)}")
    for reason, number in sorted(counts.rejected.items()):
        console.say(f"  rejected: {number:,} {reason}")
    for entry in manifest.damaged:
        console.say(f"  damaged: {entry.source}: {entry.detail}")
    if counts.duplicate_tags:
        twice = counted(counts.duplicate_tags, "sequence has", "sequences have")
        console.say(f"  warning: {twice} the tag of another one")
    for line in describe_errors(counts.largest_error, manifest.data_keys):
        console.say(f"  {line}")
    for key, number in counts.unknown.items():
        share = number / int(store.lengths[key].sum(dtype=np.int64))
        remark = "warning: " if share > _MOST_UNKNOWN else ""
        unknown = counted(number, f"label ({share:.2%}) is", f"labels ({share:.2%}) are")
        console.say(f"  {remark}{key}: {unknown} not in its vocabulary: <unk>")


def _shares(counts: Counts) -> str:
    """What became of the records of a source, in words."""
    text = f"{counts.kept:,} of {counted(counts.read, 'sequence')}"
    for kind, reasons in (("dropped", counts.dropped), ("rejected", counts.rejected)):
        for reason, number in reasons.items():
            text += f", {number:,} {kind} ({reason})"
    return text
