"""A stream: a folder of windows, each a corpus of one epoch that appears whole, once, in order of time.

epochs/<corpus>/  stream.json                      what all windows have in common
                  20261126T083000.000Z-00000/      a window, by its end and pane: like any corpus' folder
                  20261126T083000.000Z-00001/      late data of the same window
                  20261126T082900.000Z-00000.consumed   a window that was trained on and removed
                  .tmp-…                           a window that is being made or removed
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.spec_differences import differences
from seqmill.transforms.storage import files, output_folder, remote_files
from seqmill.transforms.storage.checked_files import Checksum
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.fingerprint import fingerprint
from seqmill.transforms.storage.manifest_file import read_sealed, write_sealed
from seqmill.transforms.storage.temporaries import SECONDS_LEFT, temporary_beside
from seqmill.transforms.store.counts import Counts

FORMAT = "seqmill.stream/1"
MOST_CONSUMED = 10_000  # remembered in the folder; a training remembers those that it trained on by itself

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{5,}")
_CONSUMED = ".consumed"
_IDENTITY = "identity.txt"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # of the year 9999, behind which no name sorts by time


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Stream:
    """``stream.json``: what all windows of a stream have in common.

    Attributes:
        corpus: Its name.
        options: By which windows are planned, as they were resolved.
        data_keys: What the arrays are like.
        vocabs: The vocabularies (and statistics of frames) that every window has a copy of, by name.
    """

    corpus: str
    options: Mapping[str, Any]
    data_keys: Mapping[str, ArraySpec]
    vocabs: Mapping[str, Checksum]
    format: str = FORMAT

    @property
    def manifest(self) -> Manifest:
        """As the manifest of a corpus of which no epoch is there yet."""
        return Manifest(
            format=manifest.FORMAT,
            fingerprint=fingerprint(self.corpus, self.options, self.data_keys, self.vocabs),
            corpus=self.corpus,
            options=self.options,
            data_keys=self.data_keys,
            counts=Counts(0, 0, {}, {}, {}),
            epochs=(),
            others=self.vocabs,
        )


_ADAPTER = TypeAdapter(Stream)


def stream_of(window: Manifest) -> Stream:
    """What a window has in common with the others of its stream."""
    names = {name for spec in window.data_keys.values() for name in spec.files}
    vocabs = {name: checksum for name, checksum in window.others.items() if name in names}
    return Stream(window.corpus, window.options, window.data_keys, vocabs)


def is_stream(folder: str) -> bool:
    """Whether a folder of epochs is that of a stream."""
    return files.exists(output_folder.stream_path(folder))


def read_stream(folder: str) -> Stream:
    """What ``stream.json`` says. Raises SeqmillError where there is none, or it is not valid."""
    hint = "no stream of windows (`seqmill preprocess --watch` makes one)"
    stream: Stream = read_sealed(output_folder.stream_path(folder), _ADAPTER, FORMAT, hint)
    return stream


def begin_stream(folder: str, stream: Stream) -> None:
    """Makes a folder a stream's, or checks that it is; other options are those of windows to come.

    Raises:
        UsageError: It holds the epochs of a corpus, or windows of other data.
    """
    if files.exists(output_folder.manifest_path(folder)):
        raise UsageError(
            f"{folder}: holds the epochs of a corpus, and windows of a stream need a folder of their own; "
            "choose another output"
        )
    if is_stream(folder):
        there = read_stream(folder)
        if there == stream:
            return
        check_same_data(folder, there, stream)
    write_sealed(output_folder.stream_path(folder), _ADAPTER, stream)


def check_same_data(folder: str, there: Stream, stream: Stream) -> None:
    """Raises UsageError where arrays or labels of a stream are others than those of the one in a folder."""
    for what in ("corpus", "data_keys", "vocabs"):
        was, now = getattr(there, what), getattr(stream, what)
        if was != now:
            change = f"corpus is {was!r}, not {now!r}" if what == "corpus" else _first_difference(was, now)
            raise UsageError(
                f"{folder}: holds windows of other data ({change}): a training could not go on with them; "
                "choose another output"
            )


def window_name(end_ms: int, pane: int = 0) -> str:
    """The folder of a window.

    Args:
        end_ms: When it ends, in milliseconds since 1970; what has no end is put into the year 9999.
        pane: Which of its panes, from 0.

    >>> window_name(1_795_681_800_000), window_name(1_795_681_800_250, 3)
    ('20261126T083000.000Z-00000', '20261126T083000.250Z-00003')
    """
    end = _EPOCH + timedelta(milliseconds=min(max(end_ms, 0), _LAST_MS))
    return f"{end:%Y%m%dT%H%M%S}.{end.microsecond // 1000:03d}Z-{pane:05d}"


def end_of(name: str) -> int:
    """When the window of a name ends, in milliseconds since 1970.

    >>> end_of("20261126T083000.250Z-00003")
    1795681800250
    """
    end = datetime.strptime(name.partition("Z")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    return (end - _EPOCH) // timedelta(milliseconds=1)


def windows(folder: str) -> list[str]:
    """Names of the windows that are there, in order of time."""
    return [*windows_but((), folder)]


def windows_but(known: Collection[str], folder: str) -> Iterator[str]:
    """Names of the windows that are there but for some, in order of time.

    In an object store one listing tells their names. Whether a window is whole is asked one by one, as far as
    the iterator is followed.
    """
    names = files.list_names(folder)
    consumed = {name.removesuffix(_CONSUMED) for name in names if name.endswith(_CONSUMED)}
    for name in names:
        if _NAME.fullmatch(name) and name not in consumed and name not in known:
            path = output_folder.manifest_path(files.join(folder, name))
            if files.is_local(folder) or files.exists(path):
                yield name


def is_there(folder: str, name: str) -> bool:
    """Whether a window is there, and not yet consumed."""
    path = files.join(folder, name)
    return not files.exists(path + _CONSUMED) and files.exists(output_folder.manifest_path(path))


def is_published(folder: str, name: str) -> bool:
    """Whether a window is there, or was, and has been consumed."""
    path = files.join(folder, name)
    return files.exists(path + _CONSUMED) or files.exists(output_folder.manifest_path(path))


def temporary_window(folder: str, name: str) -> str:
    """Where to make a window before it is published; removed if this process dies."""
    files.make_folder(folder)
    if files.is_local(folder):
        return str(temporary_beside(Path(folder, name)))
    return files.join(folder, temporary_beside(Path(name)).name)


def publish(made: str, folder: str, name: str, identity: str = "") -> bool:
    """Lets a window appear, whole, unless it has before, or another is about to under its name.

    Args:
        made: The corpus' folder, complete; on the same file system. It is gone afterwards.
        folder: That of the stream.
        name: The window's.
        identity: As for ``tidy_window``.

    Returns:
        Whether it is this one that appeared.
    """
    target = files.join(folder, name)
    if is_published(folder, name):
        files.remove(made)
        return False
    if not files.is_local(folder):
        is_ours = not identity or _claim(target, identity)
        if is_ours:
            _copy_manifest_last(made, target)
        files.remove(made)
        if not is_ours:
            return False
    else:
        try:
            files.rename_folder(made, target)
        except FileExistsError:  # by another attempt, meanwhile
            files.remove(made)
            return False
    if files.exists(target + _CONSUMED):  # another's has come and gone meanwhile
        files.remove(target)
        return False
    return True


def consume(folder: str, name: str) -> None:
    """Removes a window, and remembers that it was there."""
    with files.write_atomically(files.join(folder, name + _CONSUMED)) as file:
        file.write(identity_of(folder, name).encode())
    _remove(folder, name)


def tidy_window(made: str, store_folder: str, identity: str = "") -> None:
    """Leaves in a window that is made what its readers need, and what was rejected of its store.

    Args:
        made: The corpus' folder, complete.
        store_folder: That of the store it was made from.
        identity: Tells this window from others that may be given the same name (``identity_of``).
    """
    rejected = output_folder.rejected_path(store_folder, output_folder.INGEST)
    if files.exists(rejected):
        files.link(rejected, output_folder.rejected_path(made, output_folder.INGEST))
    for folder in (made, output_folder.epoch_folder(made, 1)):
        files.remove(output_folder.receipts_folder(folder))
    if identity:
        with files.write_atomically(files.join(made, _IDENTITY)) as file:
            file.write(identity.encode())


def identity_of(folder: str, name: str) -> str:
    """What ``tidy_window`` was given for a window that is there, or was; "" where nothing."""
    consumed = files.join(folder, name + _CONSUMED)  # what it says holds, whatever is still being removed
    for path in (consumed, files.join(folder, name, _IDENTITY), consumed):
        with suppress(FileNotFoundError):  # the window may be consumed meanwhile
            return files.read_bytes(path).decode()
    return ""


def clear_stream(folder: str) -> None:
    """Removes what killed processes have left: windows half made or half removed, and the oldest memories."""
    files.remove_temporary_folders(folder)
    names = files.list_names(folder)
    there, consumed = {*names}, [name for name in names if name.endswith(_CONSUMED)]
    for name in consumed:
        if (window := name.removesuffix(_CONSUMED)) in there:
            _remove(folder, window)
    for name in consumed[:-MOST_CONSUMED]:
        files.remove(files.join(folder, name))


def remove_abandoned(folder: str, seconds: float = SECONDS_LEFT) -> None:
    """Removes windows of which a worker that is gone has copied a part to an object store, by one listing.

    Nothing of them has changed for a day. Their names are given up first: who was only slow finds that out
    before its window counts as published, and takes the next name. A window that is whole by then stays.

    Args:
        folder: That of the stream.
        seconds: Without a change, after which nobody goes on.
    """
    if files.is_local(folder):
        return  # there, windows appear by being renamed
    changes: dict[str, dict[str, float]] = {}
    for path, moment in files.last_changes(folder).items():
        name, _, inner = path.removeprefix(f"{folder.rstrip('/')}/").partition("/")
        if inner and _NAME.fullmatch(name):
            changes.setdefault(name, {})[path] = moment
    for name, moments in changes.items():
        path = files.join(folder, name)
        is_whole = output_folder.manifest_path(path) in moments
        if is_whole or time.time() - max(moments.values()) < seconds or is_published(folder, name):
            continue
        with files.write_atomically(path + _CONSUMED) as file:
            file.write(b"")
        if files.exists(output_folder.manifest_path(path)):
            files.remove_file(path + _CONSUMED)
        else:
            files.remove(path)


def _remove(folder: str, name: str) -> None:
    path = files.join(folder, name)
    if not files.is_local(folder):
        files.remove(output_folder.manifest_path(path))
        files.remove(path)
        return
    aside = temporary_window(folder, name)
    with suppress(FileNotFoundError):
        files.rename_folder(path, aside)
    files.remove(aside)


def _claim(target: str, identity: str) -> bool:
    """Whether nobody else is about to publish a window there: two would be mixed.

    Who was killed at it is taken for one who is about to, for a day (``remove_abandoned``).
    """
    path = files.join(target, _IDENTITY)
    try:
        remote_files.create(path, identity.encode())
    except FileExistsError:
        return files.read_bytes(path).decode() == identity
    return True


def _copy_manifest_last(source: str, target: str) -> None:
    for path in sorted(
        files.last_changes(source), key=lambda path: path == output_folder.manifest_path(source)
    ):
        files.link(path, target + path.removeprefix(source))


def _first_difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    name = next(name for name in sorted({*was, *now}) if was.get(name) != now.get(name))
    found, expected = was.get(name), now.get(name)
    if isinstance(found, ArraySpec) and isinstance(expected, ArraySpec):
        return f"of {name}, {differences(found, expected)}"
    return f"{name} has changed"
