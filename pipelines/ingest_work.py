"""What there is to ingest: labels and frames to count, and stores to make. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from seqmill.pipelines.ingest_tasks import decisive_of, other_fields, root_beside, tasks_of_splits
from seqmill.pipelines.options import TRAIN
from seqmill.pipelines.scan import Scanned
from seqmill.pipelines.sources import Source, in_store, joined_into
from seqmill.pipelines.vocab_files import vocab_paths
from seqmill.transforms.features import Norm, Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.fairseq_dict import labels_of_lines
from seqmill.transforms.features.given_norm import read_norms
from seqmill.transforms.features.norm import check_norms, read_norm
from seqmill.transforms.features.shared_vocabs import given_vocab
from seqmill.transforms.features.vocab import check_labels_occur, read_vocab
from seqmill.transforms.readers import Split
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.store.corpus_splits import array_specs
from seqmill.transforms.store.count_frames import CODE_VERSION as FRAMES_VERSION
from seqmill.transforms.store.count_frames import frame_counts
from seqmill.transforms.store.count_labels import CODE_VERSION as COUNTING_VERSION
from seqmill.transforms.store.ingest import IngestTask
from seqmill.transforms.store.join import JoinedStore
from seqmill.transforms.store.sources import source_names
from seqmill.transforms.store.store_writer import CODE_VERSION as STORE_VERSION


@dataclass(frozen=True)
class CountWork:
    """Labels to count: the tasks over ``train``, and a fingerprint of all of it."""

    folder: str
    keys: tuple[DataKey, ...]
    tasks: list[IngestTask]
    fingerprint: str


@dataclass(frozen=True)
class FrameWork(CountWork):
    """Frames to count; ``data_keys`` says what their arrays are like."""

    data_keys: dict[str, ArraySpec]


@dataclass(frozen=True)
class StoreWork:
    """A store to make: its tasks, what its arrays are like, and a fingerprint of all of it.

    ``listed`` and ``mixed`` are those of ``StoreManifest``; ``joins`` are stores that give it data keys, and
    ``keys`` those that its own files give.
    """

    folder: str
    specs: dict[str, ArraySpec]
    vocab_files: dict[str, str]
    sources: tuple[str, ...]
    tasks: list[IngestTask]
    fingerprint: str
    listed: tuple[int, ...]
    norms: dict[str, Norm]
    joins: tuple[JoinedStore, ...]
    mixed: dict[str, int]
    keys: tuple[DataKey, ...]


def count_work(scanned: Scanned) -> CountWork | None:
    """The counting of labels that comes before all else; None where no data key needs it."""
    data = scanned.config.data
    counted = {name for name, key in data.items() if key.has_counted_vocab}
    keys = tuple(key for key in data.values() if key.labels_of in counted and key.type in ("chars", "words"))
    if not keys:
        return None
    tasks: list[IngestTask] = []
    for splits, own in _counted_over_train(scanned, keys):
        decisive = (COUNTING_VERSION, [decisive_of(key, scanned.hashes) for key in own])
        tasks += _tasks_of(scanned, splits, own, decisive, tasks)
    folder = output_folder.counted_vocab_folder(scanned.config.store_output)
    return CountWork(folder, keys, tasks, fingerprint([task.fingerprint for task in tasks]))


def _counted_over_train(
    scanned: Scanned, keys: Sequence[DataKey]
) -> Iterator[tuple[list[Split], list[DataKey]]]:
    """The splits of every source of ``train`` that gives some of the data keys, and these."""
    sources = scanned.sources
    splits, _ = _all_splits(scanned, sources[TRAIN])
    parts = [(source.keys, splits[own]) for source, own in _parts(scanned, sources[TRAIN])]
    if all(given == parts[0][0] for given, _ in parts):
        parts = [(sources[TRAIN].keys, splits)]
    parts += [(sources[name].keys, scanned.splits[name]) for name in joined_into(sources, TRAIN)]
    for given, own_splits in parts:
        names = {key.name for key in keys}
        if own := [key for key in given if key.name in names]:
            yield own_splits, own


def _tasks_of(
    scanned: Scanned,
    splits: list[Split],
    keys: Sequence[DataKey],
    decisive: object,
    before: Sequence[IngestTask],
) -> list[IngestTask]:
    """Tasks that read some data keys, numbered on from those before."""
    names = tuple(key.name for key in keys)
    tasks = tasks_of_splits(scanned, splits, decisive)
    fields = other_fields(scanned, keys)
    return [replace(task, index=len(before) + task.index, keys=names, fields=fields) for task in tasks]


def frame_work(scanned: Scanned) -> FrameWork | None:
    """The counting of frames that comes before they are normalized; None where no data key needs it."""
    config = scanned.config
    keys = tuple(key for key in config.data.values() if key.has_counted_norm)
    if not keys:
        return None
    specs: dict[str, ArraySpec] = {}
    tasks: list[IngestTask] = []
    for splits, own in _counted_over_train(scanned, keys):
        found = array_specs(own, splits, {})
        shapes = {key: spec.feature_shape for key, spec in found.items()}
        decisive = [decisive_of(key, scanned.hashes) for key in own]
        tasks += _tasks_of(
            scanned, splits, own, (FRAMES_VERSION, decisive, shapes, root_beside(splits)), tasks
        )
        specs = {**found, **specs}
    folder = output_folder.counted_norm_folder(config.store_output)
    whole = fingerprint([task.fingerprint for task in tasks])
    return FrameWork(folder, keys, tasks, whole, specs)


def store_work(scanned: Scanned, name: str) -> StoreWork:
    """What makes the store of a source, once vocabularies are there."""
    source = scanned.sources[name]
    splits, inputs = _all_splits(scanned, source)
    parts = _parts(scanned, source)
    names = {key.name for part, _ in parts for key in part.keys}
    keys = tuple(key for key in scanned.config.data.values() if key.name in names)
    paths = {key: path for key, path in vocab_paths(scanned.config, scanned.declared).items() if key in names}
    vocabs = {key: read_vocab(path) for key, path in paths.items()}
    _check_given(scanned, keys, vocabs)
    specs = _specs(scanned, parts, splits, vocabs)
    labels = {key: fingerprint(v.labels, *filter(None, [v.aliases])) for key, v in vocabs.items()}
    norms = {key: norm for key, norm in _norms(scanned).items() if key in names}
    check_norms(norms, specs)
    is_joined = any(part.joins for part, _ in parts)
    tasks: list[IngestTask] = []
    joins: list[JoinedStore] = []
    for part, own in parts:
        joined = [store_work(scanned, other) for other in part.joins]
        named = {key.name for key in part.keys}
        of_keys = [
            {key: one for key, one in table.items() if key in named} for table in (specs, labels, norms)
        ]
        arrays = [decisive_of(key, scanned.hashes) for key in part.keys]
        others: list[object] = [of_keys[2]] if of_keys[2] else []
        others += [work.fingerprint for work in joined]
        decisive = (STORE_VERSION, arrays, *of_keys[:2], source.options.seq_tag, root_beside(splits), *others)
        called = part.called if is_joined and source.mixes else None
        which = tuple(key.name for key in part.keys) if called else None
        fields, own_tasks = other_fields(scanned, part.keys), tasks_of_splits(scanned, splits, decisive, own)
        tasks += [replace(task, keys=which, fields=fields, source=called) for task in own_tasks]
        for other, work in zip(part.joins, joined, strict=True):
            _check_same_arrays(specs, work.specs, scanned.sources[other].where)
            specs, paths, norms = (
                {**specs, **work.specs},
                {**paths, **work.vocab_files},
                {**norms, **work.norms},
            )
            joins.append(JoinedStore(work.folder, work.fingerprint, scanned.sources[other].where, called))
    sources = source_names(splits)
    limits = (source.corpus.max_rejected, source.corpus.allow_damaged)
    listed, mixed = _listed(splits, inputs), _mixed(scanned, source)
    order = [one for one in (listed, mixed) if one]
    whole = fingerprint([task.fingerprint for task in tasks], sources, limits, *order)
    folder = output_folder.store_folder(scanned.config.store_output, name)
    in_order = {key: specs[key] for key in scanned.config.data if key in specs}
    return StoreWork(folder, in_order, paths, sources, tasks, whole, listed, norms, tuple(joins), mixed, keys)


def _check_given(scanned: Scanned, keys: Sequence[DataKey], vocabs: Mapping[str, Vocab]) -> None:
    """Raises SeqmillError where a given vocabulary has labels that no text has."""
    for key in keys:
        given = given_vocab(key, [*scanned.config.data.values()])
        if key.type in ("chars", "words") and given:
            vocab = vocabs[key.name]
            is_fairseq = key.vocab_format == "fairseq"
            check_labels_occur(given, labels_of_lines(vocab) if is_fairseq else vocab, key.type)


def _parts(scanned: Scanned, source: Source) -> list[tuple[Source, slice]]:
    """The sources whose sequences are in the store of one, and which of all splits each has."""
    parts = in_store(scanned.sources, source.name)
    edges = accumulate((len(scanned.splits[part.name]) for part in parts), initial=0)
    return [(part, slice(*edge)) for part, edge in zip(parts, pairwise(edges), strict=True)]


def _specs(
    scanned: Scanned,
    parts: Sequence[tuple[Source, slice]],
    splits: Sequence[Split],
    vocabs: Mapping[str, Vocab],
) -> Mapping[str, ArraySpec]:
    """What the arrays are like that the files of some sources give."""
    if scanned.data_keys is not None:
        return scanned.data_keys
    specs: dict[str, ArraySpec] = {}
    for part, _ in parts:
        keys = [key for key in part.keys if key.name not in specs]
        readers = [own for other, own in parts if all(key in other.keys for key in keys)]
        if keys:
            specs |= array_specs(keys, [split for own in readers for split in splits[own]], vocabs)
    return specs


def _check_same_arrays(specs: Mapping[str, ArraySpec], joined: Mapping[str, ArraySpec], where: str) -> None:
    """Raises SeqmillError where a data key is not the same thing in two sources of a mix."""
    for key in specs.keys() & joined.keys():
        if specs[key] != joined[key]:
            raise SeqmillError(
                f"data key {key!r}: frames of {where} have shape {list(joined[key].feature_shape)}, those of "
                f"other sources that are mixed {list(specs[key].feature_shape)}; expected the same"
            )


def _all_splits(scanned: Scanned, source: Source) -> tuple[list[Split], list[int]]:
    """The splits of all that is in a source's store, and its input files as they are listed."""
    splits: list[Split] = []
    listed: list[int] = []
    for name in (source.name, *source.mixes):
        first = 1 + max(listed, default=-1)
        splits += [replace(split, listing=first + split.listing) for split in scanned.splits[name]]
        listed += [first + number for number in scanned.listed[name]]
    return splits, listed


def _mixed(scanned: Scanned, source: Source) -> dict[str, int]:
    """Of every source that is mixed, by its name in the mix, the number of its splits."""
    if not source.mixes:
        return {}
    return {part.called: len(scanned.splits[part.name]) for part in in_store(scanned.sources, source.name)}


def _listed(splits: Sequence[Split], listed: Sequence[int]) -> tuple[int, ...]:
    """Splits in the order in which their files are listed; none where each is listed once."""
    if len({*listed}) == len(listed):
        return ()
    of_file: dict[int, list[int]] = {}
    for number, split in enumerate(splits):
        of_file.setdefault(split.listing, []).append(number)
    return tuple(number for file in listed for number in of_file.get(file, ()))


def _norms(scanned: Scanned) -> dict[str, Norm]:
    """Per data key the statistics that its frames are normalized by, where there are any."""
    keys = scanned.config.data.values()
    counts = frame_counts(output_folder.counted_norm_folder(scanned.config.store_output))
    counted = {key.name: read_norm(counts.path(key.name)) for key in keys if key.has_counted_norm}
    return {**read_norms(keys), **counted}
