"""Writing one file of a store: its rows, what belongs beside them and, last, the receipt of its task."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from xxhash import xxh3_64_intdigest

from seqmill.transforms.features import Ragged
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.current_run import publishing
from seqmill.transforms.storage.hashing_file import write_hashed
from seqmill.transforms.storage.output_folder import store_file_name
from seqmill.transforms.store.length_index import write_index
from seqmill.transforms.store.sequence_store import StoreFile
from seqmill.transforms.store.split_receipt import (
    FORMAT,
    SplitReceipt,
    lengths_part,
    named_files_part,
    rejects_part,
    tags_part,
    write_receipt,
)
from seqmill.transforms.store.store_writer import StoreWriter

Append = Callable[[Mapping[str, Ragged], Sequence[int], Sequence[str]], None]
"""Adds rows: arrays by data key, positions in the split and, where tags are stored, tags."""


@dataclass(frozen=True)
class SplitReport:
    """What is to be said of a split beside its rows.

    Attributes:
        source: The file it was made from.
        num_positions: Its lines or records.
        dropped: Records that were left out on purpose, by reason.
        rejects: What was not kept, each with ``count`` and ``reason``, in the order to list them.
        converted: Sequences that were kept but changed on the way.
        unknown: Per data key labels that its vocabulary lacks.
        largest_error: Per data key of small elements by how much one differs most from what it was made from.
        damaged: What of the split is lost without its being known how many records that were; else None.
        named_files: Hashes of the files that its records name.
    """

    source: str
    num_positions: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    rejects: Sequence[Mapping[str, Any]] = ()
    converted: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    largest_error: Mapping[str, float] = field(default_factory=dict)
    damaged: str | None = None
    named_files: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitFile:
    """Where a split's file belongs and what it is like.

    Attributes:
        folder: The store's folder.
        run: The run that the folder must still belong to (``begin_run``).
        index: Place of the split in corpus order.
        fingerprint: Of everything that decides the bytes of its file.
        data_keys: What its arrays are like.
        has_tags: Whether tags are stored; else positions.
    """

    folder: str
    run: str
    index: int
    fingerprint: str
    data_keys: Mapping[str, ArraySpec]
    has_tags: bool

    def write(self, fill: Callable[[Append], SplitReport]) -> None:
        """Writes the Arrow file, its part of the length index, its rejects and, last, its receipt.

        Args:
            fill: Adds the rows.
        """
        name = store_file_name(self.index)
        tag_hashes = array("Q")
        with ExitStack() as published:
            with files.write_atomically(files.join(self.folder, name)) as file:
                writer = StoreWriter(file, self.data_keys, self.has_tags)

                def append(
                    arrays: Mapping[str, Ragged], positions: Sequence[int], tags: Sequence[str]
                ) -> None:
                    writer.append(arrays, tags if self.has_tags else positions)
                    if self.has_tags:
                        tag_hashes.extend(xxh3_64_intdigest(tag.encode()) for tag in tags)

                report = fill(append)
                writer.close()
                published.enter_context(publishing(self.folder, self.run))
            self._leave_receipt(name, report, writer, tag_hashes)

    def _leave_receipt(
        self, name: str, report: SplitReport, writer: StoreWriter, tag_hashes: array[int]
    ) -> None:
        rejected: Counter[str] = Counter()
        for reject in report.rejects:
            rejected[reject["reason"]] += reject["count"]
        entry = StoreFile(
            file=name,
            fingerprint=self.fingerprint,
            source=report.source,
            first_position=1,
            num_positions=report.num_positions,
            batch_rows=tuple(writer.batch_rows),
            bytes=writer.num_bytes,
            xxh128=writer.xxh128,
            rejected=rejected,
            unknown=report.unknown,
            converted=report.converted,
            largest_error=report.largest_error,
            dropped=dict(report.dropped),
            damaged=report.damaged,
        )
        rejects = b"".join(orjson.dumps(reject) + b"\n" for reject in report.rejects)
        receipt = SplitReceipt(
            format=FORMAT,
            file=entry,
            lengths=write_index(lengths_part(self.folder, self.index), writer.index),
            rejects=write_hashed(rejects_part(self.folder, self.index), [rejects]) if rejects else None,
            named_files=self._write_named_files(report.named_files),
            tags=self._write_tag_hashes(tag_hashes),
        )
        write_receipt(self.folder, self.index, receipt)

    def _write_named_files(self, named: Mapping[str, str | None]) -> Checksum | None:
        if not named:
            return None
        return write_hashed(named_files_part(self.folder, self.index), [orjson.dumps(named)])

    def _write_tag_hashes(self, tag_hashes: array[int]) -> Checksum | None:
        if not self.has_tags:
            return None
        return write_hashed(tags_part(self.folder, self.index), [np.array(tag_hashes, "<u8").tobytes()])
