"""The options of a configuration: from corpora and a sample of their records to tables with reasons."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from seqmill.pipelines.init.audio_roots import root_finder
from seqmill.pipelines.init.corpora import Corpora
from seqmill.pipelines.init.field_kinds import kinds_of
from seqmill.pipelines.init.guess_keys import Guess, Guesses, guess_keys
from seqmill.pipelines.init.measure import measure, sample_rates
from seqmill.pipelines.init.sample_records import Sample, read_sample
from seqmill.pipelines.init.starter_model import MODEL_FILE, SCORES, choose_starter
from seqmill.pipelines.init.write_config import Line, Table, toml
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

OUTPUT = "work"
_SEQS_PER_BATCH, _FRAMES_PER_BATCH, _MOST_PER_BATCH = 24, 4000, 128
_LEAST_BATCHES = 8  # of an epoch of a small corpus
_STEPS = 2000
_MAX_SEQS = 200
_DEFAULT_BATCH_SIZE = 20_000
_SPEECH_RATE, _TELEPHONE_RATE = 16_000, 8_000
_MOST_UP = 3
_FEW_FILES = 4
_MOST_LEFT_OUT = 20


@dataclass
class Setup:
    """A configuration in the making.

    Attributes:
        tables: What it holds.
        guesses: One line for each thing that was guessed: what, and why.
        starter: The starter model that it names; None for none.
    """

    tables: list[Table] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    starter: str | None = None


def guess_options(
    corpora: Corpora,
    given: Sequence[str],
    folder: str,
    with_model: bool,
    train: Sample | None = None,
    num_seqs: int | None = None,
) -> Setup:
    """What a configuration for some corpora should say.

    Args:
        corpora: The corpora.
        given: Folders that paths in records may start from.
        folder: Folder of the configuration, from which its paths start.
        with_model: Whether it should name a starter model.
        train: The first records of ``train``, where they need not be read.
        num_seqs: Records of ``train``, where that is known.

    Raises:
        SeqmillError: The corpora cannot be read, or hold nothing that is of use.
    """
    sample = train or read_sample(corpora.format, corpora.files["train"], corpora.quoting)
    if not sample.num_records:
        raise SeqmillError(f"{_shown(corpora.files['train'])}: no usable record: {_first(sample.rejected)}")
    root = _Roots(corpora, given)
    guesses = guess_keys(kinds_of(sample, root.finder(sample.folder)), corpora.format)
    setup = Setup()
    setup.guesses.append(f"format {corpora.format}; {corpora.why}")
    for name, paths in corpora.files.items():
        setup.guesses.append(f"corpus {name}: {_shown(paths)}")
    keys = [_DataKey(guess, sample, root) for guess in guesses.keys]
    lines = _global_lines(keys, num_seqs, setup)
    setup.tables.append(Table("", [*lines, *(_model_lines(keys, corpora, setup) if with_model else ())]))
    for key in keys:
        setup.tables.append(Table(f"data.{key.guess.key}", key.lines))
        setup.guesses += key.guesses
    _say_left_out(guesses, setup)
    setup.tables += [
        Table(f"corpus.{name}", _corpus_lines(name, corpora, guesses, root, folder)) for name in corpora.files
    ]
    if len(corpora.files) == 1:
        _say_how_to_hold_out(corpora, guesses, setup)
    if sample.rejected:
        number = len(sample.rejected)
        setup.guesses.append(
            f"warning: {number} of the first {sample.num_records + number} records of train will be "
            f"rejected, the first: {sample.rejected[0]}"
        )
    return setup


@dataclass
class _Roots:
    """Where paths of each corpus start from."""

    corpora: Corpora
    given: Sequence[str]

    def finder(self, folder: str) -> Any:
        if self.corpora.audio_root is not None:
            return lambda names: self.corpora.audio_root
        return root_finder(folder, self.given)

    def of_values(self, folder: str, values: Sequence[Any]) -> str:
        """The folder from which some values start, where they are paths; else that of their file."""
        names = [value.get("path") if isinstance(value, Mapping) else value for value in values[:1]]
        if names and isinstance(names[0], str):
            return self.finder(folder)(names) or folder
        return folder


class _DataKey:
    """A data key's table, and how long its sequences are.

    Attributes:
        guess: What was guessed of it.
        lines: The lines of its table.
        guesses: What is printed of it.
        lengths: Of the sequences of the sample.
    """

    def __init__(self, guess: Guess, sample: Sample, roots: _Roots):
        self.guess = guess
        kind = guess.kind
        values = sample.fields[kind.field]
        root = roots.of_values(sample.folder, values)
        self.lines = [Line("field", kind.field), Line("type", kind.type, guess.why)]
        self.guesses = [f"data key {guess.key}: type {kind.type}, as {guess.why}"]
        options: dict[str, Any] = dict(guess.options)
        if kind.type == "log_mel":
            options |= self._sound(values, root)
        elif "bos" in options:
            self._add("bos", True, "<s> before and </s> behind the labels, as a model that writes them needs")
            self._add("eos", True, "")
        elif "normalize" in options:
            self._add("normalize", options["normalize"], "capitals and punctuation are not heard")
        self.lengths: Sequence[int] = kind.lengths
        try:
            key = DataKey(name=guess.key, field=kind.field, type=kind.type, **options)
            measured = measure(key, sample, root)
        except SeqmillError as error:
            self.guesses.append(f"warning: {guess.key} was not tried: {error}")
            return
        self.lengths = measured.lengths
        number = len(measured.rejected)
        if number and not measured.lengths:
            raise SeqmillError(
                f"{kind.field}: the first {number} values are all unusable: {measured.rejected[0]}"
            )
        if number:
            self.guesses.append(
                f"warning: {number} of the {number + len(measured.lengths)} values of {kind.field} that were "
                f"tried will be rejected, the first: {measured.rejected[0]}"
            )

    def _add(self, name: str, value: Any, why: str) -> None:
        self.lines.append(Line(name, value, why))
        if why:
            self.guesses.append(f"data key {self.guess.key}: {name} = {toml(value)}: {why}")

    def _sound(self, values: Sequence[Any], root: str) -> dict[str, Any]:
        try:
            rates = sample_rates(values, root)
        except SeqmillError as error:
            self.guesses.append(f"warning: no header was read: {error}")
            return {}
        if not rates:
            return {}
        (rate, number), total = rates.most_common(1)[0], sum(rates.values())
        why = f"{number} of the first {total} recordings have {rate:,} Hz"
        if rate > _SPEECH_RATE:
            why += f"; {_SPEECH_RATE:,} do for speech, and they are resampled"
        options = {"sample_rate": min(rate, _SPEECH_RATE)}
        self._add("sample_rate", options["sample_rate"], why)
        if rate <= _TELEPHONE_RATE:
            options["num_mel_bins"] = 40
            self._add("num_mel_bins", 40, "half of the usual 80, for half of the usual sample rate")
        return options


def _model_lines(keys: Sequence[_DataKey], corpora: Corpora, setup: Setup) -> list[Line]:
    kinds = {key.guess.key: replace(key.guess.kind, lengths=tuple(key.lengths)) for key in keys}
    setup.starter, why = choose_starter(kinds["data"], kinds.get("classes"), corpora)
    if setup.starter is None:
        setup.guesses.append(f"no starter model: {why}")
        return [Line("", why=f'No starter model: {why}. model = "model.py:build" names one of your own.')]
    score = SCORES.get(setup.starter) if "dev" in corpora.files else None
    policy = True if score is None else {"keep_best_by": score}
    setup.guesses.append(f"model = {MODEL_FILE}:build: a starter model, {why}")
    return [
        Line("model", f"{MODEL_FILE}:build", f"to begin with: {why}"),
        Line("cleanup_old_models", policy, "keep the last and the best checkpoints only"),
    ]


def _epoch_lines(num_seqs: int | None) -> list[Line]:
    """More epochs for a small corpus: a model learns from steps, not from passes."""
    num_epochs = 20 if num_seqs is None else max(20, min(60, _STEPS * _SEQS_PER_BATCH // num_seqs))
    lines = [Line("num_epochs", num_epochs, "of training" if num_epochs == 20 else "as the corpus is small")]
    if num_epochs > 20:
        lines.append(Line("distinct_epochs", 10, "so many are written, and training goes round in them"))
    return lines


def _global_lines(keys: Sequence[_DataKey], num_seqs: int | None, setup: Setup) -> list[Line]:
    data = keys[0]
    if data.lengths:
        average, longest = mean(data.lengths), max(data.lengths)
        wanted = min(max(_SEQS_PER_BATCH, _FRAMES_PER_BATCH / max(average, 1)), _MOST_PER_BATCH)
        if num_seqs is not None:
            wanted = min(wanted, max(num_seqs / _LEAST_BATCHES, 1))
        batch_size = _rounded(max(wanted * average, 2 * longest, 1))
        why = (
            f"frames of data with padding, about {round(batch_size / max(average, 1))} sequences: those seen "
            f"have {average:,.0f} on average, the longest {longest:,}"
        )
    else:
        batch_size, why = _DEFAULT_BATCH_SIZE, "frames of data with padding; no length is known"
    setup.guesses.append(f"batch_size = {batch_size}: {why}")
    return [
        Line("", why="Written by `seqmill init`: guesses from the first records; change what is wrong."),
        Line("", why="Look before writing: seqmill plan; all options: docs/configuration.md."),
        Line("output", OUTPUT, "everything is written here"),
        Line("batch_size", {"data": batch_size}, why),
        Line("max_seqs", _MAX_SEQS, "at most so many sequences in a batch"),
        Line("", why="max_seq_length = { data = N } drops sequences that are longer; plan says how many"),
        Line("seq_ordering", "laplace:.1000", "sequences of like length together, in random order"),
        *_epoch_lines(num_seqs),
    ]


def _rounded(number: float) -> int:
    """Up to two digits that count."""
    step = 10 ** max(0, len(str(int(number))) - 2)
    return int(-(-number // step) * step)


def _corpus_lines(name: str, corpora: Corpora, guesses: Guesses, roots: _Roots, folder: str) -> list[Line]:
    paths = corpora.files[name]
    lines = [Line("format", corpora.format)]
    if isinstance(paths, Mapping):
        fields = [guess.kind.field for guess in guesses.keys]
        lines.append(
            Line("files", {field: [_seen_from(folder, p) for p in paths[field]] for field in fields})
        )
    else:
        lines.append(Line("files", as_patterns([_seen_from(folder, path) for path in paths], folder)))
    if corpora.quoting is not None:
        lines.append(Line("quoting", corpora.quoting, "as in the tables of Common Voice"))
    root = _audio_root(name, corpora, guesses, roots)
    if root is not None:
        lines.append(Line("audio_root", _seen_from(folder, root), "where paths of files start from"))
    if guesses.seq_tag is not None:
        lines.append(Line("seq_tag", guesses.seq_tag, "the name of a sequence"))
    return lines


def _audio_root(name: str, corpora: Corpora, guesses: Guesses, roots: _Roots) -> str | None:
    """Where the paths of a corpus start from, if not from the folder of the file that names them."""
    if corpora.audio_root is not None or corpora.format in ("librispeech", "text"):
        return corpora.audio_root
    sample = read_sample(corpora.format, corpora.files[name], corpora.quoting)
    for guess in guesses.keys:
        values = sample.fields.get(guess.kind.field)
        if not values or len(values) < sample.num_records:
            raise SeqmillError(
                f"{_shown(corpora.files[name])}: the field {guess.kind.field}, which train has, is not in "
                f"every record of {name}; give the files of one corpus alone"
            )
        if guess.kind.is_path or (FORMATS[corpora.format].names_files and values):
            root = roots.of_values(sample.folder, values)
            if root != sample.folder:
                return root
    return None


def _seen_from(folder: str, path: str) -> str:
    """A path as a configuration in ``folder`` names it."""
    if not files.is_local(path):
        return path
    if not files.is_local(folder):
        return str(Path(path).absolute())
    relative = os.path.relpath(path, folder)
    is_far = relative.startswith("../" * (1 if path.startswith("/") else _MOST_UP + 1))
    return str(Path(path).absolute()) if is_far else relative


def as_patterns(paths: list[str], folder: str) -> list[str]:
    """Many files as a pattern that matches just them, if there is one."""
    if len(paths) < _FEW_FILES:
        return paths
    first, last = _common_start(paths), _common_start([path[::-1] for path in paths])[::-1]
    pattern = f"{first}*{last}"
    if "/" in last or files.has_wildcard(first) or files.has_wildcard(last):
        return paths
    matches = files.expand(files.join(folder, pattern))
    return [pattern] if matches == sorted(files.join(folder, path) for path in paths) else paths


def _common_start(texts: Sequence[str]) -> str:
    least, most = min(texts), max(texts)
    return least[: next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))]


def _say_left_out(guesses: Guesses, setup: Setup) -> None:
    left_out = [*guesses.left_out.items()]
    lines = [f"field {name!r} is left out: {why}" for name, why in left_out[:_MOST_LEFT_OUT]]
    if len(left_out) > _MOST_LEFT_OUT:
        lines.append(f"{len(left_out) - _MOST_LEFT_OUT:,} more fields are left out")
    setup.guesses += lines
    if lines:
        setup.tables.append(Table("", [Line("", why=line) for line in lines]))


def _say_how_to_hold_out(corpora: Corpora, guesses: Guesses, setup: Setup) -> None:
    """How a corpus for evaluation can be had where there is none."""
    if guesses.seq_tag is not None or FORMATS[corpora.format].tag is not None:
        how = (
            'write the tags of some sequences into dev.tags, one a line; then not_tags = "dev.tags" in '
            '[corpus.train], and a [corpus.dev] like it with only_tags = "dev.tags"'
        )
    else:
        how = "put some of the records into a file of their own, and name it in a [corpus.dev]"
    setup.guesses.append(f"no corpus for evaluation was found: {how}")
    setup.tables.append(Table("", [Line("", why=f"No corpus for evaluation was found: {how}.")]))


def _shown(paths: Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    if isinstance(paths, Mapping):
        return "; ".join(f"{name}: {_shown(some)}" for name, some in paths.items())
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def _first(rejected: Sequence[str]) -> str:
    return rejected[0] if rejected else "it has none"
