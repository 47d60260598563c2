"""``seqmill preprocess --follow``: writes the epochs of ``train`` while a training consumes them.

Writer and training share nothing but the output folder: each says there how far it is (``batches.beside``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from seqmill.pipelines import console
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.epochs_step import Todo, check_space, write_epochs
from seqmill.pipelines.ingest import is_ingested
from seqmill.pipelines.needed_epochs import epochs_done, needed_by
from seqmill.pipelines.options import TRAIN, Config, nearly_train
from seqmill.pipelines.preprocess import is_up_to_date, preprocess
from seqmill.pipelines.scan import scan
from seqmill.pipelines.shared_stores import check_shared_stores, reading_stores
from seqmill.transforms.batches import epoch_manifest, manifest
from seqmill.transforms.batches.begin_epochs import clear_epochs, plan_again, remove_epochs_but, whole_epochs
from seqmill.transforms.batches.beside import Consumed, Hearing, Saying, Writing
from seqmill.transforms.batches.layout import planned_as_there
from seqmill.transforms.planning.ahead import Needed
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.current_run import clear_leftovers
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer, reader
from seqmill.transforms.storage.ranges import ranges
from seqmill.transforms.store.sequence_store import Store

_NICE = 10
_POLL_SECONDS = 0.2
_POLL_SECONDS_REMOTE = 5.0
_SECONDS_ALONE = 3600.0  # without a training; then the writer ends


def check_followable(config: Config) -> None:
    """Refuses, before any work, a configuration whose epochs cannot be written beside a training."""
    if config.epochs_ahead is None:
        raise UsageError("--follow needs epochs_ahead, how many epochs to write ahead of the training")
    if TRAIN not in config.corpus:
        raise UsageError(f"--follow needs a corpus named train: [corpus.train]{nearly_train(config.corpus)}")


def follow(config: Config, beam_flags: Sequence[str] = (), fresh: bool = False) -> None:
    """Brings all but the epochs of ``train`` up to date, and writes those as a training consumes them.

    Ends when the training has come to its end. At low priority, so that it slows no training down that runs
    on the same machine.

    Args:
        config: The configuration, with ``epochs_ahead``.
        beam_flags: Beam's own flags.
        fresh: Hash again everything that earlier runs have written, and redo what does not match.

    Raises:
        SeqmillError: Bad input, a run that failed, or nobody trains.
    """
    check_followable(config)
    with suppress(OSError, AttributeError):  # worker processes inherit it
        os.nice(_NICE)
    folder = output_folder.epochs_folder(config.output, TRAIN)
    # Where nothing else is to be done, a training may be reading already.
    if fresh or not is_brought(config):
        preprocess(config, beam_flags, fresh, ahead=-1)
    with (
        reader(config.output, "preprocess --follow"),
        reading_stores(config, "preprocess --follow"),
        only_writer(folder, "preprocess --follow"),
        Engine(beam_flags) as engine,
    ):
        _Follower(config, folder, engine).run()


def is_brought(config: Config) -> bool:
    """Whether ``preprocess`` would find nothing to do but the epochs that are written beside the training."""
    if config.store is not None:
        check_shared_stores(config)
    elif not is_ingested(scan(config)):
        return False
    with reader(config.output, "preprocess --follow"), reading_stores(config, "preprocess --follow"):
        return is_up_to_date(config, ahead=-1)


class _Follower:
    """Writes epochs until the training is over."""

    def __init__(self, config: Config, folder: str, engine: Engine):
        self._config, self._folder, self._engine = config, folder, engine
        self._corpus = manifest.read(folder)
        self._store = Store(output_folder.store_folder(config.store_output, TRAIN))
        self._schedule = planned_as_there(folder, self._store, config.schedule_of(TRAIN)).schedule
        self._training = _Training(config, folder)
        self._poll_seconds = _POLL_SECONDS if files.is_local(folder) else _POLL_SECONDS_REMOTE

    def run(self) -> None:
        clear_leftovers(self._folder)
        self._remove_damaged()
        saying = Saying(self._folder, Writing("looking what is there"))
        try:
            while (needed := self._training.needs()) is not None:
                remove_epochs_but(self._folder, needed.to_keep)
                missing = [number for number in needed.to_write if not self._is_there(number)]
                if missing:
                    saying.say(doing=f"writing epoch {missing[0]}")
                    self._write(missing[0])
                else:
                    saying.say(doing=f"epochs {ranges(sorted(needed.to_keep)) or 'none'} are there")
                    time.sleep(self._poll_seconds)
            remove_epochs_but(self._folder, ())
            console.say(f"preprocess {TRAIN}: the training is over; its epochs are deleted")
        finally:
            saying.close(remove=True)

    def _remove_damaged(self) -> None:
        whole, _ = whole_epochs(self._folder, self._corpus)
        for epoch in self._corpus.epochs:
            if epoch.epoch not in whole:
                files.remove(output_folder.epoch_manifest_path(self._folder, epoch.epoch))

    def _is_there(self, number: int) -> bool:
        return epoch_manifest.is_complete(self._folder, self._corpus, self._corpus.by_number[number])

    def _write(self, number: int) -> None:
        selections = Selections(self._store.order, self._schedule)
        work = plan_again(self._folder, self._store, selections, self._corpus, [number])
        check_space(self._folder, work.num_bytes)
        clear_epochs(work)
        todo = Todo(self._store, self._schedule, work)
        write_epochs([todo], self._engine, self._config.exchange, f"epoch {number} of")


class _Training:
    """What the training needs; where there is none, what one would that goes on from its last checkpoint."""

    def __init__(self, config: Config, folder: str):
        self._config = config
        self._hearing: Hearing[Consumed] = Hearing(folder, Consumed)
        self._hearing.hear()
        self._said_before = self._hearing.last  # perhaps by a training that is long over
        self._alone_since: float | None = None
        self._needed_then: Needed | None = None

    def needs(self) -> Needed | None:
        """The epochs that must be there; None once the training is over.

        Raises:
            SeqmillError: There has been no training for an hour.
        """
        said, last = self._hearing.hear(), self._hearing.last
        if last is not None and last.is_over and last != self._said_before:
            return None
        if said is None or said.is_over:
            return self._alone()
        self._alone_since = None
        return needed_by(self._config, said.epoch, said.done)

    def _alone(self) -> Needed:
        now = time.monotonic()
        if self._alone_since is None or self._needed_then is None:
            done = epochs_done(self._config)
            self._alone_since, self._needed_then = now, needed_by(self._config, done + 1, done)
            console.say(f"preprocess {TRAIN}: no training is at work yet, or any more (`seqmill train`)")
        if now - self._alone_since > _SECONDS_ALONE:
            raise SeqmillError(
                f"{self._config.output}: no training for {_SECONDS_ALONE / 60:.0f} minutes; "
                "`seqmill preprocess --follow` goes on"
            )
        return self._needed_then
