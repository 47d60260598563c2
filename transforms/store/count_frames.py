"""Statistics of frames over a corpus: a task adds up one split; mean and deviation follow from the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.frame_sums import FrameSums
from seqmill.transforms.features.norm import write_norm
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.count_folder import CountFolder
from seqmill.transforms.store.encode_blocks import Collector, encoded_blocks, open_keys, split_encoders
from seqmill.transforms.store.ingest import IngestTask

CODE_VERSION = 1  # raised when the same frames would give other statistics


def frame_counts(folder: str) -> CountFolder:
    """What is kept in the folder of statistics."""
    return CountFolder(
        folder=folder,
        what="frames",
        part_format="seqmill.frames/1",
        summary_format="seqmill.norms/1",
        summary=output_folder.NORM_SUMMARY_NAME,
        suffix=output_folder.NORM_SUFFIX,
    )


@dataclass(frozen=True)
class CountFrames:
    """Adds up the frames of splits, exactly.

    Attributes:
        folder: The folder of statistics.
        keys: The data keys whose frames are counted.
        data_keys: What their arrays are like.
        run: The run that the folder must still belong to (``begin_run``).
    """

    folder: str
    keys: tuple[DataKey, ...]
    data_keys: Mapping[str, ArraySpec]
    run: str

    def __call__(self, task: IngestTask) -> None:
        """Counts one split; records that cannot be read or encoded are left to ingest to reject."""
        counts = frame_counts(self.folder)
        if counts.is_counted(task.index, task.fingerprint):
            return
        # In full float32: how elements are stored is no matter of statistics.
        keys = tuple(replace(key, dtype=None, normalization=None) for key in task.read_keys(self.keys))
        reporter = Reporter(output_folder.progress_folder(self.folder))
        sums = {key.name: FrameSums(self.data_keys[key.name].frame_size) for key in keys}
        encoders = split_encoders(task.split, keys, {}, self.data_keys)
        collector = Collector(encoders, has_tags=False)
        for arrays, positions, _ in encoded_blocks(open_keys(task.split, keys, None), keys, None, collector):
            for name, ragged in arrays.items():
                sums[name].add(ragged.values)
            collector.rejects.clear()
            reporter.add(num_seqs=len(positions))
        named = collector.take_report().named_files
        content = {name: one.content() for name, one in sums.items()}
        counts.write_part(task.index, task.fingerprint, self.run, counts=content, named_files=named)
        reporter.add(task.work)
        reporter.flush()


@dataclass(frozen=True)
class WriteNorms:
    """Adds up the sums of all splits and writes ``<key>.json`` and, last, the summary.

    Attributes:
        folder: The folder of statistics.
        data_keys: What the arrays of the data keys whose frames are counted are like.
        fingerprint: Of all splits and keys; also the run that the folder must still belong to.
        splits: Fingerprint of every split, those that a rerun kept included.
    """

    folder: str
    data_keys: Mapping[str, ArraySpec]
    fingerprint: str
    splits: tuple[str, ...]

    def __call__(self, num_tasks: int) -> None:
        """Writes the statistics; called when all tasks have succeeded."""
        with publishing(self.folder, self.fingerprint), files.remembering(self.folder):
            counts = frame_counts(self.folder)
            sums = {key: FrameSums(spec.frame_size) for key, spec in self.data_keys.items()}
            for part in counts.parts(self.splits):
                for key, added in part["counts"].items():
                    sums[key].merge(added)
            for key, one in sums.items():
                write_norm(counts.path(key), one.norm())
            counts.write_summary(self.fingerprint, sums)
