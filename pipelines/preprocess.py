"""``seqmill preprocess``: ingest if needed, then plan and write every epoch of every corpus."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.ingest import bring_stores, ingest_scanned, is_ingested
from seqmill.pipelines.ingest_work import scan
from seqmill.pipelines.options import Config
from seqmill.pipelines.plan_report import CorpusReport, report_corpus
from seqmill.pipelines.shared_stores import check_shared_stores, reading_stores
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.described_options import describe
from seqmill.transforms.batches.finish_epochs import FinishEpochs
from seqmill.transforms.batches.layout import (
    corpus_fingerprint,
    lay_out,
    planned_manifest,
    select_sequences,
)
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.plan_file import write_plan
from seqmill.transforms.batches.planned import begin
from seqmill.transforms.batches.segment import Segment, read_receipt, receipt_path
from seqmill.transforms.batches.write_shards import WriteShards
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.features.small_elements import describe_errors
from seqmill.transforms.planning.plan import CHUNKS_DISAGREE, EpochOptions, Selection
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import (
    Checksum,
    Known,
    checksum,
    damaged,
    hash_all,
    is_intact,
    known_here,
)
from seqmill.transforms.storage.current_run import clear_leftovers
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer, reader
from seqmill.transforms.storage.manifest_file import UnusableManifestError
from seqmill.transforms.store.finish_store import check_rejected
from seqmill.transforms.store.sequence_store import Store


def preprocess(config: Config, beam_flags: Sequence[str] = (), fresh: bool = False) -> None:
    """Brings stores and epochs of every corpus up to date, as the only writer of the output.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        fresh: Hash again everything that earlier runs have written, and redo what does not match.

    Raises:
        SeqmillError: Bad input, or a run that failed; what is done already is kept for the next.

    >>> import seqmill
    >>> seqmill.preprocess(seqmill.load_config("config.toml"), ["--direct_running_mode=in_memory"])
    >>> len(seqmill.read_manifest("work/epochs/train").epochs)
    2
    """
    with (
        only_writer(config.output, "run"),
        reading_stores(config, "run"),
        Engine(beam_flags) as engine,
    ):
        bring_stores(config, engine, fresh)
        for name in config.corpus:
            _preprocess_corpus(config, name, engine, fresh)


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
    if config.store is not None:
        check_shared_stores(config)
    elif not is_ingested(scanned := scan(config)):
        with only_writer(config.output, "run"), Engine(beam_flags) as engine:
            ingest_scanned(scanned, engine)
    with reader(config.output, "plan"), reading_stores(config, "plan"):
        return [_plan_corpus(config, name) for name in config.corpus]


def _plan_corpus(config: Config, name: str) -> CorpusReport:
    store, options = Store(output_folder.store_folder(config.store_output, name)), config.epoch_options(name)
    selection = select_sequences(store, options)
    planned = planned_manifest(store, selection, options, [])
    check_rejected(name, planned.counts, config.corpus[name].max_rejected, None)
    report = report_corpus(store, selection, options, lay_out(store, selection, options))
    free = _free_bytes(config.output)
    needed = sum(epoch.bytes for epoch in report.epochs)
    if free is not None and needed > free:
        console.say(f"warning: {config.output}: {name} needs {needed:,} bytes, {free:,} bytes are free")
    return report


def _preprocess_corpus(config: Config, name: str, engine: Engine, fresh: bool) -> None:
    store, options = Store(output_folder.store_folder(config.store_output, name)), config.epoch_options(name)
    folder = output_folder.epochs_folder(config.output, name)
    clear_leftovers(folder)
    was = _written(folder)
    same = was is not None and _is_of(was, store, options)
    if was is not None and same and _is_whole(folder, was, fresh) and _few_rejected(config, name, was):
        console.say(f"preprocess {name}: up to date")
        return
    if was is not None and not same:
        console.say(f"preprocess {name}: {_what_changed(was, options)}")
    selection = select_sequences(store, options)
    epochs: list[Epoch] = []
    segments: list[Segment] = []
    oversized = 0
    console.say(f"plan {name}: epochs 1 to {options.num_epochs} of {len(selection.rows):,} sequences")
    for layout in lay_out(store, selection, options):
        if not is_intact(output_folder.plan_path(folder, layout.plan.epoch), layout.plan_file, fresh):
            write_plan(folder, layout.plan)
        epochs.append(layout.entry)
        segments += layout.segments
        oversized = max(oversized, layout.plan.oversized)
    planned = planned_manifest(store, selection, options, epochs)
    if oversized:
        console.say(f"plan {name}: {oversized:,} alone exceed batch_size; each is a batch of its own")
    files.remove(output_folder.manifest_path(folder))
    others = _write_rejected(config, name, store, selection, planned)
    run = begin(folder, replace(planned, others=others), segments)
    todo = [segment for segment in segments if read_receipt(folder, segment, fresh) is None]
    for segment in todo if fresh else ():
        files.remove(receipt_path(folder, segment))  # a task that finds it would do nothing
    if len(todo) < len(segments):
        console.say(f"preprocess {name}: {len(segments) - len(todo)} of {len(segments)} shards are there")
    _write_shards(config, name, store, options, todo, run, engine)
    _say_what_was_written(folder)


def _write_shards(
    config: Config,
    name: str,
    store: Store,
    options: EpochOptions,
    segments: list[Segment],
    run: str,
    engine: Engine,
) -> None:
    folder = output_folder.epochs_folder(config.output, name)
    num_bytes = sum(segment.bytes for segment in segments)
    _check_space(folder, num_bytes)
    work = WriteShards(
        folder,
        store.folder,
        store.manifest.fingerprint,
        Schedule(options, options.num_epochs),
        run,
        _compare_store(store) if segments else None,
    )
    vocabs = {
        key: files.join(store.folder, spec.vocab)
        for key, spec in store.manifest.data_keys.items()
        if spec.vocab is not None
    }
    finish = FinishEpochs(folder, vocabs, run)
    part = Part(name, folder, segments, [segment.bytes for segment in segments], work, finish)
    engine.run(Step("preprocess", (part,)), _shuffle([store]) if config.exchange == "shuffle" else None)


def _shuffle(stores: Sequence[Store]) -> Callable[[Step], Any]:
    """What makes a shuffle through Beam of a step whose parts read from ``stores``."""

    def transform(step: Step) -> Any:
        from seqmill.transforms.beam.shuffle import ShuffleShards

        return ShuffleShards(step, [store.num_blocks for store in stores])

    return transform


def _written(folder: str) -> Manifest | None:
    """The manifest of the epochs that are there, if it can be used."""
    if not files.exists(output_folder.manifest_path(folder)):
        return None
    try:
        return manifest.read(folder)
    except UnusableManifestError as error:
        console.say(f"{error}; it is made again")
        return None


def _is_of(was: Manifest, store: Store, options: EpochOptions) -> bool:
    """Whether epochs are those that a store and options make, and say so."""
    return (
        was.fingerprint == corpus_fingerprint(store, options)
        and (was.corpus, was.options) == (store.manifest.corpus, describe(options))
        and was.data_keys == store.data_keys
        and was.counts.read == store.manifest.counts.read
        and [epoch.epoch for epoch in was.epochs] == [*range(1, options.num_epochs + 1)]
    )


def _what_changed(was: Manifest, options: EpochOptions) -> str:
    """Why the epochs that are there are not those asked for, and which of them go."""
    changed = [
        f"{name} was {_shown(was.options.get(name))}, is {_shown(value)}"
        for name, value in describe(options).items()
        if was.options.get(name) != value
    ]
    text = "; ".join(changed) or "its data or what makes epochs of them has changed"
    first, last = options.num_epochs + 1, len(was.epochs)
    if first <= last:
        text += f"; deletes epoch {last}" if first == last else f"; deletes epochs {first} to {last}"
    return text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_shown(limit)}" for key, limit in value.items())
        return f"{{ {inside} }}" if inside else "none"
    return "none" if value is None else str(value)


def _is_whole(folder: str, was: Manifest, fresh: bool) -> bool:
    """Whether every file of the epochs is what was written; says which is not."""
    wrong = damaged(folder, was.checksums, fresh)
    for path in wrong:
        console.say(f"{path}: missing, or not what was written; it is made again")
    return not wrong


def _compare_store(store: Store) -> Known | None:
    """Compares a local store's files with their hashes; workers of this machine need not do it again."""
    if not files.is_local(store.folder):
        return None
    paths = {files.join(store.folder, file.file): file.checksum for file in store.manifest.files}
    hash_all(paths)
    return known_here(paths)


def _few_rejected(config: Config, name: str, was: Manifest) -> bool:
    max_rejected: float = config.corpus[name].max_rejected
    return sum(was.counts.rejected.values()) <= max_rejected * was.counts.read


def _write_rejected(
    config: Config, name: str, store: Store, selection: Selection, planned: Manifest
) -> dict[str, Checksum]:
    """Lists the sequences that cannot be chunked; ends the run if there are too many of all rejects.

    Returns:
        What was written, by name.
    """
    path = output_folder.rejected_path(output_folder.epochs_folder(config.output, name), output_folder.PLAN)
    files.remove(path)
    if not len(selection.disagreeing):
        return {}
    with files.write_atomically(path) as file:
        for row in selection.disagreeing.tolist():
            lengths = {key: int(column[row]) for key, column in store.lengths.items()}
            source, position = store.place(row)
            reject = {
                "source": source,
                "position": position,
                "seq_tag": store.tag(row).decode(errors="replace"),
                "reason": CHUNKS_DISAGREE,
                "detail": ", ".join(f"{key} has {length} frames" for key, length in lengths.items()),
            }
            file.write(orjson.dumps(reject) + b"\n")
    check_rejected(name, planned.counts, config.corpus[name].max_rejected, path)
    return {output_folder.rejected_name(output_folder.PLAN): checksum(path)}


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


def _say_what_was_written(folder: str) -> None:
    written = manifest.read(folder)
    num_bytes = sum(shard.bytes for epoch in written.epochs for shard in epoch.shards)
    counts = written.counts
    console.say(
        f"preprocess {written.corpus}: {len(written.epochs)} epochs, {num_bytes:,} bytes in {folder}; "
        f"{counts.read:,} read = {counts.kept:,} kept + {sum(counts.dropped.values()):,} dropped + "
        f"{sum(counts.rejected.values()):,} rejected"
    )
    for line in describe_errors(counts.largest_error, written.data_keys):
        console.say(f"  {line}")
