"""``seqmill verify``: checks written epochs against their manifest and what must always hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from seqmill.pipelines.console import say
from seqmill.pipelines.corpus_folders import corpus_folders, corpus_name, output_of
from seqmill.pipelines.verify_against_store import compare_with_store
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.epoch_manifest import EpochManifest
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.read_batches import read_shard
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.vocab import read_vocab
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.distinct import num_distinct
from seqmill.transforms.planning.drop import drop
from seqmill.transforms.planning.plan import BY_PLAN, CHUNKS_DISAGREE, EpochOptions
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, hash_all
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import reader
from seqmill.transforms.storage.ranges import counted, numbered, ranges
from seqmill.transforms.store.sequence_store import Store


def verify(path: str, store: str | None = None) -> None:
    """Checks every corpus in an output folder, or one corpus' folder of epochs.

    The manifest's own hash and those of all files; record CRCs, shapes, padding, every limit, the counts, and
    that every sequence (every chunk) occurs exactly once a pass (not where files are listed several times).
    Where the store is beside the epochs, its files too; the plan is made again, and every record is compared
    with what it gives: values, lengths, tags. The closing line says what was compared.

    Args:
        path: The folder.
        store: The output whose stores the epochs were made from, where that is another.

    Raises:
        UsageError: There are no such folders.
        SeqmillError: Names the first thing that is wrong, or a run that is at work there.

    >>> import seqmill
    >>> seqmill.verify("work")
    """
    with ExitStack() as held:
        if (output := output_of(path)) is not None:
            held.enter_context(reader(output, "verify"))
        if store is not None:
            held.enter_context(reader(store, "verify"))
        folders = corpus_folders(path)
        if output is not None and folders != [path]:
            _verify_none_is_missing(output, folders)
        for folder in folders:
            with files.remembering(folder):
                _verify_corpus(folder, None if folder == path else corpus_name(folder), store)


def _verify_none_is_missing(output: str, folders: list[str]) -> None:
    """Every corpus that has a store must have epochs, too."""
    there = {corpus_name(folder) for folder in folders}
    for name in files.list_names(output_folder.all_stores_folder(output)):
        store = output_folder.store_folder(output, name)
        if name not in there and files.exists(output_folder.manifest_path(store)):
            raise SeqmillError(
                f"{output_folder.epochs_folder(output, name)}: no epochs, but {store} is there: incomplete "
                "(run `seqmill preprocess`)"
            )


def _verify_corpus(folder: str, name: str | None, store_output: str | None) -> None:
    """Verifies a folder of epochs; ``name``: of the corpus that it must hold, where that is known."""
    content = manifest.read(folder)
    if name is not None:
        manifest.check_corpus(folder, content, name)
    corpus = _Corpus(folder, content)
    there = _epochs_there(folder, content)
    _verify_files(folder, content.others)
    for epoch in there.values():
        _verify_files(folder, epoch.checksums)
    numbers = (epoch.epoch for epoch in content.epochs)
    for _, of_pass in groupby(numbers, lambda number: corpus.options(number).place(number)[0]):
        if found := [there[number] for number in of_pass if number in there]:
            _verify_pass(corpus, found)
    _verify_vocabs(corpus)
    store_folder = output_folder.store_beside(folder, content.corpus)
    if store_output is not None:
        store_folder = output_folder.store_folder(store_output, content.corpus)
    beside = files.exists(output_folder.manifest_path(store_folder))
    if store_output is not None and not beside:
        raise UsageError(f"--store={store_output}: there is no {store_folder}; expected an output folder")
    if beside:
        store = Store(store_folder)
        _verify_files(store_folder, store.manifest.checksums)
        compare_with_store(folder, content, there, store)
    epochs = f"epochs {len(there)}{_to_come(content, there)}"
    num_shards = sum(len(epoch.shards) for epoch in there.values())
    say(f"{folder}: right: {epochs}, shards {num_shards}; {_what(beside, content.repeats)}")


def _epochs_there(folder: str, content: Manifest) -> dict[int, EpochManifest]:
    """The epochs that are there, by number. Raises SeqmillError where one is not what is planned."""
    return {
        epoch.epoch: epoch_manifest.read(folder, content, epoch)
        for epoch in content.epochs
        if files.exists(output_folder.epoch_manifest_path(folder, epoch.epoch))
    }


def _to_come(content: Manifest, there: Collection[int]) -> str:
    missing = [epoch.epoch for epoch in content.epochs if epoch.epoch not in there]
    return f" of {len(content.epochs)} (still to come: {ranges(missing)})" if missing else ""


def _what(beside: bool, repeats: bool) -> str:
    own = "hashes of all files, limits, padding and counts"
    if not repeats:
        own += ", every sequence once a pass"
    if beside:
        return f"{own}; the plan made again, and all values, lengths and tags compared with the store"
    return f"{own}; values, lengths, tags and the plan not compared: no store beside the epochs"


def _verify_files(folder: str, checksums: Mapping[str, Checksum]) -> None:
    hash_all({files.inside(folder, name): expected for name, expected in checksums.items()}, fresh=True)


class _Corpus:
    """A written corpus."""

    def __init__(self, folder: str, content: Manifest):
        self.folder = folder
        self.content = content
        schedule = content.schedule
        for options in (schedule.options, *(stretch.options for stretch in schedule.stretches)):
            self._check_keys(options)
        numbers = [epoch.epoch for epoch in content.epochs]
        if len(numbers) != schedule.num_stored or numbers != [*schedule.stored_epochs]:
            runs = (f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in schedule.stored_runs)
            found = ranges(numbers) or "none"
            raise SeqmillError(f"{folder}: manifest.json: epochs {found}, expected {', '.join(runs)}")
        self._check_counts()

    def options(self, epoch: int) -> EpochOptions:
        """The options of an epoch."""
        return self.content.schedule.at(epoch)

    def _check_counts(self) -> None:
        counts = self.content.counts
        planned = (n for reason, n in counts.dropped.items() if reason.startswith(BY_PLAN))
        number = counts.kept + sum(planned) + counts.rejected.get(CHUNKS_DISAGREE, 0)
        for epoch in self.content.epochs:
            left_out = sum(epoch.left_out.values())
            if epoch.kept + left_out != number:
                raise SeqmillError(
                    f"{self.folder}: manifest.json: epoch {epoch.epoch}: {epoch.kept:,} sequences kept and "
                    f"{left_out:,} left out, but the counts are of {number:,}"
                )

    def _check_keys(self, options: EpochOptions) -> None:
        limits = options.batch_limits
        named = {options.length_key, *limits.batch_size, *limits.length_buckets, *options.chunking}
        named |= options.length_limits.longest.keys() | options.length_limits.shortest.keys()
        if unknown := sorted(named - self.content.data_keys.keys()):
            raise SeqmillError(f"{self.folder}: manifest.json: unusable options (no data key {unknown[0]})")


@dataclass
class _Seen:
    """The entries of a pass, batch by batch."""

    seq_index: list[np.ndarray] = field(default_factory=list)
    chunk_start: list[np.ndarray] = field(default_factory=list)
    lengths: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, batch: PaddedBatch) -> None:
        # Copies, as these are views of a file that is not to stay mapped.
        self.seq_index.append(batch.seq_index.copy())
        self.chunk_start.append(batch.chunk_start.copy())
        self.lengths.append({key: lengths.copy() for key, lengths in batch.lengths.items()})


def _verify_pass(corpus: _Corpus, epochs: Sequence[EpochManifest]) -> None:
    """Verifies epochs of one pass, which have the same options but for the size of batches."""
    first = epochs[0].planned
    options = corpus.options(first.epoch)
    seen = _Seen()
    for epoch in epochs:
        _verify_epoch(corpus, epoch, seen)
    index = np.concatenate(seen.seq_index)
    start = np.concatenate(seen.chunk_start)
    lengths = {key: np.concatenate([part[key] for part in seen.lengths]) for key in corpus.content.data_keys}
    where = f"{corpus.folder}: {numbered('epoch', (epoch.planned.epoch for epoch in epochs))}"
    order = np.lexsort((start, index))
    index, start = index[order], start[order]
    lengths = {key: column[order] for key, column in lengths.items()}
    firsts = np.flatnonzero(np.diff(index, prepend=-1))
    chunk = np.arange(len(index)) - np.repeat(firsts, np.diff(firsts, append=len(index)))
    if not corpus.content.repeats:
        _verify_once(options, where, index, start, chunk, lengths[options.length_key])
    num_seqs = sum(e.planned.num_seqs for e in epochs) if corpus.content.repeats else len(firsts)
    if len(epochs) == options.partition_epoch and num_seqs != first.kept and not options.mix:
        raise SeqmillError(f"{where}: {counted(num_seqs, 'sequence')}, but {first.kept:,} were kept")
    if not options.chunking:
        _verify_length_limits(options, where, lengths, index)


def _verify_once(
    options: EpochOptions,
    where: str,
    index: np.ndarray,
    start: np.ndarray,
    chunk: np.ndarray,
    length: np.ndarray,
) -> None:
    """Every chunk once, and the chunks of a sequence without a gap."""
    if not options.chunking:
        if (chunk > 0).any():
            raise SeqmillError(f"{where}: sequence {index[chunk > 0][0]} occurs more than once")
        return
    rule = options.chunking.get(options.length_key)
    step = rule.step if rule else 0
    # A length key of one frame, or one that is not chunked, is repeated whole in every chunk.
    lone = (length <= 1) | (step == 0)
    expected = np.where(lone & (start == 0), 0, chunk * step)
    wrong = np.flatnonzero(start != expected)
    if len(wrong):
        entry = wrong[0]
        raise SeqmillError(
            f"{where}: sequence {index[entry]} has a chunk at {start[entry]}, expected one at "
            f"{expected[entry]}"
        )


def _verify_length_limits(
    options: EpochOptions, where: str, lengths: Mapping[str, np.ndarray], index: np.ndarray
) -> None:
    allowed, dropped = drop(lengths, options.length_limits)
    if dropped:
        raise SeqmillError(f"{where}: sequence {index[~allowed][0]} breaks {next(iter(dropped))}")


def _verify_epoch(corpus: _Corpus, written: EpochManifest, seen: _Seen) -> None:
    epoch = written.planned
    options = corpus.options(epoch.epoch)
    where = f"{corpus.folder}: epoch {epoch.epoch}"
    number = num_entries = 0
    first_seen = len(seen.seq_index)
    frames = dict.fromkeys(corpus.content.data_keys, 0)
    padded = dict.fromkeys(corpus.content.data_keys, 0)
    for shard in written.shards:
        before = number
        for batch in read_shard(corpus.folder, corpus.content, shard):
            place = f"{files.inside(corpus.folder, shard.file)}: batch {number}"
            _verify_batch(place, batch, number, options.batch_limits, corpus.content.data_keys)
            seen.add(batch)
            number += 1
            num_entries += len(batch.seq_index)
            for key, lengths in batch.lengths.items():
                frames[key] += int(lengths.sum())
                padded[key] += batch.num_frames(key)
        _expect(f"{where}: {shard.file}: batches", number - before, shard.num_batches)
    _expect(f"{where}: batches", number, epoch.num_batches)
    _expect(f"{where}: chunks", num_entries, epoch.num_chunks)
    if not corpus.content.repeats:
        num_seqs = num_distinct(np.concatenate([np.empty(0, np.int64), *seen.seq_index[first_seen:]]))
        _expect(f"{where}: sequences", num_seqs, epoch.num_seqs)
    elif not options.chunking:
        _expect(f"{where}: sequences", num_entries, epoch.num_seqs)
    if options.mix:
        _expect(f"{where}: sequences of all sources", sum(epoch.sources.values()), epoch.num_seqs)
    for key in frames:
        _expect(f"{where}: frames of {key}", frames[key], epoch.num_frames[key])
        _expect(f"{where}: padded frames of {key}", padded[key], epoch.padded_frames[key])


def _verify_vocabs(corpus: _Corpus) -> None:
    for spec in corpus.content.data_keys.values():
        if spec.vocab is not None:
            path = files.inside(corpus.folder, spec.vocab)
            if not files.exists(path):
                raise SeqmillError(f"{path}: the manifest names this file, but it is not there")
            _expect(f"{path}: labels", len(read_vocab(path)), spec.num_labels)


def _verify_batch(
    where: str, batch: PaddedBatch, number: int, limits: BatchLimits, data_keys: Mapping[str, ArraySpec]
) -> None:
    num_seqs = len(batch.seq_index)
    _expect(f"{where}: batch_index", batch.batch_index, number)
    _expect(f"{where}: seq_tag", len(batch.seq_tags), num_seqs)
    _expect(f"{where}: chunk_start", len(batch.chunk_start), num_seqs)
    if limits.max_seqs is not None and num_seqs > limits.max_seqs:
        raise SeqmillError(f"{where}: {counted(num_seqs, 'sequence')}, over max_seqs = {limits.max_seqs}")
    for key, array in batch.arrays.items():
        lengths = batch.lengths[key]
        _expect(f"{where}: lengths of {key}", len(lengths), num_seqs)
        longest = int(lengths.max()) if len(lengths) else 0
        frames = int(limits.time_axis(key, np.array(longest)))
        axes = (int(lengths.sum()),) if batch.packed else (num_seqs, frames)
        _expect(f"{where}: shape of {key}", array.shape, (*axes, *data_keys[key].feature_shape))
        limit = limits.batch_size.get(key)
        if limit is not None and num_seqs > 1 and batch.num_frames(key) > limit:
            found = " x ".join(map(str, axes))
            raise SeqmillError(f"{where}: {found} frames of {key}, over batch_size = {limit}")
        pad = data_keys[key].pad
        if not batch.packed and (array[np.arange(frames) >= lengths[:, None]] != pad).any():
            raise SeqmillError(f"{where}: padding of {key} is not {pad}")


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise SeqmillError(f"{what}: found {found}, expected {expected}")
