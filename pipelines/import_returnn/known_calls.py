"""Functions and methods of Python whose results are known from plain arguments alone."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable
from typing import Any

from seqmill.pipelines.import_returnn.bounds import MOST_ITEMS, MOST_TEXT, braces, holds, measure
from seqmill.pipelines.import_returnn.values import NotReadError, tried

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "os.path.join": posixpath.join,
    "os.path.basename": posixpath.basename,
    "os.path.dirname": posixpath.dirname,
    "os.path.splitext": posixpath.splitext,
    "os.path.normpath": posixpath.normpath,
    "os.path.abspath": posixpath.normpath,  # of the current folder, which paths start from anyway
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "print": lambda *_, **__: None,
}
_BUILTINS: tuple[Callable[..., Any], ...] = (
    *(dict, list, tuple, set, int, float, str, bool, len, sum, min, max, sorted, round, abs, any, all),
    *(enumerate, zip, reversed, repr),
)
FUNCTIONS.update({function.__name__: function for function in _BUILTINS})

_METHODS: dict[type, tuple[str, ...]] = {
    str: (
        *("strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "split", "rsplit"),
        *("splitlines", "startswith", "endswith", "removeprefix", "removesuffix", "partition"),
        *("rpartition", "count", "find", "index", "isdigit"),
    ),
    dict: ("get", "keys", "values", "items", "copy"),
    list: ("copy", "index", "count"),
    tuple: ("index", "count"),
    set: ("copy", "union", "intersection", "difference", "issubset", "issuperset"),
}
_CHANGES: dict[type, tuple[str, ...]] = {
    dict: ("update", "setdefault", "pop"),
    list: ("append", "extend", "insert", "pop", "remove", "reverse"),
    set: ("add", "update", "discard"),
}
_LAZY: tuple[type, ...] = (enumerate, zip, reversed, type({}.keys()), type({}.values()), type({}.items()))
CHANGING = frozenset(name for names in _CHANGES.values() for name in names)


def call_function(name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    """The result of a function by its full name.

    Raises:
        NotReadError: It is none of those that are known, or it fails, or would make too much.
    """
    if name == "range":
        return _range(positional)
    if name not in FUNCTIONS or (named and name not in ("dict", "print")):
        raise NotReadError
    if name == "round" and len(positional) > 1 and not -400 < positional[1] < 400:
        raise NotReadError
    return _plain(tried(FUNCTIONS[name], *positional, **named))


def call_method(value: Any, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    """The result of a method; lists, dicts and sets may be changed by it.

    Raises:
        NotReadError: It is none of those that are known, or it fails, or would make too much.
    """
    kind = type(value)
    if kind is str and name == "format":
        return braces(value, positional, named)
    if kind is str and name == "join" and len(positional) == 1:
        return _join(value, positional[0])
    if kind is str and name == "replace" and len(positional) == 2:
        if not all(isinstance(one, str) for one in positional):
            raise NotReadError
        if (len(value) + 1) * (len(positional[1]) + 1) > MOST_TEXT * 10:
            raise NotReadError("too long")
        return value.replace(*positional)
    changes = name in _CHANGES.get(kind, ())
    if not changes and name not in _METHODS.get(kind, ()):
        raise NotReadError
    if named and not (kind is dict and name == "update"):
        raise NotReadError
    if changes:
        if sum(map(measure, [value, *positional, named])) > MOST_ITEMS:
            raise NotReadError("too large")
        if any(holds(one, value) for one in (*positional, *named.values())):
            raise NotReadError("in itself")
    return _plain(tried(getattr(value, name), *positional, **named))


def _range(positional: list[Any]) -> list[int]:
    numbers = tried(range, *positional)
    if len(numbers) > MOST_ITEMS:
        raise NotReadError("too long")
    return list(numbers)


def _join(between: str, parts: Any) -> str:
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise NotReadError
    if sum(map(len, parts)) + len(between) * len(parts) > MOST_TEXT:
        raise NotReadError("too long")
    return between.join(parts)


def _plain(result: Any) -> Any:
    """Views and iterators as lists."""
    return list(result) if type(result) in _LAZY else result
