"""Reading a configuration: TOML, the flags that go over it, and what a corpus inherits.

All of it is checked against the models in ``pipelines/options.py``, and every mistake is named at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from seqmill.pipelines.config_paths import with_path, with_paths
from seqmill.pipelines.options import (
    TRAIN,
    TRAINING_ONLY,
    Config,
    CorpusDefaults,
    CorpusOptions,
    nearly_train,
)
from seqmill.pipelines.returnn_names import with_advice
from seqmill.trainer.packed_columns import PACKED_COLUMNS
from seqmill.transforms.batches.per_epoch_options import (
    PerEpochOptions,
    ScheduleTable,
    named_twice,
)
from seqmill.transforms.features.data_keys import DataKey, why_no_name
from seqmill.transforms.features.shared_vocabs import with_shared_vocabs
from seqmill.transforms.planning.schedule import EpochRange
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_options import (
    Mistake,
    WrongOptionsError,
    checked,
    did_you_mean,
    is_absence,
    option_fields,
)
from seqmill.transforms.storage.errors import UsageError

T = TypeVar("T")

_NESTED = ("join", "mix")
TABLES: dict[str, type[Any]] = {"data": DataKey, "corpus": CorpusOptions}
_COLUMNS = ("lengths", "mask", *PACKED_COLUMNS)  # what the trainer has of each data key besides
OLDER_NAMES = {"batching": "seq_ordering"}


def load_config(path: str, overrides: Mapping[str, str] = MappingProxyType({})) -> Config:
    """The configuration in a TOML file, with flags put over it and paths made independent of the folder.

    Args:
        path: The file; relative paths in it start from its folder.
        overrides: Values as given on the command line, by option (``max_seqs``, ``corpus.dev.max_seqs``,
            ``data.classes.vocab``); relative paths start from the current folder.

    Raises:
        UsageError: The file is not there or not TOML, or options are wrong; names every mistake.

    >>> import seqmill
    >>> seqmill.load_config("config.toml", {"max_seqs": "5"}).corpus["train"].max_seqs
    5
    """
    content = with_paths(_read(path), files.parent(path))
    mistakes: list[Mistake] = []
    flags = _put_over(content, overrides, mistakes)
    config = _check(content, mistakes)
    if config is not None and not mistakes:
        return config
    lines = [_line(where, with_advice(where, text), flags) for where, text in mistakes]
    raise UsageError("\n  ".join([f"{path}: wrong options", *dict.fromkeys(lines)]))


def global_options() -> dict[str, Any]:
    """Every option that may stand outside the tables, by name, as pydantic describes it."""
    options = {**option_fields(Config), **option_fields(CorpusDefaults)}
    return {name: field for name, field in options.items() if name not in TABLES}


def parse_value(text: str, is_text: bool) -> Any:
    """The value of a flag: as in TOML (or True, False); text that is no TOML value is a string."""
    if is_text:
        return text
    if text in ("True", "False"):
        return text == "True"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(files.read_bytes(path).decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such configuration file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a folder; expected a TOML file, as `seqmill init` writes it") from None
    except ValueError as error:  # of TOML, of UTF-8, or of a number of thousands of digits
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{path}: not valid TOML: nested too deeply") from None


def _check(content: dict[str, Any], mistakes: list[Mistake]) -> Config | None:
    """Checks part after part; each adds its mistakes and hides none of another's."""
    mistakes += _with_nul(content, ())
    _rename(content, (), mistakes)
    shared = {name: content.pop(name) for name in option_fields(CorpusDefaults) if name in content}
    tables = {section: _tables(content.pop(section, None), section, mistakes) for section in TABLES}
    keys: Mapping[str, DataKey | None] = {
        name: _checked(DataKey, {"field": name, **table, "name": name}, ("data", name), mistakes)
        for name, table in tables["data"].items()
    }
    keys = _sharing_vocabs(keys, mistakes)
    context = {"data_keys": list(keys), "fields": [t.get("field", k) for k, t in tables["data"].items()]}
    _checked(CorpusDefaults, shared, (), mistakes, context)
    corpora = {
        name: _corpus(name, table, shared, context, mistakes) for name, table in tables["corpus"].items()
    }
    mistakes += _between_tables(tables, keys)
    schedule = _schedule(content.pop("schedule", None), tables["corpus"], mistakes, context)
    right = {
        "schedule": schedule,
        "data": {name: key for name, key in keys.items() if key is not None},
        "corpus": {name: corpus for name, corpus in corpora.items() if corpus is not None},
    }
    for name in [name for name in content if name not in option_fields(Config)]:
        del content[name]
        mistakes.append(((name,), f"unknown option{did_you_mean(name, [*global_options(), *TABLES])}"))
    config = _checked(Config, {**content, **right}, (), mistakes)
    if config is not None:
        if TRAIN in config.corpus:
            mistakes += _without_limit(config)
        mistakes += _misfitting_limits(config)
    return config


def _corpus(
    name: str,
    table: dict[str, Any],
    shared: Mapping[str, Any],
    context: Mapping[str, Any],
    mistakes: list[Mistake],
) -> CorpusOptions | None:
    """The options of a corpus, with those that it inherits."""
    _rename(table, ("corpus", name), mistakes)
    keys = context["data_keys"]
    values = {"length_key": next(iter(keys), ""), **_inherited(name, shared), **table, "name": name}
    if "seq_tag" not in values and (own := FORMATS.get(str(table.get("format")))):
        values["seq_tag"] = own.tag
    if table.get("format") not in ("csv", "tsv") and "quoting" not in table:
        values.pop("quoting", None)
    if keys and _is_no_limit(values.get("batch_size")) and _is_no_limit(values.get("max_seqs")):
        mistakes.append((("corpus", name), "expected batch_size or max_seqs, found neither"))
    here: list[Mistake] = []
    corpus = _checked(CorpusOptions, values, ("corpus", name), here, context)
    # What is wrong with an inherited option has been said of it already.
    here = [(_numbered(where, table), text) for where, text in here]
    mistakes += [m for m in here if len(m[0]) < 3 or m[0][2] in table or m[0][2] not in shared]
    return corpus


def _without_limit(config: Config) -> Iterator[Mistake]:
    """Epochs in which nothing limits a batch, as tables of the schedule took away what does."""
    for stretch in config.schedule_of(TRAIN).changes:
        limits = stretch.options.batch_limits
        if not limits.batch_size and limits.max_seqs is None:
            epochs = EpochRange(stretch.first, stretch.last)
            yield ("schedule",), f"expected batch_size or max_seqs in epochs {epochs}, found neither"


def _misfitting_limits(config: Config) -> Iterator[Mistake]:
    """Limits of batches that cannot be meant together."""
    for name in config.corpus:
        schedule = config.schedule_of(name)
        if text := schedule.options.batch_limits.mistake:
            yield ("corpus", name), text
        for stretch in schedule.changes:
            if text := stretch.options.batch_limits.mistake:
                yield ("schedule",), f"epochs {EpochRange(stretch.first, stretch.last)}: {text}"


def _schedule(
    value: Any, corpora: Mapping[str, Any], mistakes: list[Mistake], context: Mapping[str, Any]
) -> tuple[ScheduleTable, ...]:
    """The tables ``[[schedule]]``, which mistakes call by their number, from 1."""
    if value is None or is_absence(value):
        return ()
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        mistakes.append((("schedule",), f"found {value!r}; expected tables [[schedule]]"))
        return ()
    if corpora and TRAIN not in corpora:
        mistakes.append((("schedule",), f"concerns corpus.{TRAIN}, and there is none{nearly_train(corpora)}"))
    found = []
    for number, table in enumerate(value, 1):
        where = ("schedule", str(number))
        _rename(table, where, mistakes)
        for name in [name for name in table if name in global_options()]:
            if name not in option_fields(PerEpochOptions):
                del table[name]
                expected = ", ".join(option_fields(PerEpochOptions))
                text = f"the same for all epochs; expected one of {expected}"
                mistakes.append(((*where, name), text))
        if (one := _checked(ScheduleTable, table, where, mistakes, context)) is not None:
            found.append(one)
            if not one.changes:
                mistakes.append((where, "expected an option to set for these epochs"))
    if len(found) == len(value):
        mistakes += [(("schedule", str(number + 1)), text) for number, text in named_twice(found)]
    return tuple(found)


def _with_nul(value: Any, where: tuple[str, ...]) -> Iterator[Mistake]:
    """Text with NUL, which no path, name or field can have."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _with_nul(item, (*where, str(name)))
    elif isinstance(value, list):
        for item in value:
            yield from _with_nul(item, where)
    elif isinstance(value, str) and "\0" in value:
        yield where, f"found {value!r}; expected text without NUL"


def _is_no_limit(value: Any) -> bool:
    if isinstance(value, dict) and value:
        return all(is_absence(one) for one in value.values())
    return value is None or is_absence(value)


def _inherited(corpus: str, shared: Mapping[str, Any]) -> dict[str, Any]:
    """What a corpus has from the configuration: all, but ``train`` alone what shapes training epochs."""
    return {k: value for k, value in shared.items() if corpus == TRAIN or k not in TRAINING_ONLY}


def _tables(value: Any, section: str, mistakes: list[Mistake]) -> dict[str, dict[str, Any]]:
    """The tables ``[data.*]`` or ``[corpus.*]`` by name."""
    if value is None or value == {}:
        mistakes.append(((section,), f"required, but missing: a table [{section}.<name>]"))
        return {}
    if not isinstance(value, dict):
        mistakes.append(((section,), f"found {value!r}; expected tables [{section}.<name>]"))
        return {}
    tables = {}
    for name, table in value.items():
        if not isinstance(table, dict):
            mistakes.append(((section, name), f"found {table!r}; expected a table [{section}.<name>]"))
            continue
        if text := why_no_name(name):
            mistakes.append(((section,), text))
        if "name" in table:
            mistakes.append(((section, name, "name"), "unknown option; the table's own name is it"))
        tables[name] = table
    return tables


def _sharing_vocabs(
    keys: Mapping[str, DataKey | None], mistakes: list[Mistake]
) -> Mapping[str, DataKey | None]:
    right = {name: key for name, key in keys.items() if key is not None}
    if len(right) < len(keys):
        return keys  # what is shared with a wrong one cannot be told
    try:
        return with_shared_vocabs(right)
    except WrongOptionsError as error:
        mistakes += [(("data", *where), text) for where, text in error.mistakes]
        return keys


def _numbered(where: tuple[str, ...], corpus: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a mistake is, tables ``join`` of a source counted from 1, a lone one not at all."""
    for place, table in ((2, corpus), (4, _mixed_table(corpus, where))):
        if len(where) > place + 1 and where[place] == "join":
            joins = table.get("join")
            number = (str(int(where[place + 1]) + 1),) if isinstance(joins, list) and len(joins) > 1 else ()
            return (*where[: place + 1], *number, *where[place + 2 :])
    return where


def _mixed_table(corpus: Mapping[str, Any], where: tuple[str, ...]) -> Mapping[str, Any]:
    """The table of the mix that a mistake is in, if it is in one."""
    tables = corpus.get("mix") if len(where) > 4 and where[2] == "mix" else None
    table = tables.get(where[3]) if isinstance(tables, dict) else None
    return table if isinstance(table, dict) else {}


def _between_tables(
    tables: Mapping[str, Mapping[str, Any]], keys: Mapping[str, DataKey | None]
) -> Iterator[Mistake]:
    for name in keys:
        for column in (f"{name}_{what}" for what in _COLUMNS):
            if column in keys:
                text = f"cannot be a name beside {name}: the trainer calls a column of {name} so"
                yield ("data", column), text
    counted = [name for name, key in keys.items() if key is not None and key.has_counted_vocab]
    if counted and tables["corpus"] and TRAIN not in tables["corpus"]:
        yield (
            ("data", counted[0]),
            "expected vocab = FILE, as there is no corpus.train to count" + nearly_train(tables["corpus"]),
        )
    normalized = [name for name, key in keys.items() if key is not None and key.has_counted_norm]
    if normalized and tables["corpus"] and TRAIN not in tables["corpus"]:
        yield (
            ("data", normalized[0], "normalization"),
            'found "global"; expected a file norm/<key>.json, as there is no corpus.train to count'
            + nearly_train(tables["corpus"]),
        )


def _checked(
    model: type[T],
    values: Mapping[str, Any],
    where: tuple[str, ...],
    mistakes: list[Mistake],
    context: Mapping[str, Any] | None = None,
) -> T | None:
    try:
        return checked(model, values, context)
    except WrongOptionsError as error:
        mistakes += [((*where, *inner), text) for inner, text in error.mistakes]
        return None


def _rename(table: dict[str, Any], where: tuple[str, ...], mistakes: list[Mistake]) -> None:
    """Gives options the names that they have now."""
    for older, newer in OLDER_NAMES.items():
        if older in table:
            if newer in table:
                mistakes.append(((*where, older), f"an older name of {newer}, which is there too"))
            table[newer] = table.pop(older)


def _put_over(
    content: dict[str, Any], overrides: Mapping[str, str], mistakes: list[Mistake]
) -> dict[tuple[str, ...], str]:
    """Puts flags over the options of a file; returns where each went and its name."""
    flags = {}
    for flag, text in overrides.items():
        *section, option = flag.split(".")
        option = OLDER_NAMES.get(option, option)
        table = content
        options = global_options()
        where: tuple[str, ...] = (option,)
        if section:
            kind, name = section[0], ".".join(section[1:])
            given = content.get(kind)
            tables = given if isinstance(given, dict) else {}
            if kind == "corpus" and name not in tables and {*name.split(".")[1:]} & {*_NESTED}:
                mistakes.append(((f"--{flag}",), "is set in the file alone, not by a flag"))
                continue
            if not isinstance(tables.get(name), dict):
                near = did_you_mean(name, tables)
                mistakes.append(((f"--{flag}",), f"no table [{kind}.{name}] in the configuration{near}"))
                continue
            table = tables[name]
            options, where = option_fields(TABLES[kind]), (kind, name, option)
        value = parse_value(text, option in options and options[option].annotation in (str, str | None))
        for older in [older for older, newer in OLDER_NAMES.items() if newer == option]:
            table.pop(older, None)
        table[option] = with_path(option, value, ".")
        flags[where] = f"--{flag}"
    return flags


def _line(where: tuple[str, ...], text: str, flags: Mapping[tuple[str, ...], str]) -> str:
    names = (".".join((flags[where[:n]], *where[n:])) for n in (1, 3) if where[:n] in flags)
    return f"{next(names, '.'.join(where))}: {text}"
