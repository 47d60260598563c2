"""The manifest of a written corpus. It is written last: a folder without one is incomplete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.manifest_file import read_checked
from seqmill.transforms.store.counts import Counts

FORMAT = "seqmill.batches/1"

_STRICT = ConfigDict(extra="forbid", strict=False)


@dataclass(frozen=True, config=_STRICT)
class Shard:
    """One file of batches; ``file`` is relative to the manifest."""

    file: str
    num_batches: int
    bytes: int
    xxh128: str


@dataclass(frozen=True, config=_STRICT)
class Epoch:
    """One stored epoch.

    Attributes:
        epoch: Its number, from 1.
        num_batches: Batches, over all shards.
        num_seqs: Sequences; a chunked one counts once.
        num_chunks: Rows of all batches: chunks where sequences are chunked, else sequences.
        num_frames: Per data key the true frames.
        padded_frames: Per data key the frames of the padded arrays, true ones included.
        shards: Its files in batch order.
    """

    epoch: int
    num_batches: int
    num_seqs: int
    num_chunks: int
    num_frames: Mapping[str, int]
    padded_frames: Mapping[str, int]
    shards: tuple[Shard, ...]


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """``manifest.json`` of ``epochs/<corpus>/``; ``docs/formats.md`` tells its fields.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> manifest.data_keys["data"].num_labels, manifest.counts.kept
    (17, 8)
    """

    format: str
    fingerprint: str
    corpus: str
    options: Mapping[str, Any]
    data_keys: Mapping[str, ArraySpec]
    counts: Counts
    epochs: tuple[Epoch, ...]


_ADAPTER = TypeAdapter(Manifest)


def write(folder: str, manifest: Manifest) -> None:
    """Writes the manifest of a corpus folder."""
    files.write_json(output_folder.manifest_path(folder), _ADAPTER.dump_python(manifest, mode="json"))


def read(folder: str) -> Manifest:
    """The manifest of a corpus folder.

    Raises:
        SeqmillError: There is none (the folder is incomplete or no corpus), it is not valid, of another
            format version, or names files outside the folder.

    >>> import seqmill
    >>> manifest = seqmill.read_manifest("work/epochs/train")
    >>> [epoch.num_batches for epoch in manifest.epochs]
    [3, 3]
    """
    hint = "incomplete, or no batches at all (run `seqmill preprocess`)"
    manifest: Manifest = read_checked(output_folder.manifest_path(folder), _ADAPTER, FORMAT, hint)
    for epoch in manifest.epochs:
        for shard in epoch.shards:
            files.inside(folder, shard.file)
    for spec in manifest.data_keys.values():
        if spec.vocab is not None:
            files.inside(folder, spec.vocab)
    return manifest
