"""What is there of a corpus' epochs before ``seqmill preprocess`` writes, and if it is what is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from seqmill.pipelines import console
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.begin_epochs import whole_epochs
from seqmill.transforms.batches.described_options import as_asked, describe, show_option
from seqmill.transforms.batches.layout import corpus_fingerprint
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.planning.ahead import Needed
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage.checked_files import damaged
from seqmill.transforms.storage.manifest_file import NoManifestError, UnusableManifestError
from seqmill.transforms.storage.ranges import numbered
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class EpochsThere:
    """What is there.

    Attributes:
        manifest: Of the corpus; None where there is none that can be used.
        is_asked_for: Whether it plans what is to be written now.
        whole: The planned epochs of which every file is right; None where they were not looked at.
        is_usable: Whether the manifest, and the files that the epochs have in common, are as asked for.
        is_complete: Whether that is so, and the epochs to be written are whole.
    """

    manifest: Manifest | None
    is_asked_for: bool
    whole: frozenset[int] | None
    is_usable: bool
    is_complete: bool


def epochs_there(
    folder: str, store: Store, schedule: Schedule, fresh: bool, needed: Needed | None = None
) -> EpochsThere:
    """Looks at a corpus' folder of epochs, and says what is damaged or has changed.

    Args:
        folder: The folder.
        store: The corpus' store.
        schedule: What is asked for.
        fresh: Hash again what earlier runs have written.
        needed: The epochs that must be there; by default all.
    """
    was = _manifest(folder)
    if was is None:
        return EpochsThere(None, False, None, False, False)
    if not _is_of(was, store, schedule):
        console.say(f"preprocess {store.manifest.corpus}: {_what_changed(was, schedule)}")
        return EpochsThere(was, False, None, False, False)
    wanted = {epoch.epoch for epoch in was.epochs} if needed is None else {*needed.to_write}
    whole, wrong = whole_epochs(folder, was, fresh) if wanted else (None, [])
    wrong_others = damaged(folder, was.others, fresh)
    for what in [*wrong, *(f"{path}: missing, or not what was written" for path in wrong_others)]:
        console.say(f"{what}; it is made again")
    is_complete = not wrong_others and wanted <= (whole or frozenset())
    return EpochsThere(was, True, whole, not wrong_others, is_complete)


def _manifest(folder: str) -> Manifest | None:
    try:
        return manifest.read(folder)
    except NoManifestError:
        return None
    except UnusableManifestError as error:
        console.say(f"{error}; it is made again")
        return None


def _is_of(was: Manifest, store: Store, schedule: Schedule) -> bool:
    """Whether epochs are those that a store and options make, and say so."""
    return (
        was.fingerprint == corpus_fingerprint(store, schedule)
        and (was.corpus, was.options) == (store.manifest.corpus, describe(schedule))
        and was.data_keys == store.data_keys
        and was.counts.read == store.counts.read
        and [epoch.epoch for epoch in was.epochs] == [*schedule.stored_epochs]
    )


def _what_changed(was: Manifest, schedule: Schedule) -> str:
    """Why the epochs that are there are not those asked for, and which of them go."""
    then = as_asked(was.options)
    changed = [
        f"{name} was {show_option(then.get(name))}, is {show_option(value)}"
        for name, value in as_asked(describe(schedule)).items()
        if then.get(name) != value
    ]
    text = "; ".join(changed) or "its data or what makes epochs of them has changed"
    gone = [epoch.epoch for epoch in was.epochs if not schedule.is_stored(epoch.epoch)]
    if gone:
        text += f"; deletes {numbered('epoch', gone)}"
    return text
