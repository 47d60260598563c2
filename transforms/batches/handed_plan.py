"""A plan that one step of a pipeline leaves for a later one, so that epochs are planned once.

It lies in ``planned/`` of the folder that the epochs are written to: the plan of every epoch, and a list of
the epochs that is written last. The later step takes it only where the fingerprint is that of what it has to
write, and the epochs consist of just the segments that have come to it; else it plans again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as checked_dataclass

from seqmill.transforms.batches.layout import EpochLayout
from seqmill.transforms.batches.manifest import Epoch
from seqmill.transforms.batches.plan_file import write_plan_file
from seqmill.transforms.batches.segment import Segment, epoch_fingerprint
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import Checksum, is_intact
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed

FORMAT = "seqmill.planned/1"


@dataclass(frozen=True)
class HandedEpoch:
    """An epoch that was planned by an earlier step; stands for the ``EpochLayout`` that this step had.

    Attributes:
        entry: The epoch as the corpus' manifest lists it.
        segments: One per shard.
        oversized: Sequences that alone exceed ``batch_size``.
        left_in: The file that holds its plan.
    """

    entry: Epoch
    segments: tuple[Segment, ...]
    oversized: int
    left_in: str

    @property
    def plan_file(self) -> Checksum:
        """Size and hash of the file that holds its plan."""
        return self.segments[0].plan

    def write_plan(self, folder: str) -> None:
        """Brings the plan to its place in a corpus folder."""
        path = output_folder.plan_path(folder, self.entry.epoch)
        files.make_folder(files.parent(path))
        files.remove(path)
        files.link(self.left_in, path)


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Planned:
    """The list of epochs.

    Attributes:
        format: ``FORMAT``.
        fingerprint: Of everything that decides the files of the epochs.
        epochs: The epochs.
        oversized: Of each the sequences that alone exceed ``batch_size``.
    """

    format: str
    fingerprint: str
    epochs: tuple[Epoch, ...]
    oversized: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.oversized) != len(self.epochs):
            raise ValueError("oversized: expected a number of each epoch")


_ADAPTER = TypeAdapter(_Planned)


def leaving_plan(folder: str, fingerprint: str, layouts: Iterable[EpochLayout]) -> Iterator[EpochLayout]:
    """Passes on layouts of epochs, and leaves what they plan for a later step.

    Where that fails nothing is left: the later step writes to the same folder, and says what is wrong.

    Args:
        folder: The corpus' folder of epochs.
        fingerprint: Of everything that decides their files.
        layouts: All epochs.
    """
    entries, oversized, is_left = [], [], True
    for layout in layouts:
        entry = layout.entry
        entries.append(entry)
        oversized.append(layout.oversized)
        is_left = is_left and _leave(folder, entry.epoch, layout)
        yield layout
    if is_left:
        _try_to_write(folder, _Planned(FORMAT, fingerprint, tuple(entries), tuple(oversized)))


def take_plan(folder: str, fingerprint: str, segments: Iterable[Segment]) -> list[HandedEpoch] | None:
    """The epochs that an earlier step has planned and left; None where they must be planned again.

    Args:
        folder: The corpus' folder of epochs.
        fingerprint: Of everything that decides their files.
        segments: All segments that the earlier step gave.
    """
    try:
        planned: _Planned = read_sealed(output_folder.handed_list_path(folder), _ADAPTER, FORMAT, "")
    except (SeqmillError, OSError):
        return None
    of_epochs: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in sorted(segments, key=lambda one: one.index):
        of_epochs[segment.epoch].append(segment)
    if planned.fingerprint != fingerprint or [*of_epochs] != [entry.epoch for entry in planned.epochs]:
        return None
    handed = []
    for entry, oversized in zip(planned.epochs, planned.oversized, strict=True):
        own = tuple(of_epochs[entry.epoch])
        path = _intact_plan(folder, own[0])
        if path is None or epoch_fingerprint(own, entry.left_out) != entry.fingerprint:
            return None
        handed.append(HandedEpoch(entry, own, oversized, path))
    return handed


def remove_left_plan(folder: str) -> None:
    """Removes what was left in a folder, taken or not."""
    files.remove(output_folder.handed_folder(folder))


def _leave(folder: str, epoch: int, layout: EpochLayout) -> bool:
    """Leaves the plan of an epoch, unless it is in its place already. Returns whether it is there."""
    try:
        if not is_intact(output_folder.plan_path(folder, epoch), layout.plan_file):
            write_plan_file(output_folder.handed_plan_path(folder, epoch), layout.plan)
    except (SeqmillError, OSError):
        return False
    return True


def _try_to_write(folder: str, planned: _Planned) -> None:
    try:
        write_sealed(output_folder.handed_list_path(folder), _ADAPTER, planned)
    except (SeqmillError, OSError):
        return


def _intact_plan(folder: str, segment: Segment) -> str | None:
    """The file that holds the plan which a segment was cut from."""
    paths = (
        output_folder.plan_path(folder, segment.epoch),
        output_folder.handed_plan_path(folder, segment.epoch),
    )
    return next((path for path in paths if is_intact(path, segment.plan)), None)
