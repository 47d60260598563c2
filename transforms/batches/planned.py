"""What a run of preprocess is about to write, left in a file for its last step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter

from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.segment import Segment
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.manifest_file import read_checked

FORMAT = "seqmill.planned/1"


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


def write_planned(folder: str, manifest: Manifest, segments: Iterable[Segment]) -> None:
    """Leaves the planned manifest and all segments in a corpus folder, for ``FinishEpochs``."""
    planned = Planned(FORMAT, manifest, tuple(segments))
    files.write_json(output_folder.planned_path(folder), _ADAPTER.dump_python(planned, mode="json"))


def read_planned(folder: str) -> Planned:
    """What ``write_planned`` left. Raises SeqmillError."""
    planned: Planned = read_checked(
        output_folder.planned_path(folder), _ADAPTER, FORMAT, "no run was planned here"
    )
    return planned
