"""Stores that another configuration made (``store = FOLDER``), and whether they are those asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from seqmill.pipelines import console
from seqmill.pipelines.ingest_work import StoreWork, store_work
from seqmill.pipelines.input_files import find_inputs
from seqmill.pipelines.options import Config
from seqmill.pipelines.scan import scan
from seqmill.pipelines.sources import joined_into
from seqmill.transforms.features.spec_differences import asked_otherwise, differences
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import reader
from seqmill.transforms.store.named_files import find_changed
from seqmill.transforms.store.sequence_store import StoreManifest, read_manifest


@contextmanager
def reading_stores(config: Config, doing: str) -> Iterator[None]:
    """Keeps others from changing the stores that are shared, if any are; ``doing`` as for ``reader``.

    Raises:
        UsageError: They are those of the output itself.
    """
    if config.store is not None and config.store.rstrip("/") == config.output.rstrip("/"):
        raise UsageError(f"store: {config.store} is output itself; leave store out to ingest into it")
    with nullcontext() if config.store is None else reader(config.store, doing):
        yield


def check_shared_stores(config: Config) -> None:
    """Compares the stores of ``config.store`` with what the configuration would ingest.

    Where its input files are not all here, only the data keys are compared, which is said.

    Raises:
        UsageError: There is no such store, or it is of other data keys, input or options.
    """
    assert config.store is not None
    manifests = {name: _read(config, name) for name in config.corpus}
    for name, manifest in manifests.items():
        for problem in _other_keys(config, manifest):
            raise _unfit(config, name, problem)
    try:
        find_inputs(config)
    except UsageError as error:
        console.say(f"{error}\n  so the stores in {config.store} are taken as they are")
        return
    scanned = scan(config)
    for name, manifest in manifests.items():
        try:
            work = store_work(scanned, name)
        except UsageError:
            raise
        except SeqmillError as error:  # of files that only that configuration writes
            raise SeqmillError(f"{error}; ingest again with the configuration of {config.store}") from None
        if difference := _difference(manifest, work):
            raise _unfit(config, name, difference)
        for source in (name, *joined_into(scanned.sources, name)):
            work = store_work(scanned, source)
            if changed := find_changed(work.folder, work.tasks, scanned.hashes):
                raise _unfit(config, name, f"files that {changed[0].split.source} names have changed since")
    console.say(f"ingest: the stores in {config.store} are used, which fit")


def _read(config: Config, name: str) -> StoreManifest:
    folder = output_folder.store_folder(str(config.store), name)
    if not files.exists(output_folder.manifest_path(folder)):
        there = files.list_names(output_folder.all_stores_folder(str(config.store)))
        found = f"it holds stores of {', '.join(there)}" if there else "it holds no stores"
        raise UsageError(
            f"store: {config.store}: no store of corpus {name} ({found}); expected the output folder of a "
            "configuration that was ingested"
        )
    return read_manifest(folder)


def _other_keys(config: Config, manifest: StoreManifest) -> Iterator[str]:
    if list(manifest.data_keys) != list(config.data):
        yield f"its data keys are {', '.join(manifest.data_keys)}, not {', '.join(config.data)}"
        return
    for name, key in config.data.items():
        if unlike := asked_otherwise(manifest.data_keys[name], key):
            yield f"of its data key {name}, {unlike}"


def _difference(manifest: StoreManifest, work: StoreWork) -> str | None:
    """In what a store is another than the work would make."""
    if manifest.sources != tuple(dict.fromkeys(work.sources)):
        expected = ", ".join(dict.fromkeys(work.sources))
        return f"it was made from {', '.join(manifest.sources)}, not from {expected}"
    for name, spec in work.specs.items():
        if unlike := differences(manifest.data_keys[name], spec):
            return f"of its data key {name}, {unlike}"
    if manifest.listed != work.listed:
        return "other files are listed several times, or more often"
    if manifest.mixed != work.mixed:
        return "other sources are mixed"
    there = [file.fingerprint for file in manifest.files]
    if there != [task.fingerprint for task in work.tasks]:
        return (
            "its input files held something else, or were read with other options (of data keys, "
            "vocabularies or formats) or by another version of seqmill"
        )
    return None


def _unfit(config: Config, name: str, problem: str) -> UsageError:
    return UsageError(
        f"store: {output_folder.store_folder(str(config.store), name)} is not what corpus.{name} asks for: "
        f"{problem}; ingest again with the configuration of {config.store}, or leave store out"
    )
