"""``seqmill init``: finds corpora, guesses what they hold, and writes a configuration that runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import orjson

from seqmill.pipelines.config import load_config
from seqmill.pipelines.init.corpora import Corpora, choose_sources
from seqmill.pipelines.init.find_sources import LOOKED_FOR, Found, find_sources
from seqmill.pipelines.init.guess_options import Setup, guess_options, is_output_name
from seqmill.pipelines.init.new_files import check_free, write
from seqmill.pipelines.init.recordings import Manifests, choose_recordings
from seqmill.pipelines.init.sample_records import MOST_RECORDS, sample_of
from seqmill.pipelines.init.starter_model import MODEL_FILE, starter_text
from seqmill.pipelines.init.text_files import choose_texts
from seqmill.pipelines.init.write_config import comment, config_text
from seqmill.pipelines.input_files import find_inputs
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.output_folder import is_own

_MOST_NAMED = 3


def init(paths: Sequence[str], output: str, force: bool, with_model: bool) -> None:
    """Writes a configuration for what is found, and prints what was guessed and why.

    Args:
        paths: Files and folders to look at.
        output: Where to write the configuration; manifests that it needs are written beside it.
        force: Whether to overwrite; never a model file.
        with_model: Whether to write a starter model file too.

    Raises:
        UsageError: A path is not there, or a file would be overwritten.
        SeqmillError: Nothing is recognised, or nothing in it is usable.
    """
    folder = files.parent(output)
    manifests = {name: f"{_stem(output)}.{name}.jsonl" for name in ("train", "dev", "test")}
    check_free(output, force)
    found = find_sources(paths, _is_own(folder, [files.name(output), *manifests.values()]))
    recordings = choose_recordings(found)
    if recordings is not None and (recordings.has_transcripts or not found.sources):
        setup = _of_recordings(recordings, found, manifests, output, force, with_model)
    else:
        recordings = None
        corpora = choose_sources(found) or choose_texts(found)
        if corpora is None:
            met = "".join(f" ({line})" for line in islice(_left_out(found), 1))
            raise SeqmillError(f"{', '.join(paths)}: nothing here is a corpus{met}; looked for {LOOKED_FOR}")
        setup = guess_options(corpora, [path for path in paths if files.is_folder(path)], output, with_model)
    for name, records in recordings.records.items() if recordings is not None else ():
        lines = b"".join(orjson.dumps(record) + b"\n" for record in records)
        write(files.join(folder, manifests[name]), lines)
    model = files.join(folder, MODEL_FILE)
    if setup.starter is not None and files.exists(model):
        setup.guesses.append(f"{model} is there already and is kept{_if_other(model, setup.starter)}")
    elif setup.starter is not None:
        write(model, starter_text(setup.starter).encode())
    write(output, config_text(setup.tables).encode())
    for line in [*setup.guesses, *_left_out(found)]:
        print(comment(line))
    find_inputs(load_config(output))
    print(comment(f"wrote {output}; look at it, then: seqmill plan {output}"))
    if setup.starter is not None:
        print(comment(f"train: seqmill run {output}"))


def _if_other(model: str, starter: str) -> str:
    if files.read_bytes(model) == starter_text(starter).encode():
        return ""
    return ", though it is not the starter model for this corpus; --output in another folder writes that"


def _is_own(folder: str, names: Sequence[str]) -> Callable[[str], bool]:
    """Tells paths that this command, or runs of configurations that it wrote here, write from others."""
    outputs = [_real(files.join(folder, name)) for name in files.list_names(folder) if is_output_name(name)]
    written = {_real(files.join(folder, name)) for name in names}
    return lambda path: _real(path) in written or any(is_own(output, _real(path)) for output in outputs)


def _real(path: str) -> str:
    return os.path.realpath(path) if files.is_local(path) else path


def _of_recordings(
    recordings: Manifests,
    found: Found,
    manifests: dict[str, str],
    config: str,
    force: bool,
    with_model: bool,
) -> Setup:
    """The setup for recordings, which become records of manifests beside the configuration."""
    folder = files.parent(config)
    for name in recordings.records:
        check_free(files.join(folder, manifests[name]), force)
    for path in recordings.without:
        found.leave_out(path, "no transcript, or one in brackets, which says what is heard and not said")
    for format in found.sources:
        for path in found.sources[format]:
            found.leave_out(path, f"of format {format}, beside recordings; give its name alone to use it")
    train = recordings.records["train"]
    paths = {name: [files.join(folder, manifests[name])] for name in recordings.records}
    corpora = Corpora("jsonl", paths, recordings.why, audio_root=recordings.root)
    sample = sample_of("jsonl", folder, train[:MOST_RECORDS])
    setup = guess_options(corpora, (), config, with_model, sample, len(train))
    numbers = ", ".join(f"{len(some):,} in {manifests[name]}" for name, some in recordings.records.items())
    setup.guesses[:0] = [
        *recordings.guesses,
        f"no format is like this, so that manifests are written: {numbers}",
    ]
    return setup


def _left_out(found: Found) -> Iterator[str]:
    for reason, paths in found.left_out.items():
        more = f" and {len(paths) - _MOST_NAMED:,} more" if len(paths) > _MOST_NAMED else ""
        yield f"left out: {', '.join(paths[:_MOST_NAMED])}{more}: {reason}"


def _stem(path: str) -> str:
    return files.name(path).removesuffix(".toml")
