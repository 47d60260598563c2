"""What ``normalize`` does to text, step by step: case, Unicode's forms, replacements."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

CODE_VERSION = 1  # raised when the same steps would make another text
_FORMS: dict[str, Literal["NFC", "NFD", "NFKC", "NFKD"]] = {
    "nfc": "NFC",
    "nfd": "NFD",
    "nfkc": "NFKC",
    "nfkd": "NFKD",
}
_CASES: dict[str, Callable[[str], str]] = {"lower": str.lower, "upper": str.upper, "casefold": str.casefold}
STEPS = (*_CASES, *_FORMS)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Replacement:
    r"""What matches a regular expression is replaced, everywhere in a text.

    Attributes:
        regex: In the syntax of RE2, which takes time in proportion to the text, whatever the expression.
        replace: Put in its place; ``\1`` is the first group, ``\0`` all of the match.
    """

    regex: str = Field(strict=True, min_length=1)
    replace: str = Field(strict=True)


Step = str | Replacement


def check_steps(steps: Any) -> tuple[Step, ...]:
    """The steps of an option ``normalize``. Raises ValueError, which says what is wrong with which.

    >>> check_steps(["lower", {"regex": "[0-9]+", "replace": "0"}])[0]
    'lower'
    """
    if not isinstance(steps, list | tuple):
        raise ValueError('expected a list such as ["nfc", "lower", {regex = "[0-9]", replace = "0"}]')
    return tuple(_checked(number, step) for number, step in enumerate(steps, start=1))


def as_json(steps: Sequence[Step]) -> list[str | dict[str, str]]:
    """Steps as the option has them, and manifests."""
    return [
        step if isinstance(step, str) else {"regex": step.regex, "replace": step.replace} for step in steps
    ]


def versions_of(steps: Sequence[Step]) -> dict[str, str | int]:
    """Versions of what decides the text that steps make: of steps, Unicode's data and expressions."""
    versions: dict[str, str | int] = {}
    if steps:
        versions = {"steps": CODE_VERSION, "unicode": unicodedata.unidata_version}
    if any(isinstance(step, Replacement) for step in steps):
        versions["pyarrow"] = version("pyarrow")
    return versions


def apply_steps(steps: Sequence[Step], texts: list[str]) -> list[str]:
    """Texts, of valid Unicode, after all steps.

    >>> apply_steps(["lower", Replacement(" +", " ")], ["A  B"])
    ['a b']
    """
    for step in steps:
        texts = _applied(step, texts)
    return texts


def _checked(number: int, step: Any) -> Step:
    if isinstance(step, dict):
        fields = {name for name, text in step.items() if isinstance(text, str)}
        if fields != {"regex", "replace"} or len(step) > len(fields) or not step["regex"]:
            raise ValueError(f'step {number}: expected {{regex = "…", replace = "…"}}, both text')
        step = Replacement(**step)
    if isinstance(step, Replacement):
        if re.search(r"(?<!\\)(\\\\)*\\C", step.regex):
            raise ValueError(
                f"step {number}: found \\C, a single byte, in the expression; expected characters"
            )
        try:
            _replace(step, [""])
        except ValueError as error:
            raise ValueError(f"step {number}: {error}; expressions are RE2's") from None
    elif step not in STEPS:
        raise ValueError(f"step {number}: expected one of {', '.join(STEPS)}, or {{regex, replace}}")
    return step


def _applied(step: Step, texts: list[str]) -> list[str]:
    if isinstance(step, Replacement):
        return _replace(step, texts)
    if step in _CASES:
        return [*map(_CASES[step], texts)]
    form = _FORMS[step]
    return [text if text.isascii() else unicodedata.normalize(form, text) for text in texts]


def _replace(step: Replacement, texts: list[str]) -> list[str]:
    """Replaces in all texts. Raises ValueError where the expression or the replacement is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    replaced = pc.replace_substring_regex(
        pa.array(texts, pa.large_string()), pattern=step.regex, replacement=step.replace
    )
    return replaced.to_pylist()
