"""The ``seqmill`` command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pipelines.config import did_you_mean, load_config
from pipelines.console import say
from pipelines.options import Config
from transforms.errors import SeqmillError, UsageError

_CONFIG_COMMANDS = {
    "ingest": "raw corpora to sequence stores",
    "plan": "print what preprocess would write",
    "preprocess": "ingest if needed, then write every epoch",
}
_TABLES = ("data", "corpus")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends the process with 0, 1 (the run failed) or 2 (wrong use)."""
    logging.getLogger().setLevel(logging.ERROR)
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        parser = _parser()
        options, rest = parser.parse_known_args(given)
        if rest and options.command not in _CONFIG_COMMANDS:
            raise UsageError(f"{rest[0]}: unknown option{_near(rest[0], _flags_of(parser, options.command))}")
        options.run(options, rest)
    except UsageError as error:
        say(f"seqmill: {error}")
        sys.exit(2)
    except SeqmillError as error:
        say(f"seqmill: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("seqmill: interrupted; what is done is kept, run the same command again to go on")
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqmill",
        description="Turns raw sequence corpora into pre-batched TFRecord epochs.",
        epilog="Start with `seqmill preprocess CONFIG`. Every option of a configuration is also a flag of "
        "the same name, and Beam's own flags (--runner=...) are passed on.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runs: dict[str, Callable[..., None]] = {"ingest": _ingest, "plan": _plan, "preprocess": _preprocess}
    for name, text in _CONFIG_COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("config", metavar="CONFIG", help="a TOML file; see docs/configuration.md")
        if name == "plan":
            command.add_argument("--json", action="store_true", help="print JSON for programs")
        _add_option_flags(command)
        command.set_defaults(run=runs[name])
    verify = commands.add_parser(
        "verify",
        help="check written epochs",
        description="Checks hashes, records, "
        "limits and counts of written epochs; names the first wrong thing.",
    )
    verify.add_argument("folder", metavar="DIR", help="an output folder, or epochs/<corpus> in one")
    verify.set_defaults(run=_verify)
    show = commands.add_parser("show", help="print batches", description="Prints batches in readable form.")
    show.add_argument(
        "path", metavar="DIR|FILE", help="epochs/<corpus>, an output folder, or a .tfrecord file"
    )
    show.add_argument("--epoch", type=int, default=1, help="epoch to show; default: 1")
    show.add_argument("--batch", type=int, default=0, help="first batch to show, from 0")
    show.add_argument("--num_batches", type=int, default=1, help="how many batches; default: 1")
    show.add_argument("--num_seqs", type=int, default=5, help="sequences to show of each; default: 5")
    show.set_defaults(run=_show)
    return parser


def _add_option_flags(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("options, over those of the configuration")
    for name, field in Config.model_fields.items():
        if name not in _TABLES:
            default = "" if field.is_required() or field.default is None else f"; default: {field.default}"
            text = f"{field.description}{default}".replace("%", "%%")
            names = [f"--{name}", *(["--batching"] if name == "seq_ordering" else [])]
            group.add_argument(*names, metavar="VALUE", default=argparse.SUPPRESS, help=text)


def _load(options: argparse.Namespace, rest: list[str]) -> Config:
    from pipelines.beam_runner import check_beam_flags

    names = [name for name in Config.model_fields if name not in _TABLES]
    check_beam_flags(rest, names)
    given: dict[str, Any] = vars(options)
    return load_config(options.config, {name: given[name] for name in names if name in given})


def _ingest(options: argparse.Namespace, rest: list[str]) -> None:
    from pipelines.ingest import ingest

    ingest(_load(options, rest), rest)


def _plan(options: argparse.Namespace, rest: list[str]) -> None:
    from pipelines.plan_report import print_reports
    from pipelines.preprocess import plan

    reports = plan(_load(options, rest), rest)
    if options.json:
        content = orjson.dumps([report.to_json() for report in reports], option=orjson.OPT_INDENT_2)
        print(content.decode())
    else:
        print_reports(reports)


def _preprocess(options: argparse.Namespace, rest: list[str]) -> None:
    from pipelines.preprocess import preprocess

    preprocess(_load(options, rest), rest)


def _verify(options: argparse.Namespace, rest: list[str]) -> None:
    from pipelines.verify import verify

    verify(options.folder)


def _show(options: argparse.Namespace, rest: list[str]) -> None:
    from pipelines.show import show

    show(options.path, options.epoch, options.batch, options.num_batches, options.num_seqs)


def _flags_of(parser: argparse.ArgumentParser, command: str) -> list[str]:
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return [flag for action in subparsers.choices[command]._actions for flag in action.option_strings]


def _near(flag: str, known: list[str]) -> str:
    return did_you_mean(flag.partition("=")[0], known)


if __name__ == "__main__":
    main()
