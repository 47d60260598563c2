"""The input files of a configuration: patterns expanded, once a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqmill.pipelines.console import say
from seqmill.pipelines.options import Config
from seqmill.pipelines.sources import sources_of
from seqmill.transforms.readers import expected_in_folder, files_of_folder
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.name_patterns import has_wildcard
from seqmill.transforms.storage.output_folder import is_own

_MOST_NAMED = 3

Inputs = list[str] | dict[str, list[str]]
"""Paths in corpus order; for format ``text`` such a list per field."""


def find_inputs(config: Config) -> dict[str, Inputs]:
    """Per source its input files. What is listed several times is there as often, which is said.

    Raises:
        UsageError: Names every file and folder that is missing and every pattern that matches nothing.
    """
    problems: list[str] = []
    found: dict[str, Inputs] = {}
    for name, source in sources_of(config).items():
        options, where = source.options, f"{source.where}.files"
        root = options.audio_root
        if root is not None and files.is_local(root) and not files.is_folder(root):
            problems.append(f"{source.where}.audio_root: {root}: no such folder")
        for option, path in (("only_tags", options.only_tags), ("not_tags", options.not_tags)):
            if path is not None and not files.is_file(path):
                problems.append(f"{source.where}.{option}: {path}: no such file")
        if isinstance(options.files, Mapping):
            by_field = {
                field: _expand(f"{where}.{field}", given, config.output, problems)
                for field, given in options.files.items()
            }
            if all(by_field.values()) and len({len(paths) for paths in by_field.values()}) > 1:
                numbers = ", ".join(f"{len(paths)} for {field}" for field, paths in by_field.items())
                problems.append(f"{where}: expected as many files for every key, found {numbers}")
            found[name] = by_field
            _say_repeated(where, [*zip(*by_field.values(), strict=False)])
            _warn_of_empty(where, [path for paths in by_field.values() for path in paths])
        else:
            given = {path: _in_folder(options.format, path) for path in options.files}
            problems += [
                f"{where}: {path}: {_of_folder(options.format)}" for path in given if not given[path]
            ]
            listed = [file for path in options.files for file in given[path]]
            found[name] = paths = _expand(where, listed, config.output, problems)
            _say_repeated(where, [(path,) for path in paths])
            _warn_of_empty(where, paths)
    if problems:
        raise UsageError("\n  ".join(["input files:", *problems]))
    return found


def each_once(inputs: Inputs) -> tuple[Inputs, tuple[int, ...]]:
    """Input files without those that were there before; for format ``text`` what is read side by side.

    Returns:
        The files, and which of them each one of ``inputs`` is.

    >>> each_once(["b", "a", "b"])
    (['b', 'a'], (0, 1, 0))
    >>> each_once({"x": ["a", "a"], "y": ["b", "c"]})[1]
    (0, 1)
    """
    fields = None if isinstance(inputs, list) else [*inputs]
    listed = (
        [(path,) for path in inputs] if isinstance(inputs, list) else [*zip(*inputs.values(), strict=True)]
    )
    numbers = {paths: number for number, paths in enumerate(dict.fromkeys(listed))}
    places = tuple(numbers[paths] for paths in listed)
    if fields is None:
        return [path for (path,) in numbers], places
    return {field: [paths[place] for paths in numbers] for place, field in enumerate(fields)}, places


def _in_folder(format: str, path: str) -> list[str]:
    """The path itself; of a folder the files to read, none where there are none."""
    return files_of_folder(format, path) or [] if files.is_folder(path) else [path]


def _of_folder(format: str) -> str:
    """What to say of a folder in which there is nothing to read."""
    expected = expected_in_folder(format)
    if expected is None:
        return f'a folder; format {format} expects files, such as "FOLDER/*"'
    return f"a folder without anything of format {format}; expected {expected}"


def _expand(where: str, patterns: Sequence[str], output: str, problems: list[str]) -> list[str]:
    paths = []
    for pattern in patterns:
        matches = files.expand(pattern)
        if not is_own(output, pattern):  # else what an earlier run wrote would be input of the next
            matches = [path for path in matches if not is_own(output, path)]
        if not matches:
            problems.append(f"{where}: {pattern}: {_missing(pattern)}")
        paths += matches
    return paths


def _missing(pattern: str) -> str:
    """What to say of a path or pattern at which there is no file to read."""
    if has_wildcard(pattern):
        return "no file matches"
    if not files.is_local(pattern) or not os.path.lexists(pattern):
        return "no such file"
    leads_nowhere = Path(pattern).is_symlink() and not files.exists(pattern)
    return "a link that leads nowhere" if leads_nowhere else "no regular file"


def _warn_of_empty(where: str, paths: Sequence[str]) -> None:
    """Says which local files have no bytes, as is left of a download that failed."""
    empty = [path for path in dict.fromkeys(paths) if files.is_local(path) and files.size(path) == 0]
    if empty:
        more = f" and {len(empty) - _MOST_NAMED:,} more" if len(empty) > _MOST_NAMED else ""
        say(f"warning: {where}: no bytes in {', '.join(empty[:_MOST_NAMED])}{more}")


def _say_repeated(where: str, inputs: Sequence[tuple[str, ...]]) -> None:
    for paths, count in Counter(inputs).items():
        if count > 1:
            say(
                f"{where}: {', '.join(paths)} is listed {count} times: each of its sequences is {count} "
                "times in a pass, and once in the store"
            )
