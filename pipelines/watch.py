"""``seqmill preprocess --watch``: files that arrive become windows of a stream."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from seqmill.pipelines import console
from seqmill.pipelines.arrivals import Arrivals
from seqmill.pipelines.engine import Engine
from seqmill.pipelines.follow import is_brought
from seqmill.pipelines.ingest import ingest_scanned
from seqmill.pipelines.options import TRAIN, Config
from seqmill.pipelines.preprocess import bring_epochs, preprocess
from seqmill.pipelines.scan import scan
from seqmill.pipelines.taken_files import Taken, TakenFiles
from seqmill.pipelines.window_config import check_watchable, others_config, window_config
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.beside import Saying, Writing
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.batches.stream import (
    begin_stream,
    check_same_data,
    clear_stream,
    is_stream,
    publish,
    read_stream,
    stream_of,
    tidy_window,
)
from seqmill.transforms.features.given_norm import read_norms
from seqmill.transforms.features.norm import write_norm
from seqmill.transforms.features.spec_differences import asked_otherwise
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.checked_files import checksum
from seqmill.transforms.storage.content_hash import ContentHashes
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.locks import only_writer, reader
from seqmill.transforms.storage.ranges import counted
from seqmill.transforms.store.sequence_store import Store

_NICE = 10
_DOING = "preprocess --watch"


def watch(config: Config, beam_flags: Sequence[str] = ()) -> None:
    """Brings all corpora but ``train`` up to date, and makes windows of its files as they arrive.

    Ends when it is ended, at any moment, or with ``windows.idle``. At low priority, so that it slows no
    training down that runs on the same machine.

    Args:
        config: The configuration.
        beam_flags: Beam's own flags.

    Raises:
        SeqmillError: The output holds something else, or a file is damaged where ``windows.damaged`` ends it.
    """
    check_watchable(config)
    with suppress(OSError, AttributeError):  # worker processes inherit it
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    folder = output_folder.epochs_folder(config.output, TRAIN)
    others = others_config(config)
    # Where nothing is to be done for the others, a training may be reading them already.
    if others is not None and not is_brought(others):
        preprocess(others, beam_flags)
    with (
        reader(config.output, _DOING),
        only_writer(folder, _DOING),
        Engine(beam_flags) as engine,
    ):
        _Watch(config, folder, engine).run()


class _Watch:
    """Makes windows until there is an end to it."""

    def __init__(self, config: Config, folder: str, engine: Engine):
        own = output_folder.watch_folder(config.output)
        self._config, self._options, self._folder, self._engine = config, config.windows, folder, engine
        self._taken = TakenFiles(output_folder.arrivals_path(own), folder)
        self._made_in = files.join(own, "window")
        patterns = config.corpus[TRAIN].files
        assert not isinstance(patterns, dict)
        self._arrivals = Arrivals(
            tuple(patterns), config.output, self._options.settle, self._taken, console.say
        )
        self._waiting: dict[str, Taken] = {}  # files that wait for more sequences
        self._waiting_since = 0.0

    def run(self) -> None:
        clear_stream(self._folder)
        if self._taken.unpublished and not files.is_local(self._folder):  # perhaps copied in part
            files.remove(files.join(self._folder, self._taken.unpublished))
        files.remove(self._made_in)
        for folder in (self._folder, files.parent(self._made_in)):
            files.remove_temporaries(folder)
        self._delete(self._taken.last)
        self._check_files_of_keys()
        newest = time.monotonic()
        saying = Saying(self._folder, Writing("looking for files"))
        try:
            while True:
                found = _up_to(self._arrivals.look(), self._options.max_bytes)
                now = time.monotonic()
                if found.keys() - self._waiting.keys():
                    newest = now
                if found and (found != self._waiting or self._has_waited()):
                    saying.say(doing=f"making a window of {counted(len(found), 'file')}")
                    if self._make(found):
                        continue  # more may be there already
                if self._options.idle is not None and now - newest >= self._options.idle:
                    self._say_idle()
                    return
                waiting = _files_wait(len(found)) if found else "looking for files"
                saying.say(doing=waiting)
                time.sleep(self._options.interval)
        finally:
            saying.close(remove=True)

    def _say_idle(self) -> None:
        wait = f"; {_files_wait(len(self._waiting))}" if self._waiting else ""
        console.say(f"watch: no new file for {self._options.idle:g} s, as windows.idle allows{wait}")

    def _check_files_of_keys(self) -> None:
        """Refuses vocabularies, statistics and processing other than windows were made with."""
        if not is_stream(self._folder):
            return
        stream = read_stream(self._folder)
        vocabs = stream.vocabs
        for key in self._config.data.values():
            spec = stream.data_keys.get(key.name)
            if spec is not None and (unlike := asked_otherwise(spec, key)):
                raise UsageError(
                    f"data.{key.name}: in the windows in {self._folder}, {unlike}; numbers of others would "
                    "mean something else: choose another output"
                )
            if key.vocab is None or key.labels_of != key.name:
                continue
            if vocabs.get(output_folder.vocab_name(key.name)) != checksum(key.vocab):
                raise UsageError(
                    f"data.{key.name}.vocab: {key.vocab} is not what the windows in {self._folder} were made "
                    "with: their numbers would mean other labels; choose another output"
                )
        for name, norm in read_norms(self._config.data.values()).items():
            copy = files.join(output_folder.watch_folder(self._config.output), output_folder.norm_name(name))
            write_norm(copy, norm)
            if vocabs.get(output_folder.norm_name(name)) != checksum(copy):
                raise UsageError(
                    f"data.{name}.normalization: not the statistics that the windows in {self._folder} were "
                    "made with; choose another output"
                )

    def _make(self, found: dict[str, Taken]) -> bool:
        """Makes a window of files; whether that is settled, not put off until there are more sequences."""
        try:
            with console.keeping() as lines:
                made = self._made(found)
        except SeqmillError as error:
            self._without_damaged(found, str(error))
            return True
        if made is None:
            return False
        self._publish(made, found, lines)
        return True

    def _made(self, found: dict[str, Taken], is_wanted: bool = True) -> Manifest | None:
        """The manifest of a window that was made of files; None where it has too few sequences yet.

        Args:
            found: The files.
            is_wanted: Whether more than their sequences is wanted.

        Raises:
            SeqmillError: It cannot be made of them.
        """
        config = window_config(self._config, self._made_in, list(found))
        stream = read_stream(self._folder) if is_stream(self._folder) else None
        scanned = scan(config, None if stream is None else stream.data_keys)
        if any(scanned.hashes.of(path) != one.content for path, one in found.items()):
            raise SeqmillError("it changed while it was read")
        ingest_scanned(scanned, self._engine)
        if not is_wanted:
            return None
        store = Store(output_folder.store_folder(self._made_in, TRAIN))
        if store.num_seqs < self._options.min_seqs and not self._has_waited():
            self._wait(found)
            return None
        bring_epochs(config, self._engine)
        made = manifest.read(output_folder.epochs_folder(self._made_in, TRAIN))
        if stream is not None:
            check_same_data(self._folder, stream, stream_of(made))
        return made

    def _wait(self, found: dict[str, Taken]) -> None:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting = found

    def _has_waited(self) -> bool:
        waited = time.monotonic() - self._waiting_since
        return bool(self._waiting) and waited >= self._options.max_wait

    def _publish(self, window: Manifest, found: dict[str, Taken], lines: Sequence[str]) -> None:
        made = output_folder.epochs_folder(self._made_in, TRAIN)
        tidy_window(made, output_folder.store_folder(self._made_in, TRAIN))
        begin_stream(self._folder, stream_of(window))
        name = self._taken.next_name(time.time_ns() // 1_000_000)
        self._taken.begin(name, found)
        publish(made, self._folder, name)
        self._taken.appeared()
        files.remove(self._made_in)
        self._waiting = {}
        counts, epoch = window.counts, window.epochs[0]
        console.say(
            f"window {name}: {counted(len(found), 'file')}; {counts.read:,} read = {counts.kept:,} kept + "
            f"{sum(counts.dropped.values()):,} dropped + {sum(counts.rejected.values()):,} rejected; "
            f"{counted(epoch.num_batches, 'batch', 'batches')}"
        )
        for line in lines:
            if line.startswith("  "):
                console.say(line)
        self._delete(found)

    def _without_damaged(self, found: dict[str, Taken], error: str) -> None:
        """Refuses those of files of which no window can be made; where each can, they are windows each."""
        self._waiting = {}
        damaged = {path: reason for path, one in found.items() if (reason := self._what_is_wrong(path, one))}
        if len(found) == 1:
            damaged = damaged or dict.fromkeys(found, error)
        for path, reason in damaged.items():
            if self._options.damaged == "end":
                raise SeqmillError(f"{path}: {reason}")
            self._arrivals.refuse(path, reason)
        files.remove(self._made_in)
        if damaged:
            return  # the next look finds the others
        for path, one in found.items():
            self._make({path: one})

    def _what_is_wrong(self, path: str, one: Taken) -> str:
        """Why no store can be made of a file, or nothing."""
        files.remove(self._made_in)
        try:
            with console.keeping():
                self._made({path: one}, is_wanted=False)
        except SeqmillError as error:
            return str(error)
        return ""

    def _delete(self, taken: dict[str, Taken]) -> None:
        """Deletes files whose window is there, where that is asked for; never what has changed since."""
        if self._options.taken == "delete":
            for path, one in taken.items():
                with suppress(SeqmillError, FileNotFoundError):
                    if ContentHashes().of(path) == one.content:
                        files.remove(path)


def _files_wait(number: int) -> str:
    return f"{counted(number, 'file waits', 'files wait')} for more sequences"


def _up_to(found: dict[str, Taken], max_bytes: int) -> dict[str, Taken]:
    """As many of the first files as have so many bytes, but one at least."""
    chosen: dict[str, Taken] = {}
    room = max_bytes
    for path, one in found.items():
        room -= one.bytes
        if chosen and room < 0:
            break
        chosen[path] = one
    return chosen
