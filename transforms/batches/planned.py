"""What a run of preprocess is about to write, left in a file for its last step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed

FORMAT = "seqmill.planned/2"


@dataclass(frozen=True)
class Planned:
    """A planned run.

    Attributes:
        format: ``FORMAT``.
        manifest: The manifest to come, its epochs still without shards.
        segments: One per shard, over all epochs.
    """

    format: str
    manifest: Manifest
    segments: tuple[Segment, ...]


_ADAPTER = TypeAdapter(Planned)


def begin(folder: str, manifest: Manifest, segments: Iterable[Segment]) -> str:
    """Leaves the planned manifest and all segments in a corpus folder, and makes them its current run.

    Returns:
        The run, for ``WriteShards`` and ``FinishEpochs``.
    """
    planned = Planned(FORMAT, manifest, tuple(segments))
    run = write_sealed(output_folder.planned_path(folder), _ADAPTER, planned)
    begin_run(folder, run)
    return run


def read_planned(folder: str) -> Planned:
    """What ``begin`` left. Raises SeqmillError."""
    path = output_folder.planned_path(folder)
    planned: Planned = read_sealed(path, _ADAPTER, FORMAT, "no run was planned here")
    return planned
