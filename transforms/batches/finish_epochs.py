"""The last step of preprocess: checks that everything planned was written, and writes the manifest."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.plan_file import FOLDER as PLAN_FOLDER
from seqmill.transforms.batches.shards import Segment, read_receipt, receipt_path
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.output_folder import PARTS

_PLANNED_NAME = "planned.json"
_EPOCH_FOLDER = re.compile(r"epoch-\d{4,}")


@dataclass(frozen=True)
class FinishEpochs:
    """Writes a corpus' manifest.

    Attributes:
        folder: The corpus' folder of epochs.
        vocab_files: Per data key with a vocabulary the file to copy.
    """

    folder: str
    vocab_files: Mapping[str, str]

    def __call__(self, num_tasks: int) -> None:
        """Called when all segments have been written. Raises SeqmillError where one is not as planned."""
        planned = manifest.read(files.join(self.folder, PARTS), _PLANNED_NAME)
        segments = read_segments(self.folder)
        shards = {}
        for segment in segments:
            shard = read_receipt(self.folder, segment)
            if shard is None:
                raise SeqmillError(f"{self.folder}: {segment.file} is missing or not as planned; run again")
            shards[segment.file] = shard
        epochs = tuple(
            replace(epoch, shards=tuple(shards[shard.file] for shard in epoch.shards))
            for epoch in planned.epochs
        )
        self._remove_others(set(shards), {receipt_path(self.folder, segment) for segment in segments})
        for key, path in self.vocab_files.items():
            files.copy(path, files.join(self.folder, str(planned.data_keys[key].vocab)))
        manifest.write(self.folder, replace(planned, epochs=epochs))

    def _remove_others(self, mine: set[str], receipts: set[str]) -> None:
        """Removes what runs with other options have left."""
        epoch_folders = {file.partition("/")[0] for file in mine}
        for name in files.list_names(self.folder):
            if _EPOCH_FOLDER.fullmatch(name) and name not in epoch_folders:
                files.remove(files.join(self.folder, name))
        for folder in epoch_folders:
            for name in files.list_names(files.join(self.folder, folder)):
                if f"{folder}/{name}" not in mine:
                    files.remove(files.join(self.folder, folder, name))
        for name in files.list_names(files.join(self.folder, PARTS)):
            path = files.join(self.folder, PARTS, name)
            if name.startswith("epoch-") and path not in receipts:
                files.remove(path)
        for name in files.list_names(files.join(self.folder, PLAN_FOLDER)):
            if name.removesuffix(".arrow") not in epoch_folders:
                files.remove(files.join(self.folder, PLAN_FOLDER, name))


def write_planned(folder: str, planned: Manifest, segments: Sequence[Segment]) -> None:
    """Leaves the planned manifest and all segments for ``FinishEpochs``."""
    manifest.write(files.join(folder, PARTS), planned, _PLANNED_NAME)
    files.write_json(_segments_path(folder), [vars(segment) for segment in segments])


def read_segments(folder: str) -> list[Segment]:
    """The segments that ``write_planned`` left."""
    values: list[dict[str, Any]] = files.read_json(_segments_path(folder))
    return [Segment(**value) for value in values]


def _segments_path(folder: str) -> str:
    return files.join(folder, PARTS, "segments.json")
