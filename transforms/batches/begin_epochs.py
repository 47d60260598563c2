"""The first step: plans a corpus' epochs, finds what is still to be written, and writes its manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.epoch_manifest import EpochManifest
from seqmill.transforms.batches.handed_plan import HandedEpoch, remove_left_plan
from seqmill.transforms.batches.layout import EpochLayout, corpus_fingerprint, lay_out, planned_manifest
from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.batches.segment import Segment, is_written, receipt_path
from seqmill.transforms.batches.unchunkable import list_unchunkable
from seqmill.transforms.planning.ahead import Needed
from seqmill.transforms.planning.selections import Selections
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
        kept: The epochs that stay in the folder, or are to be written.
        epochs: The epochs that are not complete, with all their segments.
        segments: Those of the segments that are not written.
        num_written: How many of all epochs' segments are written.
        oversized: The most sequences of an epoch that alone exceed ``batch_size``.
        epoch_bytes: Bytes of the shards of every epoch that was planned.
    """

    folder: str
    run: str
    manifest: Manifest
    kept: frozenset[int]
    epochs: Mapping[int, tuple[Segment, ...]]
    segments: tuple[Segment, ...]
    num_written: int
    oversized: int
    epoch_bytes: Mapping[int, int]

    @property
    def num_bytes(self) -> int:
        """Bytes of the shards to write."""
        return sum(segment.bytes for segment in self.segments)


def plan_corpus(
    folder: str,
    store: Store,
    selections: Selections,
    max_rejected: float,
    fresh: bool = False,
    whole: Collection[int] | None = None,
    needed: Needed | None = None,
    handed: Sequence[HandedEpoch] | None = None,
) -> EpochsToWrite:
    """``plan_epochs``, with the files that all epochs have in common: vocabularies, what cannot be chunked.

    Raises:
        SeqmillError: More than ``max_rejected`` is rejected in an epoch.
    """
    listed = list_unchunkable(folder, store, selections, max_rejected)
    others = {**listed, **copy_files_of_keys(folder, store)}
    return plan_epochs(folder, store, selections, others, fresh, whole, needed, handed)


def plan_epochs(
    folder: str,
    store: Store,
    selections: Selections,
    others: Mapping[str, Checksum],
    fresh: bool = False,
    whole: Collection[int] | None = None,
    needed: Needed | None = None,
    handed: Sequence[HandedEpoch] | None = None,
) -> EpochsToWrite:
    """Plans a corpus' epochs for a run, which its folder belongs to from now on.

    Epochs and shards that are there as planned are kept. The plans of the others are written.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        selections: What takes part in its epochs, as ``planned_by`` gives it.
        others: The files that all epochs have in common.
        fresh: Hash again what earlier runs have written.
        whole: The epochs whose files have been compared, and are right; by default they are compared now.
        needed: The epochs to write, and those that may stay; by default all.
        handed: All epochs, where an earlier step has planned them.
    """
    begin_run(folder, corpus_fingerprint(store, selections.schedule))
    entries: list[Epoch] = []
    segments: dict[int, tuple[Segment, ...]] = {}
    sizes: dict[int, int] = {}
    oversized = 0
    for layout in handed or lay_out(store, selections):
        entry, number = layout.entry, layout.segments[0].epoch
        entries.append(entry)
        sizes[number] = sum(segment.bytes for segment in layout.segments)
        oversized = max(oversized, layout.oversized)
        if needed is None or number in needed.to_write:
            segments[number] = layout.segments
            _bring_plan(folder, layout, fresh)
    corpus = planned_manifest(store, selections, entries, others)
    if whole is None:
        whole, _ = whole_epochs(folder, corpus, fresh)
    work = _to_write(folder, corpus, segments, whole, fresh)
    stay = {e.epoch for e in entries if needed is not None and e.epoch in needed.to_keep}
    fitting = {e.epoch for e in entries if e.epoch in stay and epoch_manifest.is_complete(folder, corpus, e)}
    return replace(work, kept=work.kept | fitting, oversized=oversized, epoch_bytes=sizes)


def plan_again(
    folder: str,
    store: Store,
    selections: Selections,
    corpus: Manifest,
    epochs: Collection[int],
    whole: Collection[int] = (),
) -> EpochsToWrite:
    """Plans some epochs of a corpus whose manifest is there, for the run that its folder belongs to.

    Args:
        folder: The corpus' folder of epochs.
        store: Its store.
        selections: What takes part in its epochs.
        corpus: The manifest.
        epochs: Numbers of the epochs.
        whole: Those whose files have been compared, and are right.

    Raises:
        SeqmillError: The manifest plans an epoch otherwise.
    """
    begin_run(folder, corpus.fingerprint)
    segments: dict[int, tuple[Segment, ...]] = {}
    for layout in lay_out(store, selections, epochs):
        if layout.entry != corpus.by_number[layout.plan.epoch]:
            raise SeqmillError(
                f"{output_folder.manifest_path(folder)}: epoch {layout.plan.epoch} is planned otherwise now; "
                "run `seqmill preprocess`"
            )
        segments[layout.plan.epoch] = layout.segments
        _bring_plan(folder, layout, fresh=False)
    return _to_write(folder, corpus, segments, whole, fresh=False)


def begin(work: EpochsToWrite) -> None:
    """Writes the corpus' manifest, and removes what runs with other options have left of epochs."""
    for number in work.epochs:
        files.remove(output_folder.epoch_manifest_path(work.folder, number))
    manifest.write(work.folder, work.manifest)
    remove_epochs_but(work.folder, work.kept)
    clear_epochs(work)


def clear_epochs(work: EpochsToWrite) -> None:
    """Removes from the folders of epochs that are to be written what does not belong there."""
    todo = {receipt_path(work.folder, segment) for segment in work.segments}
    for number, segments in work.epochs.items():
        _remove_all_but(work.folder, number, segments, todo)


def remove_epochs_but(folder: str, kept: Collection[int]) -> list[str]:
    """Removes epochs from a corpus' folder, each with its manifest first, so that none is taken for whole.

    Args:
        folder: The corpus' folder of epochs.
        kept: Numbers of the epochs that stay.

    Returns:
        Names of what was removed.
    """
    numbers = {name: output_folder.epoch_number(name) for name in files.list_names(folder)}
    if output_folder.HANDED_NAME in numbers:  # of a pipeline that was killed
        remove_left_plan(folder)
    gone = [name for name, number in numbers.items() if number is not None and number not in kept]
    for name in gone:
        files.remove(files.join(folder, name, output_folder.MANIFEST_NAME))
        files.remove(files.join(folder, name))
    return gone


def copy_files_of_keys(folder: str, store: Store) -> dict[str, Checksum]:
    """Copies a store's vocabularies and statistics into a folder of epochs, where they are not yet there.

    Returns:
        Sizes and hashes, by name.
    """
    names = dict.fromkeys(name for spec in store.data_keys.values() for name in spec.files)
    others = {name: store.manifest.others[name] for name in names}
    for name, expected in others.items():
        source, copy = files.join(store.folder, name), files.join(folder, name)
        if not is_intact(copy, expected, fresh=True):
            files.copy(source, copy)
            if not is_intact(copy, expected, fresh=True):
                raise SeqmillError(
                    f"{source}: not what the store's manifest says; `seqmill ingest` with the configuration "
                    "that made the store makes it again"
                )
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


def _bring_plan(folder: str, layout: EpochLayout | HandedEpoch, fresh: bool) -> None:
    """Writes the plan of an epoch, where it is not there; the epoch is incomplete then."""
    number = layout.segments[0].epoch
    path = output_folder.plan_path(folder, number)
    # Of remote files only the size is compared else, which the plan of other options often has too.
    if not is_intact(path, layout.plan_file, fresh or not files.is_local(path)):
        files.remove(output_folder.epoch_manifest_path(folder, number))
        layout.write_plan(folder)


def _to_write(
    folder: str,
    corpus: Manifest,
    segments: Mapping[int, tuple[Segment, ...]],
    whole: Collection[int],
    fresh: bool,
) -> EpochsToWrite:
    """What is to be written of epochs that consist of ``segments``."""
    entries = (epoch for epoch in corpus.epochs if epoch.epoch in segments and epoch.epoch in whole)
    done = {entry.epoch for entry in entries if epoch_manifest.is_complete(folder, corpus, entry)}
    epochs = {number: segments[number] for number in segments if number not in done}
    todo = [one for several in epochs.values() for one in several if not is_written(folder, one, fresh)]
    num_segments = sum(map(len, segments.values()))
    return EpochsToWrite(
        folder=folder,
        run=corpus.fingerprint,
        manifest=corpus,
        kept=frozenset(segments),
        epochs=epochs,
        segments=tuple(todo),
        num_written=num_segments - len(todo),
        oversized=0,
        epoch_bytes={number: sum(one.bytes for one in several) for number, several in segments.items()},
    )


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
