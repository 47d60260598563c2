"""The ``seqmill`` command."""

from __future__ import annotations

if __name__ == "__main__":
    from seqmill.pipelines.start import command

    command()

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from seqmill.pipelines import interrupts
from seqmill.pipelines.command_parser import parse
from seqmill.transforms.storage import signals
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.terminal import escape_what_the_terminal_lacks

# Imported where they are used: help and mistakes need neither Arrow nor Beam, nor what checks options.
if TYPE_CHECKING:
    from seqmill.pipelines.options import Config


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends the process with 0, 1 (the run failed) or 2 (wrong use)."""
    begun = time.monotonic()
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what its tasks fail with comes as exceptions
    escape_what_the_terminal_lacks()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options, rest = parse(given, _RUNS)
        options.begun, options.arguments = begun, given
        options.run(options, rest)
    except UsageError as error:
        _say(f"seqmill: {error}")
        sys.exit(2)
    except SeqmillError as error:
        _say(f"seqmill: {error}")
        sys.exit(1)
    except OSError as error:
        _say(f"seqmill: {error.filename or 'cannot read or write'}: {error.strerror or error}")
        sys.exit(1)
    except MemoryError:
        _say("seqmill: out of memory; what is done is kept, run the same command again with more")
        sys.exit(1)
    except RuntimeError as error:
        if "can't start new thread" not in str(error):
            raise
        _say("seqmill: no thread can be started; this process may have too little memory or threads (ulimit)")
        sys.exit(1)
    except KeyboardInterrupt as error:
        signals.say_interrupted()
        sys.exit(interrupts.exit_code(error))


def _say(line: str) -> None:
    from seqmill.pipelines.console import say

    say(line, always=True)


def _ingest(options: argparse.Namespace, rest: list[str]) -> None:
    config, beam_flags = _load(options, rest)
    from seqmill.pipelines.ingest import ingest

    with interrupts.ending_at_once():
        ingest(config, beam_flags, options.check)


def _plan(options: argparse.Namespace, rest: list[str]) -> None:
    if options.compare:
        _compare(options, rest)
        return
    config, beam_flags = _load(options, rest)
    from seqmill.pipelines.plan import plan, totals
    from seqmill.pipelines.plan_tables import print_reports
    from seqmill.pipelines.write_rate import WriteRate

    with interrupts.ending_at_once():
        rate = WriteRate()
        reports = plan(config, beam_flags, None if options.json else rate)
        print_reports(reports, options.json, totals=totals(config, reports, rate))


def _compare(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.compare import compare
    from seqmill.pipelines.compare_table import print_comparison
    from seqmill.pipelines.flags import read_flags

    overrides, beam_flags = read_flags(options, rest)
    with interrupts.ending_at_once():
        rows = compare(options.config, overrides, beam_flags)
        print_comparison(rows, options.json)


def _report(options: argparse.Namespace, rest: list[str]) -> None:
    config, beam_flags = _load(options, rest)
    from seqmill.pipelines.report.command import report

    with interrupts.ending_at_once():
        print(report(config, beam_flags, options.to))


def _preprocess(options: argparse.Namespace, rest: list[str], **how: Any) -> None:
    config, beam_flags = _load(options, rest)
    if getattr(options, "follow", False):
        _follow(options, config, beam_flags)
        return
    if getattr(options, "watch", False):
        from seqmill.pipelines.watch import watch

        with interrupts.ending_at_once():
            watch(config, beam_flags)
        return
    from seqmill.pipelines.preprocess import preprocess

    with interrupts.ending_at_once():
        preprocess(config, beam_flags, options.check, **how)


def _follow(options: argparse.Namespace, config: Config, beam_flags: list[str]) -> None:
    from seqmill.pipelines import console
    from seqmill.pipelines.follow import follow
    from seqmill.pipelines.write_beside import end_with_standard_input

    with interrupts.ending_at_once():
        if options.beside:
            end_with_standard_input()
            console.be_quiet()
        follow(config, beam_flags, options.check)


def _train(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.shared_stores import reading_stores
    from seqmill.pipelines.train import train
    from seqmill.transforms.storage.locks import reader

    with reader(config.output, "training"), reading_stores(config, "training"):
        code = train(config, options.begun, getattr(options, "follow", False))
    sys.exit(code)


def _run(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.train import check_same_data, check_same_options, check_trainable

    check_trainable(config)
    check = partial(check_same_data, config) if check_same_options(config) else None
    if config.read_from == "store" or config.epochs_ahead is None:
        _preprocess(options, rest, shards=config.read_from == "shards", check=check)
        _train(options, rest)
        return
    _preprocess(options, rest, ahead=0, check=check)
    from seqmill.pipelines.write_beside import writing_beside

    with writing_beside(config, options.arguments):
        _train(options, rest)


@interrupts.ending_at_once()
def _cleanup(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.train import cleanup

    sys.exit(cleanup(config, options.dry_run))


def _best(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.trained import best

    best(config)


@interrupts.ending_at_once()
def _average(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.trained import average

    average(config, options.best, options.epochs)


@interrupts.ending_at_once()
def _predict(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.shared_stores import reading_stores
    from seqmill.pipelines.trained import predict
    from seqmill.transforms.storage.locks import reader

    with reader(config.output, "prediction"), reading_stores(config, "prediction"):
        predict(config, options.corpus, options.checkpoint, options.to)


@interrupts.ending_at_once()
def _export(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.trained import export

    export(config, options.checkpoint, options.to)


def _load(options: argparse.Namespace, rest: list[str]) -> tuple[Config, list[str]]:
    from seqmill.pipelines.flags import load_with_flags

    return load_with_flags(options, rest)


def _verify(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.verify import verify

    verify(options.folder, options.store)


def _show(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.show import show

    show(options.path, options.epoch, options.batch, options.num_batches, options.num_seqs)


@interrupts.ending_at_once()
def _init(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.init.command import init

    init(options.paths, options.output, options.force, options.model)


def _import_returnn(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.import_returnn.command import import_returnn

    import_returnn(options.path, options.output, options.force)


_RUNS = {
    "init": _init,
    "import-returnn": _import_returnn,
    "ingest": _ingest,
    "plan": _plan,
    "report": _report,
    "preprocess": _preprocess,
    "train": _train,
    "run": _run,
    "cleanup": _cleanup,
    "best": _best,
    "average": _average,
    "predict": _predict,
    "export": _export,
    "verify": _verify,
    "show": _show,
}
