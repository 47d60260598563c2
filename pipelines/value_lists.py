"""Options that are given several values, separated by commas, for ``seqmill plan --compare``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product

from seqmill.transforms.batches.per_epoch_options import PerEpochOptions
from seqmill.transforms.storage.checked_options import option_fields
from seqmill.transforms.storage.errors import UsageError

_MOST = 1000
_ALIKE = ("packed", "seed", "num_seqs", "share")
_OLDER = {"batching"}


def combinations(flags: Mapping[str, str]) -> tuple[list[str], list[dict[str, str]]]:
    """All combinations of the values that flags list.

    Args:
        flags: Values as given on the command line, by option.

    Returns:
        The options with several values, and per combination all options.

    Raises:
        UsageError: No option has several, a list cannot be meant, or there are too many combinations.

    >>> varied, found = combinations({"seq_ordering": "random,sorted", "max_seqs": "8"})
    >>> varied, [one["seq_ordering"] for one in found]
    (['seq_ordering'], ['random', 'sorted'])
    """
    lists = {flag: _values(flag, text) if _may_vary(flag) else [text] for flag, text in flags.items()}
    varied = [flag for flag, values in lists.items() if len(values) > 1]
    if not varied:
        raise UsageError(
            "--compare: nothing to compare; expected several values of an option that concerns epochs, such "
            "as --seq_ordering=random,laplace:.1000 --batch_size=4000,8000"
        )
    number = 1
    for flag in varied:
        number *= len(lists[flag])
    if number > _MOST:
        raise UsageError(f"--compare: {number:,} combinations; expected at most {_MOST:,}")
    return varied, [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def split_values(text: str) -> list[str]:
    """The parts between commas, but for those inside of brackets and quotes.

    >>> split_values('{data = 4, classes = 3}, 8,"100,75"')
    ['{data = 4, classes = 3}', '8', '"100,75"']
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]


def _may_vary(flag: str) -> bool:
    option = flag.rpartition(".")[2]
    return option in option_fields(PerEpochOptions) or option in _ALIKE or option in _OLDER


def _values(flag: str, text: str) -> list[str]:
    values = split_values(text)
    if len(values) > 1 and not all(values):
        raise UsageError(f"--{flag}={text}: a value between commas is empty")
    if flag.rpartition(".")[2] == "chunking" and re.fullmatch(r"\d+,\d+", "".join(text.split())):
        size, step = values
        raise UsageError(
            f"--{flag}={text}: one chunking or two? Expected {size}:{step} for chunks of {size} every "
            f"{step}, or {size}:{size},{step}:{step} to compare two"
        )
    if twice := next((value for number, value in enumerate(values) if value in values[:number]), None):
        raise UsageError(f"--{flag}={text}: {twice} is there twice")
    return values
