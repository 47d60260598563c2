"""What is there of a corpus' epochs before ``seqmill preprocess`` writes, and if it is what is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from seqmill.pipelines import console
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.begin_epochs import whole_epochs
from seqmill.transforms.batches.described_options import describe
from seqmill.transforms.batches.layout import corpus_fingerprint
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import damaged
from seqmill.transforms.storage.manifest_file import UnusableManifestError
from seqmill.transforms.store.sequence_store import Store


@dataclass(frozen=True)
class EpochsThere:
    """What is there.

    Attributes:
        manifest: Of the corpus; None where there is none that can be used.
        is_asked_for: Whether it plans what is to be written now.
        whole: The planned epochs of which every file is right; None where they were not looked at.
        is_complete: Whether all epochs are whole, and the files that they have in common.
    """

    manifest: Manifest | None
    is_asked_for: bool
    whole: frozenset[int] | None
    is_complete: bool


def epochs_there(
    folder: str, store: Store, options: EpochOptions, fresh: bool, shards: bool = True
) -> EpochsThere:
    """Looks at a corpus' folder of epochs, and says what is damaged or has changed.

    Args:
        folder: The folder.
        store: The corpus' store.
        options: What is asked for.
        fresh: Hash again what earlier runs have written.
        shards: Look for those; without, what all epochs have in common is complete.
    """
    was = _manifest(folder)
    if was is None:
        return EpochsThere(None, False, None, False)
    if not _is_of(was, store, options):
        console.say(f"preprocess {store.manifest.corpus}: {_what_changed(was, options)}")
        return EpochsThere(was, False, None, False)
    whole, wrong = whole_epochs(folder, was, fresh) if shards else (None, [])
    wrong += [f"{p}: missing, or not what was written" for p in damaged(folder, was.others, fresh)]
    for what in wrong:
        console.say(f"{what}; it is made again")
    is_complete = not wrong and (whole is None or len(whole) == len(was.epochs))
    return EpochsThere(was, True, whole, is_complete)


def _manifest(folder: str) -> Manifest | None:
    if not files.exists(output_folder.manifest_path(folder)):
        return None
    try:
        return manifest.read(folder)
    except UnusableManifestError as error:
        console.say(f"{error}; it is made again")
        return None


def _is_of(was: Manifest, store: Store, options: EpochOptions) -> bool:
    """Whether epochs are those that a store and options make, and say so."""
    return (
        was.fingerprint == corpus_fingerprint(store, options)
        and (was.corpus, was.options) == (store.manifest.corpus, describe(options))
        and was.data_keys == store.data_keys
        and was.counts.read == store.manifest.counts.read
        and [epoch.epoch for epoch in was.epochs] == [*range(1, options.num_epochs + 1)]
    )


def _what_changed(was: Manifest, options: EpochOptions) -> str:
    """Why the epochs that are there are not those asked for, and which of them go."""
    changed = [
        f"{name} was {_shown(was.options.get(name))}, is {_shown(value)}"
        for name, value in describe(options).items()
        if was.options.get(name) != value
    ]
    text = "; ".join(changed) or "its data or what makes epochs of them has changed"
    first, last = options.num_epochs + 1, len(was.epochs)
    if first <= last:
        text += f"; deletes epoch {last}" if first == last else f"; deletes epochs {first} to {last}"
    return text


def _shown(value: object) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {_shown(limit)}" for key, limit in value.items())
        return f"{{ {inside} }}" if inside else "none"
    return "none" if value is None else str(value)
