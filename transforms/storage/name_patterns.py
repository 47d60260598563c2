"""Patterns of names, for listings of object stores; they mean what they mean on a local disk."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase


def has_wildcard(path: str) -> bool:
    """Whether a path is a pattern."""
    return any(character in path for character in "*?[")


def matches(name: str, pattern: str) -> bool:
    """Whether a path matches a pattern, as Python's ``glob`` has it: wildcards match no hidden names.

    >>> matches("a/b.txt", "*/*.txt"), matches("a/b/c.txt", "**/c.txt"), matches("c.txt", "**/c.txt")
    (True, True, True)
    >>> matches("a/b.txt", "*.txt"), matches(".b.txt", "*.txt"), matches(".b.txt", ".*")
    (False, False, True)
    """
    return _match(name.split("/"), pattern.split("/"))


def _match(names: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not names
    if not names:
        return False
    if patterns[0] == "**":
        if len(patterns) > 1 and _match(names, patterns[1:]):
            return True
        rest = patterns if len(names) > 1 else patterns[1:]
        return not _is_hidden(names[0]) and _match(names[1:], rest)
    return _fits(names[0], patterns[0]) and _match(names[1:], patterns[1:])


def _fits(name: str, pattern: str) -> bool:
    if not has_wildcard(pattern):
        return name == pattern
    return fnmatchcase(name, pattern) and (_is_hidden(pattern) or not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
