"""Beam's own flags: told from mistakes. Beam is imported only where a flag may be one of its own."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

from seqmill.pipelines.returnn_names import with_advice
from seqmill.pipelines.runners import has_job_server, import_runner, is_local
from seqmill.transforms.storage.checked_options import did_you_mean
from seqmill.transforms.storage.errors import UsageError

_LOCAL_NAMES = {"direct_num_workers", "direct_running_mode"}
_NEAR = 0.8  # of 1: how like one that is known the name of a flag for a job server may be
_NEEDS_RUNNER = {
    "job_endpoint": "PortableRunner",
    "dask_client_address": "DaskRunner",
    "dask_scheduler_file": "DaskRunner",
    "prism_location": "PrismRunner",
    "flink_master": "FlinkRunner",
    "spark_master_url": "SparkRunner",
}


@dataclass(frozen=True)
class LocalFlags:
    """How flags ask for work on this machine.

    Attributes:
        in_processes: Whether in worker processes; None where nothing is said.
        num_workers: How many of them; 0 for as many as there are cores.
    """

    in_processes: bool | None
    num_workers: int


def local_flags(flags: Sequence[str]) -> LocalFlags | None:
    """How work is to be done on this machine without Beam; None where flags name a runner, or Beam's threads.

    >>> from seqmill.pipelines.beam_flags import local_flags
    >>> local_flags(["--direct_num_workers=4"])
    LocalFlags(in_processes=True, num_workers=4)
    >>> local_flags(["--runner=FlinkRunner"]) is None
    True
    """
    given = _parse(flags)
    if given.runner is not None or given.direct_running_mode == "multi_threading":
        return None
    number = given.direct_num_workers
    if given.direct_running_mode is not None:
        return LocalFlags(given.direct_running_mode == "multi_processing", number or 0)
    return LocalFlags(None if number is None else number != 1, number or 0)


def check_beam_flags(flags: Sequence[str], suggest_from: Sequence[str]) -> None:
    """Refuses flags that neither seqmill nor Beam knows, and wrong values of those that say where to run.

    What only a job server may know is let through, unless it is nearly the name of another flag.

    Raises:
        UsageError: Names the first unknown flag and what is near it, or the wrong value.
    """
    runner = _parse(flags).runner
    names = flag_names(flags)
    known = _LOCAL_NAMES
    if not set(names) <= known:
        if runner is not None:
            import_runner(runner)
        elif any(name.startswith("dask_") for name in names):
            import_module("apache_beam.runners.dask.dask_runner")
        known = beam_flag_names()
    passes_on = runner is not None and has_job_server(runner)
    for before, flag in pairwise(["", *flags]):
        # A word behind --flag may be its value.
        if not flag.startswith("--") and (not before.startswith("--") or "=" in before):
            raise UsageError(f"{flag}: unexpected argument; expected one CONFIG, and options as --name=value")
    for name in names:
        if name in known:
            continue
        candidates = [*suggest_from, *known]
        if not passes_on or difflib.get_close_matches(name, candidates, cutoff=_NEAR):
            near = did_you_mean(f"--{name}", [f"--{option}" for option in candidates])
            raise UsageError(f"--{name}: {with_advice((name,), f'unknown option{near}')}")
    for name in names:
        if runner is None and name in _NEEDS_RUNNER:
            raise UsageError(
                f"--{name}: only a runner heeds it; expected --runner={_NEEDS_RUNNER[name]}, too"
            )


def runner_flag(flags: Sequence[str]) -> str | None:
    """The runner that flags name."""
    runner: str | None = _parse(flags).runner
    return runner


def flag_names(flags: Sequence[str]) -> list[str]:
    """The names of flags, without their values."""
    return [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]


def beam_flag_names() -> set[str]:
    """Names of the flags that Beam's options define, as far as they are imported."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = _FlagNames()
    for options in _all_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(options):
            options._add_argparse_args(parser)
    return parser.names


def _parse(flags: Sequence[str]) -> argparse.Namespace:
    """The flags that say where to run. Raises UsageError where one has a wrong value."""
    parser = _Values(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner")
    parser.add_argument("--direct_num_workers", type=int)
    parser.add_argument("--direct_running_mode", choices=["in_memory", "multi_threading", "multi_processing"])
    given, _ = parser.parse_known_args(list(flags))
    if (given.direct_num_workers or 0) < 0:
        expected = "a number from 1, or 0 for as many as there are cores"
        raise UsageError(f"--direct_num_workers: found {given.direct_num_workers}; expected {expected}")
    if given.direct_running_mode == "multi_processing" and given.runner and is_local(given.runner):
        raise UsageError(
            f"--runner={given.runner}: Beam's local runner works in this process; leave --runner out for "
            "worker processes"
        )
    return given


class _Values(argparse.ArgumentParser):
    """Ends with one line, as for every other wrong option."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


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
