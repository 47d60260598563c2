"""Values of a RETURNN config: plain ones, and what stands for those that are not known."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 60  # characters of source that a comment quotes


@dataclass(frozen=True)
class Unread:
    """A value that is not known, with the line and the source that say what it would be."""

    line: int
    source: str
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"line {self.line}: {self.source}{why}"


@dataclass(frozen=True)
class Imported:
    """A module, or what is in one, by its full name; ``config`` of RETURNN itself, too."""

    name: str


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the config, with the values of its defaults and the names that it sees."""

    node: ast.FunctionDef
    defaults: Mapping[str, Any]
    scope: Any


class NotReadError(Exception):
    """What is asked for cannot be known; the text says why, or is empty where the source says enough."""


class LostError(NotReadError):
    """What is asked for hangs on something else that is not known."""

    def __init__(self, origin: Unread):
        super().__init__(origin.why)
        self.origin = origin


def tried(function: Callable[..., Any], /, *values: Any, **named: Any) -> Any:
    """The result of a function. Raises NotReadError where it fails."""
    try:
        return function(*values, **named)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        raise NotReadError(str(error)) from None


def unread(node: ast.AST, why: str = "") -> Unread:
    """What stands for the value of a piece of source."""
    try:
        source = " ".join(ast.unparse(node).split())
    except (ValueError, RecursionError):
        source = "…"
    return Unread(
        getattr(node, "lineno", 0), source if len(source) <= _LONGEST else f"{source[:_LONGEST]}…", why
    )


def find_unread(value: Any) -> Unread | None:
    """The first thing in a value that is not known."""
    if isinstance(value, Unread):
        return value
    if isinstance(value, Function):
        return Unread(value.node.lineno, f"def {value.node.name}(…)", "a function")
    if isinstance(value, Imported):
        return Unread(0, value.name, "imported")
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    )
    return next((found for one in inner if (found := find_unread(one)) is not None), None)
