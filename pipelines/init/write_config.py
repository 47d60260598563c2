"""The text of a configuration: TOML with a comment for everything that was guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.storage.terminal import printable

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100
_MOST_CHARACTERS = 1000
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True)
class Line:
    """An option with its value, and why it is so; without a name the comment alone."""

    name: str
    value: Any = None
    why: str = ""


@dataclass(frozen=True)
class Table:
    """A table: the dotted name that stands in brackets (empty for what is in none), and its lines."""

    name: str
    lines: Sequence[Line]


def config_text(tables: Sequence[Table]) -> str:
    """The TOML of some tables.

    >>> print(config_text([Table("data.x", [Line("field", "a\\x07", "named so")])]))
    [data.x]
    field = "a\\u0007"  # named so
    <BLANKLINE>
    """
    blocks = []
    for table in tables:
        lines = [f"[{table.name}]"] if table.name else []
        for line in table.lines:
            why = comment(line.why)
            if not line.name:
                lines.append(f"# {why}".rstrip())
                continue
            option = f"{line.name} = {toml(line.value)}"
            if why and len(option) + len(why) > _WIDTH:
                lines.append(f"# {why}")
            lines.append(f"{option}  # {why}" if why and len(option) + len(why) <= _WIDTH else option)
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def comment(text: str) -> str:
    """A text as one line that no terminal and no TOML parser takes for anything else."""
    line = " ".join(text.split())
    return printable(line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…")


def toml(value: Any) -> str:
    """A value as TOML: text, numbers, true and false, lists and tables of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        items = ", ".join(
            f"{name if _BARE.fullmatch(name) else _text(name)} = {toml(item)}" for name, item in value.items()
        )
        return f"{{ {items} }}"
    if isinstance(value, list | tuple):
        items = ", ".join(map(toml, value))
        if len(items) <= _WIDTH:
            return f"[{items}]"
        return "[\n" + "".join(f"    {toml(item)},\n" for item in value) + "]"
    return _text(value)


def _text(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
