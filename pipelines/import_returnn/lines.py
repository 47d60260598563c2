"""Lines of a configuration that is written, for what is known of a value and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from seqmill.pipelines.import_returnn.values import find_unread
from seqmill.pipelines.init.write_config import Line
from seqmill.pipelines.returnn_names import Kind, meaning_of

_OF_CONFIGS = ("train", "dev", "eval", "task", "target", "device", "load", "num_inputs", "num_outputs")
_LONGEST = 50  # characters of a value that a comment shows


def note(text: str) -> Line:
    """A comment that stands in a line of its own."""
    return Line("", None, text)


def not_read(name: str, value: Any) -> Line:
    """A comment that says that a value is not known, and where it is."""
    return note(f"{name}: not read: {find_unread(value)}")


def shown(value: Any) -> str:
    """A value as a comment shows it."""
    text = f"({found})" if (found := find_unread(value)) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def option(
    name: str, value: Any, *kinds: type, why: str = "", convert: Callable[[Any], Any] = lambda value: value
) -> Line:
    """An option that has the value of RETURNN's, where that is of one of some types; else a comment."""
    if find_unread(value) is not None:
        return not_read(name, value)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return note(f"{name} = {shown(value)}: not of the type that RETURNN's manual says")
    return Line(name, convert(value), why)


def left_over(options: Mapping[str, Any], known: Iterable[str]) -> Iterator[Line]:
    """Comments on options that are set and have no line of their own."""
    nothing = []
    for name, value in options.items():
        if name in known or value is None or value == {} or value == "":
            continue
        meaning = None if name in _OF_CONFIGS else meaning_of(str(name))
        if meaning is not None and meaning.kind is Kind.NOTHING:
            nothing.append(str(name))
        elif meaning is not None:
            yield note(f"{name} = {shown(value)}: {meaning.advice}")
        else:
            yield note(f"{name} = {shown(value)}: no counterpart")
    if nothing:
        yield note(f"nothing to set for {', '.join(nothing)}")
