"""Blocks of sequences to a sequence store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam

from seqmill.transforms.batches.corpus_epochs import MAX_REJECTED
from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.beam.staged_sequences import (
    StoreWritten,
    finish_planned,
    write_planned_file,
)
from seqmill.transforms.beam.step import Part
from seqmill.transforms.beam.tasks import DoTasks, PartTask
from seqmill.transforms.features.data_keys import why_no_name
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.store.sequence_block import SequenceBlock
from seqmill.transforms.store.staging import Stager
from seqmill.transforms.store.store_plan import StoreOptions, plan_store

_MOST_WINDOWS = 16  # of which a bundle holds a staged file open


@beam.typehints.with_input_types(SequenceBlock)
@beam.typehints.with_output_types(StoreWritten)
@dataclass(eq=False)
class WriteStore(beam.PTransform):
    """Writes blocks of sequences as a sequence store; gives one element, what is in the store.

    The rows are ordered by the order keys of the sequences (of files: by file and position), whatever the
    runner did. Of several records with one order key, the one stays whose content has the smallest hash; the
    others are rejected. The same records give the same bytes.

    Blocks are written to files in ``staged/`` first, which are removed when the store is there, so that no
    payload goes through the runner's shuffle. A folder is written by one pipeline at a time. A collection
    without a single record leaves the folder as it is.

    Args:
        folder: The store's folder: path or URL that all workers reach.
        corpus: Name of the corpus; by default that of the folder.
        max_rejected: Largest share of rejected records before the pipeline fails.
        allow_damaged: Take what is left of files of which an unknown part is lost.

    Raises:
        UsageError: A field is wrong; says what was given and what is expected.

    >>> import apache_beam as beam, seqmill
    >>> from seqmill.transforms.beam import EncodeSequences, WriteStore
    >>> records = [{"id": 2, "text": "sea"}, {"id": 1, "text": "a"}, {"id": 2, "text": "sea"}]
    >>> encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    >>> (written,) = records | encode | WriteStore("mine/store/train", max_rejected=0.5)
    >>> written.num_seqs, written.num_frames, written.counts.rejected
    (2, {'data': 4}, {'duplicate order key': 1})
    >>> seqmill.Store("mine/store/train").tag(1)
    b'2'
    """

    folder: str
    corpus: str | None = None
    max_rejected: float = MAX_REJECTED
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        self.folder = fields.folder_of(self, self.folder)
        given = self.corpus
        corpus = files.name(self.folder) if given is None else fields.text_of(self, "corpus", given)
        if text := why_no_name(corpus):
            raise UsageError(f"WriteStore: corpus: {text}")
        self._options = StoreOptions(
            corpus=corpus,
            max_rejected=fields.share_of(self, "max_rejected", self.max_rejected),
            allow_damaged=fields.flag_of(self, "allow_damaged", self.allow_damaged),
        )

    def expand(self, blocks: Any) -> Any:  # noqa: D102
        if not blocks.windowing.is_default():
            raise SeqmillError(
                f"WriteStore: found a collection with {blocks.windowing.windowfn}; expected one without "
                "windows, which a store has no place for"
            )
        return (
            blocks
            | "Stage" >> StageBlocks(self.folder)
            | "Together" >> beam.GroupByKey()
            | "Plan" >> beam.FlatMap(_plan, self.folder, self._options).with_output_types(PartTask)
            | "Do" >> DoTasks()
            | "Count" >> beam.Map(_count).with_output_types(StoreWritten)
        )


@beam.typehints.with_input_types(SequenceBlock)
@beam.typehints.with_output_types(tuple[int, str])
@dataclass(eq=False)
class StageBlocks(beam.PTransform):
    """Puts blocks into staged files of a store's folder, those of a window apart from those of another.

    Gives the names of the files under the key 0. The names come before the files are there: nobody may read
    them within the same bundle, so a GroupByKey must follow.
    """

    folder: str

    def expand(self, blocks: Any) -> Any:  # noqa: D102
        return blocks | beam.ParDo(_Stage(self.folder)).with_output_types(tuple[int, str])


class _Stage(beam.DoFn):
    def __init__(self, folder: str):
        self._folder = folder
        self._open: dict[Any, Stager] = {}

    def setup(self) -> None:
        self._counting = Counting("WriteStore")

    def start_bundle(self) -> None:
        self._open = {}

    def process(self, block: SequenceBlock, window: Any = beam.DoFn.WindowParam) -> Iterator[tuple[int, str]]:
        stager = self._open.get(window)
        if stager is None or stager.is_full or not stager.fits(block):
            if stager is not None:
                self._open.pop(window).close()
            while len(self._open) >= _MOST_WINDOWS:
                self._open.popitem()[1].close()
            stager = self._open[window] = Stager(self._folder)
            # Here and not in finish_bundle, of which DaskRunner loses what it gives.
            yield 0, stager.name
        stager.add(block)
        self._counting.lengths(block)

    def finish_bundle(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


@dataclass(frozen=True)
class _File:
    """A file of the store to write."""

    index: int


def _plan(keyed: tuple[int, Iterable[str]], folder: str, options: StoreOptions) -> Iterator[PartTask]:
    # What is staged stays where this fails: a runner that tries again is to hear the same reason.
    plan = plan_store(folder, [*keyed[1]], options)
    run, num_files = plan.finish.run, len(plan.files)
    part = Part(
        corpus=options.corpus,
        folder=folder,
        tasks=(),
        sizes=(),
        work=partial(_write, folder, run),
        finish=partial(_finish, folder, run),
    )
    for number in range(num_files):
        yield PartTask(part, _File(number), num_files)


def _write(folder: str, run: str, file: _File) -> None:
    write_planned_file(folder, run, file.index)


def _finish(folder: str, run: str, num_files: int) -> StoreWritten:
    return finish_planned(folder, run)


def _count(written: StoreWritten) -> StoreWritten:
    Counting("WriteStore").whole(written.counts, written.num_frames)
    return written
