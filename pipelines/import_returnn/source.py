"""A source of seqmill that a RETURNN dataset becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqmill.pipelines.import_returnn.lines import note, shown
from seqmill.pipelines.import_returnn.orders import ORDER_OPTIONS
from seqmill.pipelines.import_returnn.values import Function, Unread, find_unread
from seqmill.pipelines.init.write_config import Line

ALWAYS = ("class", "name", *ORDER_OPTIONS)
"""Options of every dataset that have their lines elsewhere."""


@dataclass
class Source:
    """A dataset as a source of seqmill.

    Attributes:
        options: Of the dataset that decides the order.
        format: That seqmill reads it by.
        files: Of the format.
        why: A comment on the files.
        comments: On what has no counterpart.
        fields: Per data key what is known of it, without those of an HDF file.
        joins: Sources that are joined, with the data keys that each gives.
        mixes: Sources that are mixed in, by name, with the share of each.
        share: Where others are mixed in, the share of its own files.
    """

    options: Mapping[str, Any]
    format: str
    files: Any
    why: str = ""
    comments: list[Line] = field(default_factory=list)
    fields: dict[str, list[Line]] = field(default_factory=dict)
    joins: list[tuple[Source, list[str]]] = field(default_factory=list)
    mixes: dict[str, tuple[Source, int]] = field(default_factory=dict)
    share: int | None = None

    @property
    def lines(self) -> Iterator[Line]:
        """Format and files, as a table has them."""
        yield Line("format", self.format)
        if isinstance(self.files, Mapping):
            yield Line("files", self.files, self.why)
            return
        found = find_unread(self.files)
        lost = "; ".join(str(one) for one in self.files if isinstance(one, Unread)) if found else ""
        names = [one for one in self.files if isinstance(one, str)]
        if found:
            yield note(f"files: not read: {lost or found}")
        yield Line("files", names or [f"FILL-IN.{self.format}"], self.why)


def dumped(options: Mapping[str, Any], corpus: str) -> Source:
    """What has no counterpart: RETURNN itself writes it to a file that is read."""
    kind = options.get("class")
    why = f"write it by RETURNN's tools/hdf_dump.py, from {kind}, which has no counterpart"
    names = [str(name) for name in options if name not in ALWAYS]
    comments = [note(f"options of {kind} itself: {', '.join(names)}")] if names else []
    return Source(options, "hdf", [f"{corpus}.hdf"], why, comments)


def as_list(value: Any) -> list[Any]:
    """One name or several, as a list; what is neither stays as something that was not read."""
    if isinstance(value, list | tuple):
        return list(value)
    return [value] if isinstance(value, str | Unread | Function) else [Unread(0, shown(value))]
