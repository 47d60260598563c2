"""The last step of preprocess: checks that everything planned was written, and writes the manifest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.manifest import Shard
from seqmill.transforms.batches.planned import read_planned
from seqmill.transforms.batches.segment import read_receipt, receipt_path
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import checksum
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.errors import SeqmillError


@dataclass(frozen=True)
class FinishEpochs:
    """Writes a corpus' manifest.

    Attributes:
        folder: The corpus' folder of epochs.
        vocab_files: Per data key with a vocabulary the file to copy.
        run: The run that the folder must still belong to.
    """

    folder: str
    vocab_files: Mapping[str, str]
    run: str

    def __call__(self, num_tasks: int) -> None:
        """Called when all segments have been written. Raises SeqmillError where one is not as planned."""
        with publishing(self.folder, self.run):
            self._finish()

    def _finish(self) -> None:
        planned = read_planned(self.folder)
        shards: defaultdict[int, list[Shard]] = defaultdict(list)
        for segment in planned.segments:
            shard = read_receipt(self.folder, segment, by_size=True)
            if shard is None:
                raise SeqmillError(f"{self.folder}: {segment.file} is missing or not as planned; run again")
            shards[segment.epoch].append(shard)
        self._remove_others(
            {segment.file for segment in planned.segments},
            {receipt_path(self.folder, segment) for segment in planned.segments},
        )
        content = planned.manifest
        others = dict(content.others)
        for segment in planned.segments:
            others[output_folder.plan_name(segment.epoch)] = segment.plan
        for key, path in self.vocab_files.items():
            name = str(content.data_keys[key].vocab)
            files.copy(path, files.join(self.folder, name))
            others[name] = checksum(files.join(self.folder, name))
        epochs = tuple(replace(epoch, shards=tuple(shards[epoch.epoch])) for epoch in content.epochs)
        manifest.write(self.folder, replace(content, epochs=epochs, others=others))

    def _remove_others(self, mine: set[str], receipts: set[str]) -> None:
        """Removes what runs with other options have left."""
        epoch_folders = {file.partition("/")[0] for file in mine}
        for name in files.list_names(self.folder):
            if output_folder.is_epoch_name(name) and name not in epoch_folders:
                files.remove(files.join(self.folder, name))
        for folder in epoch_folders:
            for name in files.list_names(files.join(self.folder, folder)):
                if f"{folder}/{name}" not in mine:
                    files.remove(files.join(self.folder, folder, name))
        folder = output_folder.receipts_folder(self.folder)
        for name in files.list_names(folder):
            path = files.join(folder, name)
            if output_folder.is_segment_receipt_name(name) and path not in receipts:
                files.remove(path)
        plans = output_folder.plan_folder(self.folder)
        for name in files.list_names(plans):
            if name.removesuffix(".arrow") not in epoch_folders:
                files.remove(files.join(plans, name))
