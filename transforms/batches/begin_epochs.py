"""The first step: plans a corpus' epochs, finds what is still to be written, and writes its manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.epoch_manifest import EpochManifest
from seqmill.transforms.batches.layout import corpus_fingerprint, lay_out, planned_manifest
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.plan_file import write_plan
from seqmill.transforms.batches.segment import Segment, is_written, receipt_path
from seqmill.transforms.planning.plan import Selection
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, damaged, is_intact
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import UnusableManifestError
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class EpochsToWrite:
    """What a run has to write.

    Attributes:
        folder: The corpus' folder of epochs.
        run: The run that the folder belongs to now.
        manifest: The corpus' manifest to be.
        epochs: The epochs that are not complete, with all their segments.
        segments: Those of the segments that are not written.
        num_written: How many of all epochs' segments are written.
        oversized: The most sequences of an epoch that alone exceed ``batch_size``.
    """

    folder: str
    run: str
    manifest: Manifest
    epochs: Mapping[int, tuple[Segment, ...]]
    segments: tuple[Segment, ...]
    num_written: int
    oversized: int

    @property
    def num_bytes(self) -> int:
        """Bytes of the shards to write."""
        return sum(segment.bytes for segment in self.segments)


def plan_epochs(
    folder: str,
    store: Store,
    selection: Selection,
    schedule: Schedule,
    others: Mapping[str, Checksum],
    fresh: bool = False,
    whole: Collection[int] | None = None,
    write_plans: bool = True,
) -> EpochsToWrite:
    """Plans a corpus' epochs for a run, which its folder belongs to from now on.

    Epochs and shards that are there as planned are kept. The plans of the others are written.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        selection: The sequences that take part.
        schedule: What the epochs are planned by.
        others: The files that all epochs have in common.
        fresh: Hash again what earlier runs have written.
        whole: The epochs whose files have been compared, and are right; by default they are compared now.
        write_plans: Write the plans' files, which shards are written by.
    """
    run = corpus_fingerprint(store, schedule)
    begin_run(folder, run)
    entries: list[Epoch] = []
    segments: dict[int, tuple[Segment, ...]] = {}
    oversized = 0
    for layout in lay_out(store, schedule):
        number = layout.plan.epoch
        entries.append(layout.entry)
        segments[number] = layout.segments
        oversized = max(oversized, layout.plan.oversized)
        if write_plans and not is_intact(output_folder.plan_path(folder, number), layout.plan_file, fresh):
            files.remove(output_folder.epoch_manifest_path(folder, number))
            write_plan(folder, layout.plan)
    corpus = planned_manifest(store, selection, schedule, entries, others)
    if whole is None:
        whole, _ = whole_epochs(folder, corpus, fresh)
    done = {e.epoch for e in entries if e.epoch in whole and epoch_manifest.is_complete(folder, corpus, e)}
    epochs = {number: segments[number] for number in segments if number not in done}
    todo = [one for several in epochs.values() for one in several if not is_written(folder, one, fresh)]
    num_segments = sum(map(len, segments.values()))
    return EpochsToWrite(folder, run, corpus, epochs, tuple(todo), num_segments - len(todo), oversized)


def begin(work: EpochsToWrite) -> None:
    """Writes the corpus' manifest, and removes what runs with other options have left of epochs."""
    for number in work.epochs:
        files.remove(output_folder.epoch_manifest_path(work.folder, number))
    manifest.write(work.folder, work.manifest)
    planned = {output_folder.epoch_name(epoch.epoch) for epoch in work.manifest.epochs}
    for name in files.list_names(work.folder):
        if output_folder.is_epoch_name(name) and name not in planned:
            files.remove(files.join(work.folder, name))
    todo = {receipt_path(work.folder, segment) for segment in work.segments}
    for number, segments in work.epochs.items():
        _remove_all_but(work.folder, number, segments, todo)


def copy_vocabs(folder: str, store: Store) -> dict[str, Checksum]:
    """Copies a store's vocabularies into a folder of epochs, where they are not there already.

    Returns:
        Sizes and hashes, by name.
    """
    names = [spec.vocab for spec in store.data_keys.values() if spec.vocab is not None]
    others = {name: store.manifest.others[name] for name in names}
    for name, expected in others.items():
        source, copy = files.join(store.folder, name), files.join(folder, name)
        if not is_intact(copy, expected, fresh=True):
            files.copy(source, copy)
            if not is_intact(copy, expected, fresh=True):
                raise SeqmillError(f"{source}: not what the store's manifest says; run again")
    return others


def whole_epochs(folder: str, corpus: Manifest, fresh: bool = False) -> tuple[frozenset[int], list[str]]:
    """The epochs of which every file is what was written as it was planned.

    Args:
        folder: The corpus' folder of epochs.
        corpus: The corpus' manifest.
        fresh: Hash also files of which this version is known.

    Returns:
        Their numbers, and what is wrong with files of others, a line each.
    """
    there: dict[int, EpochManifest] = {}
    wrong = []
    for epoch in corpus.epochs:
        try:
            if found := epoch_manifest.find(folder, corpus, epoch):
                there[epoch.epoch] = found
        except UnusableManifestError as error:
            wrong.append(str(error))
    checksums = {name: one for found in there.values() for name, one in found.checksums.items()}
    paths = damaged(folder, checksums, fresh)
    wrong += [f"{path}: missing, or not what was written" for path in paths]
    names = {files.name(files.parent(path)) for path in paths}
    whole = frozenset(number for number in there if output_folder.epoch_name(number) not in names)
    return whole, wrong


def _remove_all_but(folder: str, number: int, segments: tuple[Segment, ...], todo: set[str]) -> None:
    """Leaves of an epoch its plan, its shards, and the receipts of those that are written."""
    epoch = output_folder.epoch_folder(folder, number)
    receipts = output_folder.receipts_folder(epoch)
    mine = {output_folder.plan_path(folder, number), receipts}
    mine |= {files.join(folder, segment.file) for segment in segments}
    mine |= {receipt_path(folder, segment) for segment in segments} - todo
    for inside in (epoch, receipts):
        for name in files.list_names(inside):
            if (path := files.join(inside, name)) not in mine:
                files.remove(path)
