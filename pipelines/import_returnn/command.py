"""``seqmill import-returnn``: a configuration for a config of RETURNN, with comments on all that differs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqmill.pipelines.config import load_config
from seqmill.pipelines.import_returnn.data_keys import data_key_tables
from seqmill.pipelines.import_returnn.datasets import dataset_options, source_of
from seqmill.pipelines.import_returnn.lines import note
from seqmill.pipelines.import_returnn.options import dev_lines, of_the_model, option_lines
from seqmill.pipelines.import_returnn.orders import chunk_lines, order_lines
from seqmill.pipelines.import_returnn.read_config import Settings, read_config
from seqmill.pipelines.import_returnn.source import Source
from seqmill.pipelines.import_returnn.values import Unread, find_unread
from seqmill.pipelines.init.new_files import check_free, write
from seqmill.pipelines.init.write_config import Line, Table, comment, config_text
from seqmill.pipelines.options import TRAIN
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError

_CORPORA = (TRAIN, "dev", "eval")


def import_returnn(path: str, output: str, force: bool) -> None:
    """Writes a configuration, and says what is left to do.

    Args:
        path: The config of RETURNN, which is read as data.
        output: Where to write.
        force: Whether to overwrite.

    Raises:
        UsageError: There is no such config, it has no data, or something would be overwritten.
    """
    check_free(output, force)
    text = imported(path)
    write(output, text.encode())
    print(comment(f"wrote {output}; read its comments"))
    lost = re.findall(r"^.*not read: (.*)$", text, re.MULTILINE)
    for line in dict.fromkeys(lost):
        print(comment(f"not read: {line}"))
    try:
        load_config(output)
    except UsageError as error:
        print(comment(f"to mend by hand: {error}"))
    else:
        print(comment(f"then: seqmill plan {output}"))


def imported(path: str) -> str:
    """The text of the configuration for a config of RETURNN. Raises UsageError, as ``import_returnn``."""
    try:
        return _imported(path)
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply, or a dataset is inside of itself") from None


def _imported(path: str) -> str:
    settings = read_config(path)
    sources = _sources(settings)
    if not sources:
        expected = "expected train, dev or eval_datasets"
        raise UsageError(f"{path}: {expected} of RETURNN, found {len(settings.values)} other names")
    keys = data_key_tables(settings.values, sources)
    own_order = TRAIN in sources and sources[TRAIN].options.get("seq_ordering") is not None
    tables = [
        Table("", [*_head(path, settings), *option_lines(settings.values, keys, own_order)]),
        *(Table(f"data.{_name(key)}", lines) for key, lines in keys.items()),
        *(
            table
            for name, source in sources.items()
            for table in _corpus(name, source, settings.values, keys)
        ),
    ]
    text = config_text([Table(table.name, list(_each_once(table.lines))) for table in tables])
    tail = list(of_the_model(settings.values))
    return text + ("\n" + config_text([Table("", tail)]) if tail else "")


def _head(path: str, settings: Settings) -> Iterator[Line]:
    yield note(f"From {files.name(path)} of RETURNN, read as data.")
    yield note("Relative paths start from this file's folder, in RETURNN from that which it is started in.")
    yield from map(note, dict.fromkeys(settings.notes))


def _sources(settings: Settings) -> dict[str, Source]:
    """The corpora by name."""
    values = settings.values
    given = {name: values[name] for name in _CORPORA if values.get(name)}
    more = values.get("eval_datasets")
    if isinstance(more, Mapping):
        for name, value in more.items():
            corpus = _name(str(name))
            while corpus in given:
                corpus += "_"  # two that differ in what a name may not have
            given[corpus] = value
    elif more is not None and find_unread(more):
        given["eval_datasets"] = more
    return {name: _source(name, value, settings) for name, value in given.items()}


def _source(name: str, value: Any, settings: Settings) -> Source:
    options = dataset_options(value, settings)
    if isinstance(options, Mapping):
        return source_of(options, name, settings)
    return Source(
        {}, "hdf", [find_unread(options) or Unread(settings.lines.get(name, 0), f"{name} = {options!r}")]
    )


def _corpus(
    name: str, source: Source, values: Mapping[str, Any], keys: Mapping[str, list[Line]]
) -> Iterator[Table]:
    lines = list(source.lines)
    if source.share is not None:
        lines.append(Line("share", source.share))
    if name == TRAIN:
        lines += order_lines(source.options)
        lines += chunk_lines(source.options.get("chunking"), source.options.get("min_chunk_size"), keys)
    else:
        lines += dev_lines(values, keys, source.options)
    yield Table(f"corpus.{name}", [*lines, *source.comments])
    for mixed, (other, share) in source.mixes.items():
        table = f"corpus.{name}.mix.{_name(mixed)}"
        yield Table(table, [*other.lines, Line("share", share)])
        yield from _joins(table, other)
    yield from _joins(f"corpus.{name}", source)


def _joins(table: str, source: Source) -> Iterator[Table]:
    """What is joined to the sequences of a table."""
    for joined, data_keys in source.joins:
        own = [*joined.lines, Line("data_keys", data_keys), *_only_tags(joined), *joined.comments]
        yield Table(f"{table}.join" if len(source.joins) == 1 else f"[{table}.join]", own)


def _each_once(lines: Iterable[Line]) -> Iterator[Line]:
    """Lines, of which those that set an option again are comments."""
    names: set[str] = set()
    for line in lines:
        again = line.name and line.name in names
        yield note(f"{line.name} = {line.value!r}, too: one of them can be") if again else line
        names.add(line.name)


def _only_tags(joined: Source) -> Iterator[Line]:
    yield from (line for line in order_lines(joined.options) if line.name == "only_tags")


def _name(key: str) -> str:
    """A name that a table may have."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", key) or "_"
