"""The manifest of one epoch. It is written last: an epoch without one is still to come."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.batches.manifest import Epoch, Manifest
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import (
    NoManifestError,
    UnusableManifestError,
    read_sealed,
    write_sealed,
)

FORMAT = "seqmill.epoch/1"

_STRICT = ConfigDict(extra="forbid", strict=False)


@dataclass(frozen=True, config=_STRICT)
class Shard:
    """One file of batches; ``file`` is relative to the corpus' folder of epochs."""

    file: str
    num_batches: int
    bytes: int
    xxh128: str

    @property
    def checksum(self) -> Checksum:
        """Size and hash of the file."""
        return Checksum(self.bytes, self.xxh128)


@dataclass(frozen=True, config=_STRICT)
class EpochManifest:
    """``manifest.json`` of ``epochs/<corpus>/epoch-0001/``.

    Attributes:
        format: ``FORMAT``.
        corpus: Name of the corpus.
        planned: The epoch as the corpus' manifest planned it.
        plan: Size and hash of the file that holds its plan.
        shards: Its files in batch order.
    """

    format: str
    corpus: str
    planned: Epoch
    plan: Checksum
    shards: tuple[Shard, ...]

    @property
    def checksums(self) -> dict[str, Checksum]:
        """Every file of the epoch, by its name in the corpus' folder."""
        plan = output_folder.plan_name(self.planned.epoch)
        return {plan: self.plan, **{shard.file: shard.checksum for shard in self.shards}}


_ADAPTER = TypeAdapter(EpochManifest)


def write(folder: str, manifest: EpochManifest) -> None:
    """Writes the manifest of an epoch into a corpus' folder of epochs, which makes the epoch complete."""
    path = output_folder.epoch_manifest_path(folder, manifest.planned.epoch)
    write_sealed(path, _ADAPTER, manifest)


def read(folder: str, corpus: Manifest, epoch: Epoch) -> EpochManifest:
    """The manifest of an epoch.

    Args:
        folder: The corpus' folder of epochs.
        corpus: The corpus' manifest.
        epoch: The epoch, as the corpus' manifest lists it.

    Raises:
        SeqmillError: The epoch is not there, or another than the one planned.
        UnusableManifestError: Its manifest is damaged, of another format, or says otherwise than the corpus'.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> [shard.file for shard in read("work/epochs/train", manifest, manifest.epochs[1]).shards]
    ['epoch-0002/batches-00000-of-00001.tfrecord']
    """
    if (found := find(folder, corpus, epoch)) is not None:
        return found
    path = output_folder.epoch_manifest_path(folder, epoch.epoch)
    if not files.exists(path):
        raise SeqmillError(f"{folder}: epoch {epoch.epoch} is not there (run `seqmill preprocess`)")
    raise SeqmillError(
        f"{path}: not the epoch that {output_folder.manifest_path(folder)} plans; it was made with "
        "other options or from other data (run `seqmill preprocess`)"
    )


def find(folder: str, corpus: Manifest, epoch: Epoch) -> EpochManifest | None:
    """The manifest of an epoch as ``read`` gives it; None where the epoch planned is not there.

    Raises:
        UnusableManifestError: As ``read``.
    """
    try:
        found = _read(folder, epoch.epoch)
    except NoManifestError:
        return None
    if found.planned.fingerprint != epoch.fingerprint:
        return None
    _check_agreement(output_folder.epoch_manifest_path(folder, epoch.epoch), found, corpus, epoch)
    return found


def is_complete(folder: str, corpus: Manifest, epoch: Epoch) -> bool:
    """Whether an epoch is there as it was planned."""
    with suppress(UnusableManifestError):
        return find(folder, corpus, epoch) is not None
    return False


def _read(folder: str, number: int) -> EpochManifest:
    """The manifest of an epoch; the files that it names are the epoch's own."""
    path = output_folder.epoch_manifest_path(folder, number)
    found: EpochManifest = read_sealed(path, _ADAPTER, FORMAT, "the epoch is not there")
    for position, shard in enumerate(found.shards):
        if shard.file != (own := output_folder.shard_name(number, position, len(found.shards))):
            raise UnusableManifestError(f"{path}: names the file {shard.file!r}, expected {own}")
    return found


def _check_agreement(path: str, found: EpochManifest, corpus: Manifest, epoch: Epoch) -> None:
    if found.corpus != corpus.corpus:
        raise UnusableManifestError(
            f"{path}: is of an epoch of corpus {found.corpus}, expected one of {corpus.corpus}"
        )
    num_batches = sum(shard.num_batches for shard in found.shards)
    if num_batches != found.planned.num_batches:
        raise UnusableManifestError(
            f"{path}: shards of {num_batches} batches, expected {found.planned.num_batches}"
        )
    expected = asdict(epoch)
    for field, value in asdict(found.planned).items():
        if value != expected[field]:
            raise UnusableManifestError(
                f"{path}: {field} is {value}, but the corpus' manifest says {expected[field]}"
            )
