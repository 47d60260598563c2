"""The epochs of a corpus that are gathered from its store, each planned while the one before is read."""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable
from concurrent.futures import Future

from seqmill.transforms.batches.layout import is_planned_from
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.planning.plan import EpochOptions, EpochPlan, plan_epoch
from seqmill.transforms.planning.selections import Selections
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.checked_files import file_version
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.store.sequence_store import Store

_MOST_OPEN = 16

_opened: dict[Hashable, StoreEpochs] = {}
_lock = threading.Lock()


class StoreEpochs:
    """Plans epochs as ``seqmill preprocess`` does, from the same store and options.

    Args:
        folder: The corpus' folder of epochs, for messages.
        manifest: What its manifest says.
        store_folder: The store.

    Attributes:
        store: The store.
        manifest: What the manifest of the epochs says.

    Raises:
        SeqmillError: The store is missing, or another than the epochs were planned from.
    """

    def __init__(self, folder: str, manifest: Manifest, store_folder: str):
        self.store = Store(store_folder)
        self.manifest = manifest
        self._folder = folder
        self._selections = Selections(self.store.order, manifest.schedule)
        self._plans: dict[int, Future[EpochPlan]] = {}
        self._lock = threading.Lock()
        self._is_compared = False
        if not is_planned_from(manifest, self.store):
            raise SeqmillError(
                f"{folder}: not planned from what {store_folder} holds now: the store has changed since "
                "(ingest ran again), or seqmill plans otherwise; run `seqmill preprocess` or `seqmill run`"
            )

    def options(self, epoch: int) -> EpochOptions:
        """The options of an epoch."""
        return self.manifest.schedule.at(epoch)

    def plan(self, epoch: int) -> EpochPlan:
        """The plan of an epoch, while that of the next one (the first, after the last) is made beside it.

        Raises:
            SeqmillError: A file of the store is not what its manifest says, or the plan is another than the
                manifest of the epochs has.
        """
        numbers = [entry.epoch for entry in self.manifest.epochs]
        following = numbers[(numbers.index(epoch) + 1) % len(numbers)]
        with self._lock:
            self._compare()
            for passed in [planned for planned in self._plans if planned not in (epoch, following)]:
                del self._plans[passed]
            for wanted in (epoch, following):
                if wanted not in self._plans:
                    self._plans[wanted] = self._begin(wanted)
            future = self._plans[epoch]
        return future.result()

    def _compare(self) -> None:
        """Compares the store's files with their hashes, once a run; remote ones are when they are fetched."""
        if not self._is_compared:
            self.store.compare_files()
        self._is_compared = True

    def _begin(self, epoch: int) -> Future[EpochPlan]:
        planned: Future[EpochPlan] = Future()

        def work() -> None:
            try:
                planned.set_result(self._planned(epoch))
            except BaseException as error:  # for whoever waits
                planned.set_exception(error)

        threading.Thread(target=work, name=f"seqmill-plan-{epoch}", daemon=True).start()
        return planned

    def _planned(self, epoch: int) -> EpochPlan:
        plan = plan_epoch(self._selections.at(epoch), self.options(epoch), epoch)
        expected = self.manifest.by_number[epoch]
        found = (plan.num_batches, plan.num_seqs, plan.num_frames, plan.padded_frames)
        if found != (
            expected.num_batches,
            expected.num_seqs,
            dict(expected.num_frames),
            dict(expected.padded_frames),
        ):
            raise SeqmillError(
                f"{self._folder}: epoch {epoch}: its plan is another than the manifest has: {found[0]:,} "
                f"batches of {found[1]:,} sequences, not {expected.num_batches:,} of {expected.num_seqs:,}; "
                "run `seqmill preprocess` or `seqmill run`"
            )
        return plan


def store_epochs(folder: str, manifest: Manifest, store_folder: str) -> StoreEpochs:
    """What ``StoreEpochs`` makes of the same arguments, opened once a process; raises as it."""
    version = file_version(output_folder.manifest_path(store_folder))
    # Threads do not come along into a forked process, so what they make is its own.
    identity = (folder, manifest.fingerprint, store_folder, version, os.getpid())
    with _lock:
        if identity not in _opened:
            for oldest in list(_opened)[: len(_opened) - _MOST_OPEN + 1]:
                del _opened[oldest]
            _opened[identity] = StoreEpochs(folder, manifest, store_folder)
        return _opened[identity]
