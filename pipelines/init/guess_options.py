"""The options of a configuration: from corpora and a sample of their records to tables with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from seqmill.pipelines.init.corpora import Corpora
from seqmill.pipelines.init.corpus_table import Roots, corpus_lines, shown
from seqmill.pipelines.init.field_kinds import kinds_of
from seqmill.pipelines.init.guess_keys import Guesses, guess_keys
from seqmill.pipelines.init.key_table import KeyTable
from seqmill.pipelines.init.sample_records import Sample, read_sample
from seqmill.pipelines.init.starter_model import MODEL_FILE, SCORES, choose_starter
from seqmill.pipelines.init.write_config import Line, Table
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.ranges import counted

_OUTPUT, _CONFIG = "work", "config.toml"
_SEQS_PER_BATCH, _FRAMES_PER_BATCH, _MOST_PER_BATCH = 24, 4000, 128
_LEAST_BATCHES = 8  # of an epoch of a small corpus
_STEPS = 2000
_MAX_SEQS = 200
_DEFAULT_BATCH_SIZE = 20_000
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
    config: str,
    with_model: bool,
    train: Sample | None = None,
    num_seqs: int | None = None,
) -> Setup:
    """What a configuration for some corpora should say.

    Args:
        corpora: The corpora.
        given: Folders that paths in records may start from.
        config: Where the configuration will stand; its paths start from its folder.
        with_model: Whether it should name a starter model.
        train: The first records of ``train``, where they need not be read.
        num_seqs: Records of ``train``, where that is known.

    Raises:
        SeqmillError: The corpora cannot be read, or hold nothing that is of use.
    """
    sample = train or read_sample(corpora.format, corpora.files["train"], corpora.quoting)
    if not sample.num_records:
        raise SeqmillError(f"{shown(corpora.files['train'])}: no usable record: {_first(sample.rejected)}")
    root = Roots(corpora, given)
    guesses = guess_keys(kinds_of(sample, root.finder(sample.folder)), corpora.format)
    setup = Setup()
    setup.guesses.append(f"format {corpora.format}; {corpora.why}")
    for name, paths in corpora.files.items():
        setup.guesses.append(f"corpus {name}: {shown(paths)}")
    keys = [KeyTable(guess, sample, root) for guess in guesses.keys]
    tables = _corpus_tables(corpora, guesses, root, files.parent(config), setup)
    lines = _global_lines(keys, output_name(config), num_seqs, setup)
    if with_model:
        lines += _model_lines(keys, corpora, "corpus.dev" in {table.name for table in tables}, setup)
    setup.tables.append(Table("", lines))
    for key in keys:
        setup.tables.append(Table(f"data.{key.guess.key}", key.lines))
        setup.guesses += key.guesses
    _say_left_out(guesses, setup)
    setup.tables += tables
    if len(tables) == 1:
        _say_how_to_hold_out(corpora, guesses, setup)
    if sample.rejected:
        number = len(sample.rejected)
        setup.guesses.append(
            f"warning: {number} of the first {sample.num_records + number} records of train will be "
            f"rejected, the first: {sample.rejected[0]}"
        )
    return setup


def output_name(config: str) -> str:
    """The folder beside a configuration that its runs write to: each configuration has one of its own.

    >>> output_name("data/config.toml"), output_name("data/speech.toml")
    ('work', 'work-speech')
    """
    name = files.name(config)
    return _OUTPUT if name == _CONFIG else f"{_OUTPUT}-{name.removesuffix('.toml')}"


def is_output_name(name: str) -> bool:
    """Whether ``output_name`` may have made a name."""
    return name == _OUTPUT or name.startswith(f"{_OUTPUT}-")


def _corpus_tables(corpora: Corpora, guesses: Guesses, root: Roots, folder: str, setup: Setup) -> list[Table]:
    """The tables of ``train`` and of the other corpora that can be read likewise."""
    tables = []
    for name in corpora.files:
        try:
            tables.append(Table(f"corpus.{name}", corpus_lines(name, corpora, guesses, root, folder)))
        except SeqmillError as error:
            if name == "train":
                raise
            setup.guesses.append(f"corpus {name} is left out: {error}")
    return tables


def _model_lines(keys: Sequence[KeyTable], corpora: Corpora, has_dev: bool, setup: Setup) -> list[Line]:
    kinds = {key.guess.key: replace(key.guess.kind, lengths=tuple(key.lengths)) for key in keys}
    setup.starter, why = choose_starter(kinds["data"], kinds.get("classes"), corpora)
    if setup.starter is None:
        setup.guesses.append(f"no starter model: {why}")
        return [Line("", why=f'No starter model: {why}. model = "model.py:build" names one of your own.')]
    score = SCORES.get(setup.starter) if has_dev else None
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


def _global_lines(keys: Sequence[KeyTable], output: str, num_seqs: int | None, setup: Setup) -> list[Line]:
    data = keys[0]
    if data.lengths:
        average, longest = mean(data.lengths), max(data.lengths)
        wanted = min(max(_SEQS_PER_BATCH, _FRAMES_PER_BATCH / max(average, 1)), _MOST_PER_BATCH)
        if num_seqs is not None:
            wanted = min(wanted, max(num_seqs / _LEAST_BATCHES, 1))
        batch_size = _rounded(max(wanted * average, 2 * longest, 1))
        number = round(batch_size / max(average, 1))
        why = (
            f"frames of data with padding, about {counted(number, 'sequence')}: those seen have "
            f"{average:,.0f} on average, the longest {longest:,}"
        )
    else:
        batch_size, why = _DEFAULT_BATCH_SIZE, "frames of data with padding; no length is known"
    setup.guesses.append(f"batch_size = {batch_size}: {why}")
    return [
        Line("", why="Written by `seqmill init`: guesses from the first records; change what is wrong."),
        Line("", why="Look before writing: seqmill plan; all options: docs/configuration.md."),
        Line("output", output, "everything is written here"),
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


def _say_left_out(guesses: Guesses, setup: Setup) -> None:
    left_out = [*guesses.left_out.items()]
    lines = [f"field {name!r} is left out: {why}" for name, why in left_out[:_MOST_LEFT_OUT]]
    if len(left_out) > _MOST_LEFT_OUT:
        more = counted(len(left_out) - _MOST_LEFT_OUT, "more field is", "more fields are")
        lines.append(f"{more} left out")
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


def _first(rejected: Sequence[str]) -> str:
    return rejected[0] if rejected else "it has none"
