"""Windows of an unbounded collection to windows of a stream, each an epoch of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.trigger import AccumulationMode

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.stream import (
    begin_stream,
    identity_of,
    is_published,
    publish,
    remove_abandoned,
    stream_of,
    temporary_window,
    tidy_window,
    window_name,
)
from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.beam.plan_epochs import asked_of
from seqmill.transforms.beam.staged_sequences import finish_planned, write_planned_file
from seqmill.transforms.beam.write_batches import begin_epochs, epochs_part
from seqmill.transforms.beam.write_store import StageBlocks
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import NothingLeftError, UsageError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.store.sequence_block import SequenceBlock
from seqmill.transforms.store.sequence_store import Store
from seqmill.transforms.store.staging import bring_staged, remove_staged_before, remove_staged_files
from seqmill.transforms.store.store_plan import StoreOptions, plan_store

_LEAST_STAGED = 7 * 86_400.0
_SWEEP_SECONDS = 3600.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowWritten:
    """A window of a stream that has appeared.

    Attributes:
        folder: Its folder, a corpus of one epoch.
        manifest: What its manifest says.
    """

    folder: str
    manifest: Manifest


@beam.typehints.with_input_types(SequenceBlock)
@beam.typehints.with_output_types(WindowWritten)
@dataclass(eq=False)
class PreBatchWindows(beam.PTransform):
    """Makes every window and pane of blocks an epoch of its own, in a stream that a training follows.

    Each appears whole, once, however often a bundle is tried again, in a folder that is named by the end of
    the window and the number of the pane; late data are the next pane's. ``seqmill train --follow`` trains on
    them as they appear. Gives one element for each. A pane of which no sequence is left does not appear.

    A worker makes a pane by itself, so one pane should not be larger than what a worker does in time.

    Args:
        folder: The stream's folder: path or URL that all workers reach. The corpus has its name.
        options: As for ``PlanEpochs``, of one epoch. ``max_rejected`` is 1 by default: a window of which more
            is rejected fails the pipeline.

    Raises:
        UsageError: A field is wrong, or the collection has no windows, or panes that repeat earlier ones.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import EncodeSequences, PreBatchWindows
    >>> encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    >>> records = [{"id": number, "text": "a" * number, "second": 7 * number} for number in range(1, 9)]
    >>> with beam.Pipeline() as pipeline:
    ...     written = (
    ...         pipeline
    ...         | beam.Create(records)
    ...         | beam.Map(lambda record: beam.window.TimestampedValue(record, record["second"]))
    ...         | beam.WindowInto(beam.window.FixedWindows(30))
    ...         | encode
    ...         | PreBatchWindows("mine/stream/train", {"max_seqs": 2})
    ...     )
    >>> from seqmill.transforms.batches.stream import windows
    >>> windows("mine/stream/train")
    ['19700101T000030.000Z-00000', '19700101T000100.000Z-00000']
    """

    folder: str
    options: Mapping[str, Any] | Schedule

    def __post_init__(self) -> None:
        self.folder = fields.folder_of(self, self.folder)
        fields.epochs_of(self, self.options)
        if not isinstance(self.options, Schedule):
            self.options = {"max_rejected": 1.0, **self.options}
            for name in ("num_epochs", "partition_epoch", "distinct_epochs"):
                if self.options.get(name) not in (None, 1):
                    found = self.options[name]
                    raise fields.wrong(self, f"options[{name!r}]", found, "1: a window is one epoch")
            if self.options.get("schedule"):
                raise fields.wrong(self, "options['schedule']", self.options["schedule"], "none")
        elif self.options.num_epochs != 1 or self.options.options.partition_epoch != 1:
            raise fields.wrong(self, "options", self.options, "a Schedule of one epoch, not a part of one")

    def expand(self, blocks: Any) -> Any:  # noqa: D102
        if blocks.windowing.is_default():
            raise UsageError(
                "PreBatchWindows: found a collection without windows; expected beam.WindowInto before the "
                "records are encoded"
            )
        if blocks.windowing.accumulation_mode == AccumulationMode.ACCUMULATING:
            raise UsageError(
                "PreBatchWindows: found accumulation_mode ACCUMULATING, by which a pane repeats those before "
                "it; expected DISCARDING: every record is trained on once"
            )
        write = beam.ParDo(_Write(self.folder, self.options, _staged_for(blocks.windowing)))
        return (
            blocks
            | "Stage" >> StageBlocks(self.folder)
            | "Together" >> beam.GroupByKey()
            | "Write" >> write.with_output_types(WindowWritten)
        )


class _Write(beam.DoFn):
    """The staged files of a pane to a window of the stream."""

    def __init__(self, folder: str, options: Mapping[str, Any] | Schedule, staged_for: float | None = None):
        self._folder, self._options, self._staged_for = folder, options, staged_for
        self._swept: float | None = None

    def process(
        self,
        keyed: tuple[int, Iterable[str]],
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterator[WindowWritten]:
        self._sweep()
        names = sorted({*keyed[1]})
        if not names:  # a pane at the end of the window, with nothing that was not in panes before
            return
        identity = fingerprint(names)
        number, end = max(pane.index, 0), window.end.micros // 1000
        while True:
            name = window_name(end, number)
            if not is_published(self._folder, name) and not self._make(name, names, identity):
                return
            if identity_of(self._folder, name) == identity:
                break
            number += 1  # a runner that does not number panes, or another attempt that was first
        remove_staged_files(self._folder, names)
        path = files.join(self._folder, name)
        if files.exists(output_folder.manifest_path(path)):  # else it was trained on already
            yield WindowWritten(path, _counted(path))

    def _sweep(self) -> None:
        """Removes, once an hour, what killed workers have left, or was staged for data that came too late."""
        now = time.time()
        if self._swept is None or now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            files.remove_temporary_folders(self._folder)
            remove_abandoned(self._folder)
            if self._staged_for is not None:
                remove_staged_before(self._folder, now - self._staged_for)

    def _make(self, name: str, names: list[str], identity: str) -> bool:
        """Makes a window and lets it appear; whether there was anything to make one of."""
        work = temporary_window(self._folder, name)
        store_folder, made = files.join(work, "store"), files.join(work, "window")
        try:
            bring_staged(self._folder, names, store_folder)
            store = self._store(store_folder, names)
            asked, selections = asked_of(self._options, store)
            todo = begin_epochs(made, store, selections, asked.max_rejected)
            part = epochs_part(store, asked, todo)
            for segment in todo.segments:
                part.work(segment)
            written = part.finish(len(todo.segments))
            tidy_window(made, store_folder, identity)
            begin_stream(self._folder, stream_of(written))
            publish(made, self._folder, name, identity)
            return True
        except NothingLeftError as error:
            _LOG.warning("%s: a pane without a sequence does not appear: %s", self._folder, error)
            remove_staged_files(self._folder, names)
            return False
        finally:
            files.remove(work)

    def _store(self, folder: str, names: list[str]) -> Store:
        """A store of what was staged."""
        limit = 1.0 if isinstance(self._options, Schedule) else float(self._options["max_rejected"])
        plan = plan_store(folder, names, StoreOptions(files.name(self._folder), limit, False))
        for number in range(len(plan.files)):
            write_planned_file(folder, plan.finish.run, number)
        finish_planned(folder, plan.finish.run)
        return Store(folder)


def _staged_for(windowing: Any) -> float | None:
    """Seconds after which nobody waits for what was staged; None where windows may be of any length."""
    size = getattr(windowing.windowfn, "size", None)
    if size is None:
        return None
    return max(_LEAST_STAGED, 2 * (float(size) + float(windowing.allowed_lateness)))


def _counted(path: str) -> Manifest:
    written = manifest.read(path)
    Counting("PreBatchWindows").epochs(written)
    return written
