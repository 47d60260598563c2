"""The manifest of a corpus' epochs: what they have in common, and which are planned.

It is written first. Whether an epoch is there is said by its own manifest (``epoch_manifest``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.batches.described_options import check_chosen, undescribe
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import UnusableManifestError, read_sealed, write_sealed
from seqmill.transforms.store.counts import Counts

FORMAT = "seqmill.batches/3"

_STRICT = ConfigDict(extra="forbid", strict=False)


@dataclass(frozen=True, config=_STRICT)
class Epoch:
    """One planned epoch.

    Attributes:
        epoch: Its number, from 1.
        fingerprint: Of everything that decides the bytes of its files.
        kept: Sequences that its options keep, of which it is a part.
        left_out: Those that its options leave out, by reason.
        num_batches: Batches, over all shards.
        num_seqs: Sequences; a chunked one counts once.
        num_chunks: Rows of all batches: chunks where sequences are chunked, else sequences.
        num_frames: Per data key the true frames.
        padded_frames: Per data key the frames of the padded arrays, true ones included.
        sources: Of a mixed corpus the sequences of each source; else empty.
    """

    epoch: int
    fingerprint: str
    kept: int
    left_out: Mapping[str, int]
    num_batches: int
    num_seqs: int
    num_chunks: int
    num_frames: Mapping[str, int]
    padded_frames: Mapping[str, int]
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """``manifest.json`` of ``epochs/<corpus>/``.

    Attributes:
        format: ``FORMAT``.
        fingerprint: Of everything that decides the files' bytes.
        corpus: Its name.
        options: As they were resolved.
        data_keys: What the arrays are like.
        counts: What became of the sequences.
        epochs: The planned epochs, from 1; each is there when its own manifest says so.
        others: The files that all epochs have in common, by name: vocabularies, rejects.
        repeats: Whether an epoch may have a sequence several times.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> manifest.data_keys["data"].num_labels, manifest.counts.kept
    (17, 8)
    >>> manifest.num_steps, manifest.steps_of(2)
    (6, 3)
    """

    format: str
    fingerprint: str
    corpus: str
    options: Mapping[str, Any]
    data_keys: Mapping[str, ArraySpec]
    counts: Counts
    epochs: tuple[Epoch, ...]
    others: Mapping[str, Checksum]
    repeats: bool = False

    @property
    def packed(self) -> bool:
        """Whether the sequences of a batch lie behind one another, in place of being padded."""
        return self.options.get("packed") is True

    @cached_property
    def schedule(self) -> Schedule:
        """The options of every epoch."""
        return undescribe(self.options)

    @cached_property
    def by_number(self) -> dict[int, Epoch]:
        """The planned epochs by their numbers."""
        return {epoch.epoch: epoch for epoch in self.epochs}

    @property
    def num_steps(self) -> int:
        """Steps of a training of all ``num_epochs`` epochs: batches of every epoch, added up."""
        return sum(self.by_number[stored].num_batches * times for stored, times in self.schedule.times_read)

    def steps_of(self, epoch: int) -> int:
        """Steps of an epoch of training, from 1. Raises ValueError where the schedule has no such epoch."""
        return self.by_number[self.schedule.stored(epoch)].num_batches


_ADAPTER = TypeAdapter(Manifest)


def write(folder: str, manifest: Manifest) -> None:
    """Writes the manifest of a corpus folder."""
    write_sealed(output_folder.manifest_path(folder), _ADAPTER, manifest)


def read(folder: str) -> Manifest:
    """The manifest of a corpus folder.

    Raises:
        SeqmillError: There is none (nothing was planned, or it is no corpus), it is not valid, of another
            format version, or names files outside the folder.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> [epoch.num_batches for epoch in manifest.epochs]
    [3, 3]
    """
    hint = "incomplete, or no batches at all (run `seqmill preprocess`)"
    manifest: Manifest = read_sealed(output_folder.manifest_path(folder), _ADAPTER, FORMAT, hint)
    try:
        check_chosen(manifest.schedule)
    except ValueError as error:
        path = output_folder.manifest_path(folder)
        raise UnusableManifestError(f"{path}: unusable options ({error})") from None
    for name in manifest.others:
        files.inside(folder, name)
    for spec in manifest.data_keys.values():
        for name in spec.files:
            path = files.inside(folder, name)
            if name not in manifest.others:
                raise UnusableManifestError(f"{path}: the manifest has no hash of this file")
    return manifest


def check_corpus(folder: str, manifest: Manifest, corpus: str) -> None:
    """Raises SeqmillError where a folder's manifest is of another corpus than the one it is named after."""
    if manifest.corpus != corpus:
        raise SeqmillError(
            f"{folder}: holds the epochs of corpus {manifest.corpus}, expected those of {corpus} "
            "(`seqmill preprocess` makes them)"
        )
