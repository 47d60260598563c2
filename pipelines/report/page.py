"""The page of a report: sections with text, tables and drawings, in one HTML file that needs nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from seqmill.transforms.storage.terminal import printable

BEGINNING = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="generator" content="seqmill report">'
)
"""How a page begins, by which an earlier report is known."""

DRAWING = '<div class="drawing">'
"""How a drawing begins."""
DRAWING_ID = "seqmill-drawing-of-no-number"
"""Stands in drawings for the name that ``page`` gives each, so that the same figures make the same file."""

_CODE = re.compile("`([^`]+)`")
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem 1.25rem 4rem; background: #fff; color: #1f2933;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid #d9e2ec; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .9rem; }
a { color: #0b69a3; text-decoration: none; } a:hover { text-decoration: underline; }
.table { overflow-x: auto; margin: .5rem 0 1rem; background:
  linear-gradient(to right, #fff 30%, #fff0) 0 0 / 2.5rem 100% local no-repeat,
  linear-gradient(to left, #fff 30%, #fff0) 100% 0 / 2.5rem 100% local no-repeat,
  linear-gradient(to right, #829ab166, #829ab100) 0 0 / .75rem 100% scroll no-repeat,
  linear-gradient(to left, #829ab166, #829ab100) 100% 0 / .75rem 100% scroll no-repeat; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid #9fb3c8; } td { border-bottom: 1px solid #f0f4f8; }
.text { text-align: left; } td.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem; }
.label, code { font-family: ui-monospace, Menlo, Consolas, monospace; }
.label { white-space: pre-wrap; }
code { font-size: .9em; overflow-wrap: anywhere; }
.drawing { width: 100%; min-width: 0; margin: .25rem 0 1rem; overflow: hidden; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2rem; }
.pair > * { min-width: 0; }
"""


@dataclass(frozen=True)
class Text:
    """A cell of text rather than numbers.

    Attributes:
        text: The text.
        is_label: Whether it is shown as it is, character by character.
        is_long: Whether it may take several lines.
    """

    text: str
    is_label: bool = False
    is_long: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        intro: What it tells, and which option changes it; names of options between backquotes.
        parts: HTML, as the functions of this module and ``drawing`` give it.
    """

    title: str
    intro: str
    parts: tuple[str, ...]


def page(title: str, sections: Sequence[Section]) -> str:
    """The HTML of a page, Plotly's program in it."""
    from plotly.offline import get_plotlyjs

    links = "".join(f'<a href="#s{n}">{plain(s.title)}</a>' for n, s in enumerate(sections))
    body = "".join(
        f'<section id="s{number}"><h2>{plain(section.title)}</h2>{paragraph(section.intro)}'
        f"{''.join(section.parts)}</section>"
        for number, section in enumerate(sections)
    )
    first, *drawings = body.split(DRAWING)
    body = first + "".join(
        DRAWING + part.replace(DRAWING_ID, f"drawing-{number}") for number, part in enumerate(drawings)
    )
    return (
        f"{BEGINNING}"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{plain(title)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body><h1>{plain(title)}</h1><nav>{links}</nav>{body}</body></html>"
    )


def plain(text: str) -> str:
    """Text as HTML that shows it: no markup of the data's, control characters as escapes.

    >>> plain("a<b>\\x07")
    'a&lt;b&gt;\\\\x07'
    """
    return escape(printable(text))


def cut(text: str, most: int = 300) -> str:
    """The beginning of a text of the data's, however long that is.

    >>> cut("abcd", 3)
    'abc…'
    """
    return text if len(text) <= most else f"{text[:most]}…"


def heading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{plain(text)}</h3>"


def paragraph(text: str) -> str:
    """A paragraph; what stands between backquotes is code.

    >>> paragraph("set `max_seqs`")
    '<p>set <code>max_seqs</code></p>'
    """
    shown = _CODE.sub(r"<code>\1</code>", plain(text))
    return f"<p>{shown}</p>"


def pair(*parts: str) -> str:
    """Parts side by side where there is room."""
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def table(columns: Sequence[str | Text], rows: Iterable[Sequence[object]]) -> str:
    """A table.

    Args:
        columns: Headings; those of columns of text as ``Text``.
        rows: Cells: ``Text``, whole numbers, or numbers as they are to be shown.
    """
    head = "".join(_cell("th", column) for column in columns)
    body = "".join(f"<tr>{''.join(_cell('td', cell) for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(tag: str, cell: object) -> str:
    if isinstance(cell, Text):
        kinds = ["text", *(["label"] if cell.is_label else []), *(["long"] if cell.is_long else [])]
        return f'<{tag} class="{" ".join(kinds)}">{plain(cell.text)}</{tag}>'
    shown = f"{cell:,}" if isinstance(cell, int) else str(cell)
    return f"<{tag}>{plain(shown)}</{tag}>"
