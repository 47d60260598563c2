"""Text of the data's and of other people's files on a terminal: shown, never obeyed."""

from __future__ import annotations

import io
import re
import sys

# Control characters (C0, DEL, C1) but for line feed and tab, marks that turn the direction of text, Unicode's
# own line ends, and halves of surrogate pairs, which no encoding has.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""A text with everything that a terminal would act on written as an escape.

    >>> print(printable("\x1b[31mred\x07"))
    \x1b[31mred\x07
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_what_the_terminal_lacks() -> None:
    """Prints what the encoding of standard output or error lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
