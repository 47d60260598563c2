"""Reading a configuration: TOML and the flags that override it, all mistakes reported together."""

from __future__ import annotations

import copy
import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from seqmill.pipelines.options import Config, CorpusDefaults, CorpusOptions, KeyOptions
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError

_MODELS: dict[str, type[BaseModel]] = {"data": KeyOptions, "corpus": CorpusOptions}


def load_config(path: str, overrides: Mapping[str, str]) -> Config:
    """The configuration in a TOML file, with flags put over it and paths made independent of the folder.

    Args:
        path: The file; relative paths in it start from its folder.
        overrides: Option values as given on the command line; relative paths start from the current folder.

    Raises:
        UsageError: The file is not there or not TOML, or options are wrong; names every mistake.

    >>> import seqmill
    >>> seqmill.load_config("config.toml", {"max_seqs": "5"}).max_seqs
    5
    """
    try:
        content = tomllib.loads(files.read_bytes(path).decode())
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    content = _with_paths(content, files.parent(path))
    for option, text in overrides.items():
        value = parse_flag(option, text)
        if option == "seq_ordering":
            content.pop("batching", None)
        content[option] = _absolute(value, ".") if option in ("output", "model", "audio_root") else value
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        messages = _messages(error, overrides) + _later_messages(content, error, overrides)
        raise UsageError("\n  ".join([f"{path}: wrong options", *messages])) from None


def parse_flag(option: str, text: str) -> Any:
    """The value of a flag: as in TOML (or True, False); text that is no TOML value is a string."""
    if Config.model_fields[option].annotation in (str, str | None):
        return text
    if text in ("True", "False"):
        return text == "True"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def corpus_defaults(config: Config, name: str) -> dict[str, Any]:
    """The options of one corpus: its own over those of the configuration over the defaults.

    Corpora other than ``train`` do not inherit what shapes training epochs: order, chunks and parts.
    """
    corpus = config.corpus[name]
    training_only = {"seq_ordering", "chunking", "min_chunk_size", "partition_epoch", "distinct_epochs"}
    values = {}
    for option in CorpusDefaults.model_fields:
        if option in corpus.model_fields_set:
            values[option] = getattr(corpus, option)
        elif option in training_only and name != "train":
            values[option] = CorpusDefaults.model_fields[option].default
        else:
            values[option] = getattr(config, option)
    return values


def _with_paths(content: dict[str, Any], folder: str) -> dict[str, Any]:
    """Makes the paths of a configuration start from its folder; leaves what is of the wrong type alone."""
    content = dict(content)
    for option in ("output", "model", "audio_root"):
        if option in content:
            content[option] = _absolute(content[option], folder)
    for section, options in (("data", ("vocab", "tokenizer")), ("corpus", ("files", "audio_root"))):
        tables = content.get(section)
        if isinstance(tables, dict):
            content[section] = {
                name: {k: _absolute(v, folder) if k in options else v for k, v in table.items()}
                if isinstance(table, dict)
                else table
                for name, table in tables.items()
            }
    return content


def _absolute(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        path = files.join(folder, value)
        return str(Path(path).absolute()) if files.is_local(path) else path
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value


def _messages(error: ValidationError, flags: Mapping[str, str]) -> list[str]:
    messages = []
    for item in error.errors():
        where = [str(part) for part in item["loc"]]
        text = re.sub(r"^Value error, ", "", item["msg"])
        name = f"--{where[0]}" if where and where[0] in flags else ".".join(where)
        if item["type"] == "extra_forbidden":
            messages.append(f"{name}: unknown option{_suggestion(where)}")
        elif item["type"] == "missing":
            messages.append(f"{name}: required, but missing")
        elif not where or (
            item["type"] == "value_error" and isinstance(item["input"], dict) and len(where) == 2
        ):
            messages += [f"{name}: {line}" if name else line for line in text.splitlines()]
        else:
            messages.append(f"{name}: found {item['input']!r}; {text[0].lower()}{text[1:]}")
    return list(dict.fromkeys(messages))


def _later_messages(content: dict[str, Any], error: ValidationError, flags: Mapping[str, str]) -> list[str]:
    """What is wrong between options: this is checked only once each option by itself is right or left out."""
    rest = copy.deepcopy(content)
    for item in error.errors():
        *tables, option = item["loc"] or ("",)
        table: Any = rest
        for name in tables:
            table = table.get(name, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict):
            table.pop(option, None)
    known = {item["loc"] for item in error.errors()}
    try:
        Config.model_validate(rest)
    except ValidationError as later:
        if not any(item["loc"] in known for item in later.errors()):
            return _messages(later, flags)
    return []


def _suggestion(where: list[str]) -> str:
    model = _MODELS.get(where[0], Config) if len(where) > 1 else Config
    return did_you_mean(where[-1], [*model.model_fields, "batching"])


def did_you_mean(name: str, known: list[str]) -> str:
    """``"; did you mean …?"``, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
