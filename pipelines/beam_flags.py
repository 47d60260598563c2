"""Beam's own flags: told from mistakes. Beam is imported only where a flag may be one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any

from seqmill.transforms.storage.checked_options import did_you_mean
from seqmill.transforms.storage.errors import UsageError


def check_beam_flags(flags: Sequence[str], suggest_from: Sequence[str]) -> None:
    """Refuses flags that neither seqmill nor Beam knows.

    Raises:
        UsageError: Names the first unknown flag and what is near it.
    """
    known = beam_flag_names(flags) if any(flag.startswith("--") for flag in flags) else set()
    for before, flag in pairwise(["", *flags]):
        # A word behind --flag may be its value.
        if not flag.startswith("--") and (not before.startswith("--") or "=" in before):
            raise UsageError(f"{flag}: unexpected argument; expected one CONFIG, and options as --name=value")
        if flag.startswith("--"):
            name = flag[2:].partition("=")[0]
            if name not in known:
                near = did_you_mean(f"--{name}", [f"--{option}" for option in (*suggest_from, *known)])
                raise UsageError(f"--{name}: unknown option{near}")


def beam_flag_names(flags: Sequence[str]) -> set[str]:
    """Names of the flags that Beam's installed options define, those of the named runner included."""
    from apache_beam.options.pipeline_options import PipelineOptions

    for flag in flags:
        if flag.startswith("--runner=") and "." in flag:
            module = flag.partition("=")[2].rpartition(".")[0]
            try:
                import_module(module)
            except ImportError as error:
                raise UsageError(f"{flag}: cannot be imported ({error})") from None
    parser = _FlagNames()
    for options in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(options):
            options._add_argparse_args(parser)
    return parser.names


class _FlagNames:
    """Stands for an argument parser where only the flags' names are wanted."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_argument(self, *flags: str, **_: object) -> None:
        self.names |= {flag.lstrip("-") for flag in flags}

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **_: object) -> _FlagNames:
        return self

    add_argument_group = add_mutually_exclusive_group


def _all_subclasses(kind: Any) -> list[Any]:
    found: list[Any] = []
    for child in kind.__subclasses__():
        found += [child, *_all_subclasses(child)]
    return found
