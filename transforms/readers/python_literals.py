"""Lists of dicts and dicts written as Python literals, read as data: nothing is ever executed."""

from __future__ import annotations

import ast
import codecs
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from seqmill.transforms.readers.split import DamagedFileError
from seqmill.transforms.storage.errors import RejectedSequence

_LARGEST_DICT = 1 << 20  # parsing takes a hundred times its size
_DEEPEST = 20
_TOKEN = re.compile(
    r"""(?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")|(?P<bracket>[][{}()])|[^][{}()'"]+""",
    re.DOTALL,
)


def dict_texts(pieces: Iterable[bytes]) -> Iterator[str | RejectedSequence]:
    """Yields the text of every dict in the literal of a list of dicts, or a reject for one that is too large.

    Args:
        pieces: UTF-8 in runs of any size.

    Raises:
        DamagedFileError: What comes next is no such list, or it ends before its end.
    """
    scanner = _Scanner(pieces)
    if scanner.next()[1] != "[":
        raise DamagedFileError("expected the Python literal of a list of dicts")
    while True:
        kind, token = scanner.next()
        if token == "]":
            return
        if token == "{":
            yield scanner.rest_of_dict()
        elif kind or token.strip(", \r\n\t"):
            raise DamagedFileError(
                f"expected a dict near character {scanner.position:,}, found {token[:40]!r}"
            )


def literal_dict(text: str) -> dict[Any, Any]:
    """The dict of a literal.

    Raises:
        RejectedSequence: It is none, or has a key twice.

    >>> literal_dict("{'text': 'hello', 'duration': 2.5}")
    {'text': 'hello', 'duration': 2.5}
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will not know some day
            tree = ast.parse(text.strip(), mode="eval")
        value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise RejectedSequence("not a Python literal", str(error)[:200]) from None
    if not isinstance(value, dict) or not isinstance(tree.body, ast.Dict):
        raise RejectedSequence("not a Python literal", f"expected a dict, found {type(value).__name__}")
    if len(value) < len(tree.body.keys):
        keys = [ast.literal_eval(key) for key in tree.body.keys if key is not None]
        raise RejectedSequence(
            "a field occurs twice", ", ".join(sorted({str(k) for k in keys if keys.count(k) > 1}))
        )
    return value


class _Scanner:
    """Tokens of a literal: strings, brackets and what stands between them."""

    def __init__(self, pieces: Iterable[bytes]):
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held, self._at, self._before = "", 0, 0
        self._is_over = False

    @property
    def position(self) -> int:
        """Characters that were taken."""
        return self._before + self._at

    def next(self) -> tuple[str | None, str]:
        """The next token and its kind; None for what is neither a string nor a bracket. White space is none.

        Raises:
            DamagedFileError: There is none.
        """
        while True:
            match = _TOKEN.match(self._held, self._at)
            if match is not None and (match.end() < len(self._held) or match.lastgroup or self._is_over):
                self._at = match.end()
                if match.lastgroup or not match[0].isspace():
                    return match.lastgroup, match[0]
            elif self._is_over:
                rest = self._held[self._at :]
                what = "inside of a string" if rest else "before the end of the list"
                raise DamagedFileError(f"cut short: it ends {what}, at character {self.position:,}")
            else:
                if len(self._held) - self._at > 2 * _LARGEST_DICT:
                    raise DamagedFileError(
                        f"a string of over {_LARGEST_DICT:,} characters at {self.position:,}"
                    )
                self._fill()

    def rest_of_dict(self) -> str | RejectedSequence:
        """The text of a dict whose first bracket was taken."""
        texts, size, depth, deepest = ["{"], 1, 1, 1
        start = self.position
        while depth:
            kind, token = self.next()
            if kind == "bracket":
                depth += 1 if token in "{[(" else -1
                deepest = max(deepest, depth)
            size += len(token)
            if size <= _LARGEST_DICT:
                texts.append(token)
        if size > _LARGEST_DICT:
            detail = f"a dict of {size:,} characters; at most {_LARGEST_DICT:,} are read"
            return RejectedSequence("larger than is read", detail)
        if deepest > _DEEPEST:
            return RejectedSequence("nested too deep", f"{deepest} brackets at character {start:,}")
        return "".join(texts)

    def _fill(self) -> None:
        piece = next(self._pieces, None)
        try:
            text = self._decoder.decode(piece or b"", final=piece is None)
        except UnicodeDecodeError as error:
            raise DamagedFileError(f"not UTF-8 ({error.reason}) near character {self.position:,}") from None
        self._is_over = piece is None
        self._before += self._at
        self._held, self._at = self._held[self._at :] + text, 0
