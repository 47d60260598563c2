"""``seqmill ingest``: raw corpora to sequence stores, and the vocabularies they need."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np

from seqmill.pipelines import beam_runner, console
from seqmill.pipelines.beam_runner import Job
from seqmill.pipelines.input_files import find_inputs
from seqmill.pipelines.options import TRAIN, Config
from seqmill.transforms.beam.tasks import RunTasks
from seqmill.transforms.features import CODE_VERSIONS as ENCODER_VERSIONS
from seqmill.transforms.features import Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import AUDIO_TYPES, DataKey
from seqmill.transforms.features.subwords import tokenizer_labels
from seqmill.transforms.features.vocab import check_labels_occur, read_vocab, write_vocab
from seqmill.transforms.readers import CODE_VERSIONS as READER_VERSIONS
from seqmill.transforms.readers import ReadOptions, Split, get_field, open_split, split_corpus
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import damaged
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError, UsageError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.library_versions import library_versions
from seqmill.transforms.storage.manifest_file import UnusableManifestError
from seqmill.transforms.storage.output_folder import counted_vocab_path
from seqmill.transforms.store import count_labels
from seqmill.transforms.store.count_labels import CODE_VERSION as COUNTING_VERSION
from seqmill.transforms.store.count_labels import CountLabels, WriteVocabs
from seqmill.transforms.store.finish_store import FinishStore
from seqmill.transforms.store.ingest import IngestSplits, IngestTask, is_done, split_encoders
from seqmill.transforms.store.named_files import forget_changed, learn_hashes
from seqmill.transforms.store.sequence_store import Store, StoreManifest, read_manifest
from seqmill.transforms.store.sources import source_names
from seqmill.transforms.store.split_receipt import remove_receipt
from seqmill.transforms.store.store_writer import CODE_VERSION as STORE_VERSION

_SPLIT_BYTES = 16_000_000
_SPLIT_BYTES_OF_PATHS = 2_000  # lines that name audio files: a dozen files a split, …
_MOST_SPLITS_OF_PATHS = 2_000  # … more where there are many
_PROBED_SEQS = 100
_MOST_UNKNOWN = 0.05  # share of <unk> beyond which the vocabulary is hardly that of the corpus


def ingest(config: Config, beam_flags: Sequence[str], fresh: bool = False) -> None:
    """Makes the store of every corpus up to date.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.
        fresh: Hash again what earlier runs have written, and redo what does not match.

    Raises:
        SeqmillError: Input is missing or bad, or the output holds another corpus.

    >>> import seqmill
    >>> seqmill.ingest(seqmill.load_config("config.toml", {}), [])
    >>> seqmill.Store("work/store/train").num_seqs
    8
    """
    inputs = find_inputs(config)
    keys = tuple(config.data.values())
    splits = {name: _split(config, name, inputs[name], keys) for name in config.corpus}
    for name in config.corpus:
        _check_not_foreign(config, name, splits[name])
    hashes = ContentHashes()
    hashes.of_all(path for parts in splits.values() for split in parts for _, path in split.files)
    counted = tuple(key for key in keys if key.has_counted_vocab)
    if counted:
        _count_vocabs(config, counted, splits[TRAIN], hashes, beam_flags, fresh)
    folder = output_folder.counted_vocab_folder(config.output)
    for key in keys:
        if key.tokenizer:
            _list_tokenizer_labels(counted_vocab_path(folder, key.name), key.tokenizer)
    for name in config.corpus:
        _ingest_corpus(config, name, keys, splits[name], hashes, beam_flags, fresh)


def vocab_files(config: Config) -> dict[str, str]:
    """Per data key with labels the file that lists them."""
    folder = output_folder.counted_vocab_folder(config.output)
    return {
        key.name: key.vocab or counted_vocab_path(folder, key.name)
        for key in config.data.values()
        if key.vocab or key.has_counted_vocab or key.tokenizer
    }


def _ingest_corpus(
    config: Config,
    name: str,
    keys: tuple[DataKey, ...],
    splits: list[Split],
    hashes: ContentHashes,
    beam_flags: Sequence[str],
    fresh: bool,
) -> None:
    folder = output_folder.store_folder(config.output, name)
    options = config.corpus[name]
    vocab_paths = vocab_files(config)
    vocabs = {key: read_vocab(path) for key, path in vocab_paths.items()}
    for key in keys:
        if key.type in ("chars", "words") and key.vocab:
            check_labels_occur(key.vocab, vocabs[key.name], key.type)
    specs = _array_specs(keys, splits, vocabs)
    labels = {key: fingerprint(vocab.labels) for key, vocab in vocabs.items()}
    root = options.audio_root
    arrays = [_decisive(key, hashes) for key in keys]
    decisive = (STORE_VERSION, arrays, specs, labels, options.seq_tag, _beside(splits, root))
    tasks = _tasks(splits, hashes, decisive)
    sources = source_names(splits)
    limits = (options.max_rejected, options.allow_damaged)
    whole = fingerprint([task.fingerprint for task in tasks], sources, limits)
    files.remove(output_folder.progress_folder(folder))
    changed = forget_changed(folder, tasks, root, hashes)
    if not changed and _is_complete(folder, whole, fresh):
        console.say(f"ingest {name}: up to date")
        return
    files.remove(output_folder.manifest_path(folder))
    files.remove_temporaries(folder)
    files.make_folder(output_folder.parts_folder(folder))
    begin_run(folder, whole)
    open_tasks = [task for task in tasks if not is_done(folder, task, fresh)]
    for task in open_tasks if fresh else ():
        remove_receipt(folder, task.index)  # a task that finds it would do nothing
    if len(open_tasks) < len(tasks):
        console.say(f"ingest {name}: {len(tasks) - len(open_tasks)} of {len(tasks)} parts are there already")
    finish = FinishStore(
        folder=folder,
        corpus=name,
        sources=sources,
        data_keys=specs,
        has_tags=options.seq_tag is not None,
        fingerprint=whole,
        splits=tuple(task.fingerprint for task in tasks),
        max_rejected=options.max_rejected,
        allow_damaged=options.allow_damaged,
        vocab_files=vocab_paths,
        run=whole,
    )
    work = IngestSplits(folder, keys, specs, options.seq_tag, vocab_paths, whole, root)
    began = time.time_ns()
    with _from_unchanged(hashes, folder, output_folder.manifest_path(folder)):
        _run(f"ingest {name}", RunTasks(open_tasks, work, finish, folder), keys, beam_flags)
    learn_hashes(folder, open_tasks, root, hashes, began)
    _report(folder)


def _count_vocabs(
    config: Config,
    keys: tuple[DataKey, ...],
    splits: list[Split],
    hashes: ContentHashes,
    beam_flags: Sequence[str],
    fresh: bool,
) -> None:
    folder = output_folder.counted_vocab_folder(config.output)
    tasks = _tasks(splits, hashes, (COUNTING_VERSION, [_decisive(key, hashes) for key in keys]))
    whole = fingerprint([task.fingerprint for task in tasks])
    files.remove(output_folder.progress_folder(folder))
    counted = count_labels.counted_fingerprint(folder, fresh)
    if counted == whole:
        return
    if counted is None and files.exists(output_folder.vocab_summary_path(folder)):
        console.say(f"{folder}: missing labels, or not what was written; they are made again")
    files.remove(output_folder.vocab_summary_path(folder))
    files.remove_temporaries(folder)
    files.make_folder(output_folder.parts_folder(folder))
    begin_run(folder, whole)
    open_tasks = [task for task in tasks if not count_labels.is_counted(folder, task)]
    finish = WriteVocabs(folder, keys, whole, tuple(task.fingerprint for task in tasks))
    work = CountLabels(folder, keys, whole)
    with _from_unchanged(hashes, folder, output_folder.vocab_summary_path(folder)):
        _run("count labels", RunTasks(open_tasks, work, finish, folder), (), beam_flags)


def _list_tokenizer_labels(path: str, tokenizer: str) -> None:
    labels = tokenizer_labels(tokenizer)
    vocab = Vocab(tuple(label or f"<unused:{index}>" for index, label in enumerate(labels)))
    if not files.exists(path) or read_vocab(path) != vocab:
        write_vocab(path, vocab)


def _run(label: str, transform: RunTasks, keys: Sequence[DataKey], beam_flags: Sequence[str]) -> None:
    total = sum(task.work for task in transform.tasks)
    decodes_audio = any(key.type in AUDIO_TYPES for key in keys) and len(transform.tasks) > 1
    progress_folder = output_folder.progress_folder(transform.folder)
    beam_runner.run(Job(label, transform, total, total, progress_folder, decodes_audio), beam_flags)


def _split(
    config: Config, name: str, inputs: list[str] | dict[str, list[str]], keys: tuple[DataKey, ...]
) -> list[Split]:
    corpus_format = config.corpus[name].format
    target = _SPLIT_BYTES
    if any(key.type in AUDIO_TYPES for key in keys) and corpus_format not in ("parquet", "tfrecord"):
        paths = inputs if isinstance(inputs, list) else next(iter(inputs.values()))
        total = sum(files.size(path) for path in paths)
        target = max(_SPLIT_BYTES_OF_PATHS, total // _MOST_SPLITS_OF_PATHS)
    options = config.corpus[name]
    reading = ReadOptions(options.max_record_size, options.quoting)
    fields = [key.field for key in keys] + ([options.seq_tag] if options.seq_tag else [])
    return split_corpus(corpus_format, inputs, target, reading, fields)


def _tasks(splits: list[Split], hashes: ContentHashes, decisive: object) -> list[IngestTask]:
    """A task per split, with a fingerprint of its input and of what else decides its bytes."""
    paths = list(dict.fromkeys(path for split in splits for _, path in split.files))
    contents = {path: hashes.of(path) for path in paths}
    sizes = {path: files.size(path) for path in paths}
    tasks = []
    for index, split in enumerate(splits):
        inputs = [(key, files.name(path), contents[path]) for key, path in split.files]
        ends = [
            sizes[path] if end is None or split.format == "parquet" else end
            for (_, path), end in zip(split.files, split.ends, strict=True)
        ]
        starts = split.starts if split.format != "parquet" else [0] * len(ends)
        work = max(1, sum(ends) - sum(starts))
        reader = (split.format, READER_VERSIONS[split.format], vars(split.options), split.lists)
        content = (index, reader, inputs, split.starts, split.ends, split.columns)
        tasks.append(IngestTask(index, split, fingerprint(content, decisive), work))
    return tasks


def _decisive(key: DataKey, hashes: ContentHashes) -> object:
    """What of a data key decides the stored arrays: contents of files rather than their paths, versions."""
    return (
        {field: value for field, value in vars(key).items() if field not in ("vocab", "tokenizer")},
        hashes.of(key.tokenizer) if key.tokenizer else None,
        key.vocab is not None,
        ENCODER_VERSIONS[key.type],
        library_versions(key.type),
    )


@contextmanager
def _from_unchanged(hashes: ContentHashes, folder: str, published: str) -> Iterator[None]:
    """Takes back what the block writes into ``folder`` where the input changed while it was read."""
    yield
    try:
        hashes.check_unchanged()
    except SeqmillError:
        files.remove(published)
        files.remove(output_folder.parts_folder(folder))
        raise


def _beside(splits: list[Split], folder: str | None) -> str | None:
    """A folder as seen from the first input, so that it may move together with the corpus."""
    if folder is None or not files.is_local(folder) or not files.is_local(splits[0].source):
        return folder
    return os.path.relpath(folder, files.parent(splits[0].source))


def _array_specs(
    keys: tuple[DataKey, ...], splits: list[Split], vocabs: dict[str, Vocab]
) -> dict[str, ArraySpec]:
    """What the arrays are like; shapes of ``floats`` are those of most of the corpus' first sequences."""
    encoders = split_encoders(splits[0], keys, vocabs, None)
    specs = {}
    for key in keys:
        shape = encoders[key.name].feature_shape
        if shape is None:
            shape = _probe_shape(key, splits)
        vocab = output_folder.vocab_name(key.name) if key.name in vocabs else None
        num_labels = len(vocabs[key.name]) if key.name in vocabs else encoders[key.name].num_labels
        specs[key.name] = ArraySpec(key.type, key.dtype.str, shape, num_labels, vocab)
    return specs


def _probe_shape(key: DataKey, splits: list[Split]) -> tuple[int, ...]:
    shapes: Counter[tuple[int, ...]] = Counter()
    for split in splits:
        encoder = split_encoders(split, (key,), {}, None)[key.name]
        for _, record in islice(open_split(split, [key.field]), _PROBED_SEQS):
            try:
                if isinstance(record, RejectedSequence):
                    raise record
                shapes[encoder.encode(get_field(record, key.field)).shape[1:]] += 1
            except RejectedSequence:
                continue
        if shapes:
            return shapes.most_common(1)[0][0]
    return ()


def _is_complete(folder: str, whole: str, fresh: bool) -> bool:
    """Whether a store is as it should be; says what of it is not."""
    manifest = _written(folder)
    if manifest is None or manifest.fingerprint != whole:
        return False
    wrong = damaged(folder, manifest.checksums, fresh)
    for path in wrong:
        console.say(f"{path}: missing, or not what was written; it is made again")
    return not wrong


def _written(folder: str) -> StoreManifest | None:
    """The manifest of the store that is there, if it can be used."""
    if not files.exists(output_folder.manifest_path(folder)):
        return None
    try:
        return read_manifest(folder)
    except UnusableManifestError as error:
        console.say(f"{error}; it is made again")
        return None


def _check_not_foreign(config: Config, name: str, splits: list[Split]) -> None:
    """Refuses to replace the store of a corpus that shares no source with this one."""
    folder = output_folder.store_folder(config.output, name)
    written = _written(folder)
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
    text = f"ingest {manifest.corpus}: {counts.read:,} sequences read, {rejected:,} rejected"
    for what, number in counts.converted.items():
        text += f", {number:,} {what}"
    console.say(text)
    for reason, number in sorted(counts.rejected.items()):
        console.say(f"  rejected: {number:,} {reason}")
    for entry in manifest.damaged:
        console.say(f"  damaged: {entry.source}: {entry.detail}")
    for key, number in counts.unknown.items():
        share = number / int(store.lengths[key].sum(dtype=np.int64))
        remark = "warning: " if share > _MOST_UNKNOWN else ""
        console.say(f"  {remark}{key}: {number:,} labels ({share:.2%}) are not in its vocabulary: <unk>")
