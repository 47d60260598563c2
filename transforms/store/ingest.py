"""Raw corpus to sequence store: one task reads one split and writes one Arrow file with its receipt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from seqmill.transforms.features import Norm, Vocab
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.readers import Reader, Split
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.progress import Reporter
from seqmill.transforms.store.encode_blocks import (
    Collector,
    encoded_blocks,
    open_keys,
    split_encoders,
    vocab_of_run,
)
from seqmill.transforms.store.join import Joined, JoinedStore
from seqmill.transforms.store.split_receipt import read_receipt
from seqmill.transforms.store.write_split import Append, SplitFile, SplitReport


@dataclass(frozen=True)
class IngestTask:
    """One split to ingest.

    Attributes:
        index: Its place in corpus order.
        split: What to read.
        fingerprint: Of everything that decides the bytes of its file.
        work: Its share of the work, for progress.
        keys: Names of the data keys that are read of it; None for all.
        fields: Per data key the field that holds it in this split, where it is not that of the data key.
        source: Of a mixed corpus the source that it is of, where some sources are joined; else None.
    """

    index: int
    split: Split
    fingerprint: str
    work: int
    keys: tuple[str, ...] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None

    def read_keys(self, keys: Sequence[DataKey]) -> list[DataKey]:
        """Those of some data keys that are read of the split, with the fields that hold them there."""
        own = [key for key in keys if self.keys is None or key.name in self.keys]
        return [replace(key, field=self.fields.get(key.name, key.field)) for key in own]


@dataclass(frozen=True)
class IngestSplits:
    """Does ingest tasks; what all of a corpus' tasks share.

    Attributes:
        folder: The store's folder.
        keys: The data keys that are read.
        data_keys: What all arrays are like, those of stores that are joined too.
        vocab_files: Per data key with a vocabulary its file.
        run: The run that the folder must still belong to (``begin_run``).
        norms: Per data key the statistics that its frames are normalized by, where there are any.
        joins: Stores that further data keys come from, by tag.
    """

    folder: str
    keys: tuple[DataKey, ...]
    data_keys: Mapping[str, ArraySpec]
    vocab_files: Mapping[str, str]
    run: str
    norms: Mapping[str, Norm] = field(default_factory=dict)
    joins: tuple[JoinedStore, ...] = ()

    def __call__(self, task: IngestTask) -> None:
        """Writes the split's Arrow file, its part of the length index, its rejects and, last, its receipt.

        Does nothing where another attempt has done it.
        """
        if is_done(self.folder, task):
            return
        has_tags = task.split.seq_tag is not None
        file = SplitFile(self.folder, self.run, task.index, task.fingerprint, self.data_keys, has_tags)
        file.write(lambda append: self._fill(append, task))

    def _fill(self, append: Append, task: IngestTask) -> SplitReport:
        """Adds the sequences of a split to a file."""
        split, seq_tag = task.split, task.split.seq_tag
        keys = task.read_keys(self.keys)
        vocabs = self._vocabs()
        encoders = split_encoders(split, keys, vocabs, self.data_keys, self.norms)
        collector = Collector(encoders, has_tags=seq_tag is not None)
        reporter = Reporter(output_folder.progress_folder(self.folder))
        reader, num_kept = open_keys(split, keys, seq_tag), 0
        joins = [store for store in self.joins if store.source == task.source]
        for arrays, positions, tags in _blocks(reader, keys, seq_tag, collector, joins):
            if positions:
                append(arrays, positions, tags)
            num_kept += len(positions)
            reporter.add(num_seqs=len(positions))
        reporter.add(task.work)
        reporter.flush()
        check_accounted(reader, num_kept, sum(reject["count"] for reject in collector.rejects))
        report = collector.take_report()
        return SplitReport(
            source=files.name(split.source),  # its folders are the last step's to say
            num_positions=reader.num_positions,
            dropped=reader.dropped,
            rejects=sorted(collector.rejects, key=lambda reject: reject["position"]),
            converted=report.converted,
            unknown=report.unknown,
            largest_error=report.largest_error,
            damaged=reader.damaged,
            named_files=report.named_files,
        )

    def _vocabs(self) -> dict[str, Vocab]:
        return {key: vocab_of_run(path, self.run) for key, path in self.vocab_files.items()}


def check_accounted(reader: Reader, num_kept: int, num_rejected: int) -> None:
    """Raises SeqmillError where a split had more or fewer records than became something."""
    num_dropped = reader.dropped.total()
    if reader.num_records != num_kept + num_dropped + num_rejected:
        raise SeqmillError(
            f"{reader.split.source}: {reader.num_records:,} records, but {num_kept:,} kept, "
            f"{num_dropped:,} dropped and {num_rejected:,} rejected; the file has changed meanwhile, or "
            "seqmill has lost some"
        )


def is_done(folder: str, task: IngestTask, fresh: bool = False) -> bool:
    """Whether a task has been done as it is now, and its files are intact; ``fresh`` as for ``is_intact``."""
    receipt = read_receipt(folder, task.index, fresh)
    return receipt is not None and receipt.file.fingerprint == task.fingerprint


def _blocks(
    reader: Reader,
    keys: Sequence[DataKey],
    seq_tag: str | None,
    collector: Collector,
    joins: Sequence[JoinedStore],
) -> Iterable[Joined]:
    """The sequences of a split, with the data keys of all stores that are joined."""
    if not joins:
        return encoded_blocks(reader, keys, seq_tag, collector)

    def are_there(tags: list[Any], positions: list[int]) -> list[bool]:
        found = np.ones(len(tags), bool)
        for store in joins:
            chosen = np.flatnonzero(found)
            mine = [tags[place] for place in chosen], [positions[place] for place in chosen]
            found[chosen] = store.has(*mine, collector.reject)
        are: list[bool] = found.tolist()
        return are

    blocks: Iterable[Joined] = encoded_blocks(reader, keys, seq_tag, collector, are_there)
    for store in joins:
        blocks = chain.from_iterable(map(partial(store.join, reject=collector.reject), blocks))
    return blocks
