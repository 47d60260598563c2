"""The flags of commands that take a configuration: its options, those of its tables, and Beam's own."""

from __future__ import annotations

import argparse
from typing import Any

from seqmill.pipelines.beam_flags import check_beam_flags, runner_flag
from seqmill.pipelines.config import OLDER_NAMES, TABLES, global_options, load_config
from seqmill.pipelines.options import Config
from seqmill.transforms.storage.checked_options import did_you_mean
from seqmill.transforms.storage.errors import UsageError

_HELP = (
    "They go over those of CONFIG. Values are as in TOML, tables too: --batch_size=4000, "
    "--batch_size='{data = 4000}'; 0, false or none switches a limit off. Options of one corpus or data key: "
    "--corpus.dev.max_seqs=10, --data.classes.vocab=FILE. Beam's own flags (--runner=..., "
    "--direct_num_workers=...) are passed on."
)
_WRITE_BATCHES = ("ingest", "preprocess", "run")
_FLAGS_OF_COMMANDS = {
    "check": _WRITE_BATCHES,
    "json": ("plan",),
    "compare": ("plan",),
    "dry_run": ("cleanup",),
    "follow": ("preprocess", "train"),
    "watch": ("preprocess",),
}


def add_option_flags(command: argparse.ArgumentParser) -> None:
    """Adds a flag for every option that may stand outside a configuration's tables."""
    group = command.add_argument_group("options of the configuration", _HELP)
    for name, field in global_options().items():
        plain = isinstance(field.default, str | int | float) and field.default != ""
        default = f"; default: {field.default}" if plain else ""
        text = f"{field.description}{default}".replace("%", "%%")
        older = [f"--{older}" for older, newer in OLDER_NAMES.items() if newer == name]
        group.add_argument(
            f"--{name}",
            *older,
            dest=name,
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=text,
            action=_Keep,
        )


def load_with_flags(options: argparse.Namespace, rest: list[str]) -> tuple[Config, list[str]]:
    """The configuration that a command line names.

    Args:
        options: What the parser knew.
        rest: All other arguments: options of tables, and Beam's own.

    Returns:
        The configuration, and Beam's flags.

    Raises:
        UsageError: The configuration or a flag is wrong.
    """
    overrides, beam_flags = read_flags(options, rest)
    return load_config(options.config, overrides), beam_flags


def read_flags(options: argparse.Namespace, rest: list[str]) -> tuple[dict[str, str], list[str]]:
    """The values of options as a command line gives them, by option, and Beam's flags.

    Args:
        options: What the parser knew.
        rest: All other arguments.

    Raises:
        UsageError: A flag is wrong.
    """
    _refuse_flags_of_others(options.command, rest)
    overrides: dict[str, str] = dict(getattr(options, "overrides", {}))
    beam_flags = []
    for flag in rest:
        name, is_set, value = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or "." not in name:
            beam_flags.append(flag)
            continue
        section = name.partition(".")[0]
        if section not in TABLES:
            raise UsageError(f"--{name}: unknown option{did_you_mean(section, TABLES)}")
        if name.count(".") < 2 or not is_set:
            raise UsageError(f"{flag}: expected --{section}.NAME.OPTION=VALUE")
        overrides[name] = value
    check_beam_flags(beam_flags, list(global_options()))
    if runner_flag(beam_flags):
        # Where no runner is named, Beam is not imported.
        from seqmill.pipelines.beam_options import beam_options

        beam_options(beam_flags)
    return overrides, beam_flags


def _refuse_flags_of_others(command: str, flags: list[str]) -> None:
    """Refuses flags that only other commands have, some of which Beam would take for its own."""
    for flag in flags:
        name = flag.removeprefix("--").partition("=")[0].replace("-", "_")
        name = "dry_run" if name == "dryrun" else name
        if flag.startswith("--") and (others := _FLAGS_OF_COMMANDS.get(name)):
            shown = flag.partition("=")[0]
            if command in others:
                raise UsageError(f"{flag}: expected --{name} alone")
            if name == "dry_run" and command in _WRITE_BATCHES:
                raise UsageError(f"{shown}: unknown option; use `seqmill plan` to see what would be written")
            raise UsageError(f"{shown}: an option of {', '.join(others)}, not of {command}")


class _Keep(argparse.Action):
    """Keeps the values of options apart from the command's own arguments."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        namespace.overrides = {**getattr(namespace, "overrides", {}), self.dest: values}
