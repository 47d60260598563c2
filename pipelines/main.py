"""The ``seqmill`` command."""

from __future__ import annotations

if __name__ == "__main__":
    from seqmill.pipelines.start import command

    command()

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from seqmill.pipelines import interrupts
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.terminal import escape_what_the_terminal_lacks

# Imported where they are used: help and mistakes need neither Arrow nor Beam, nor what checks options.
if TYPE_CHECKING:
    from seqmill.pipelines.options import Config

_CONFIG_COMMANDS = {
    "ingest": (
        "turn raw corpora into sequence stores",
        "Reads the raw corpora of CONFIG once and writes a sequence store for each, into output/store. "
        "Unusable records are listed in output/store/<corpus>/rejected. A rerun does only what is missing "
        "or has changed.",
    ),
    "plan": (
        "print what preprocess would write",
        "Prints per corpus and epoch the batches, sequences, frames, padding and bytes that `seqmill "
        "preprocess` would write with the same options. Ingests first if needed.",
    ),
    "preprocess": (
        "write every epoch as batches, ingesting first if needed",
        "Ingests the corpora of CONFIG if needed, then writes every epoch of each as padded batches in "
        "TFRecord files, into output/epochs. A rerun does only what is missing or has changed. With "
        "epochs_ahead, those of train that a training needs next; --follow goes on while it trains. --watch "
        "makes windows of a stream of the files of train that arrive.",
    ),
    "train": (
        "train the model on what preprocess wrote",
        "Trains the model of CONFIG epoch by epoch on output/epochs, into output/model. Started again, it "
        "goes on from the newest checkpoint. With --follow, every window of a stream is an epoch (`seqmill "
        "preprocess --watch` writes them), as it appears.",
    ),
    "run": (
        "preprocess, then train",
        "Does what `seqmill preprocess` and then `seqmill train` do; with read_from = store, no epochs are "
        "written, with epochs_ahead, they are beside the training.",
    ),
    "cleanup": (
        "delete old checkpoints",
        "Deletes the checkpoints in output/model that cleanup_old_models does not keep, and says why each is "
        "kept or not. Where that option is not set, or false, the last 2, the best 4 and epochs 20, 40, 80, "
        "160 and 240 are kept.",
    ),
    "best": (
        "print which epochs are best",
        "Prints the epochs of the training in output/model, the best first, by the score that keep_best_by "
        "in cleanup_old_models names (default: the loss of dev), and which of them have a checkpoint.",
    ),
    "average": (
        "average the weights of checkpoints",
        "Writes the average of checkpoints' weights as output/model/average: of the best ones, or of the "
        "epochs named.",
    ),
    "predict": (
        "write what the model predicts of a corpus",
        "Calls predict(model, batch) of the model file for every batch of a corpus that preprocess wrote, "
        "and writes one line of JSON per sequence, in corpus order. Started again after an interruption, it "
        "goes on where it was.",
    ),
    "export": (
        "write the model of a checkpoint alone",
        "Writes the model of a checkpoint, without what only training needs, into a folder: model.keras "
        "where Keras loads the same weights from it, else the weights.",
    ),
}
_CHECKPOINT_HELP = "best (the default), last, final, average, or an epoch's number"
_OWN_FLAGS: dict[str, dict[str, dict[str, Any]]] = {
    "average": {
        "--best": {"type": int, "metavar": "N", "help": "average the best N; default: 4"},
        "--epochs": {"metavar": "N,N,...", "help": "average these epochs instead"},
    },
    "predict": {
        "--corpus": {"required": True, "metavar": "NAME", "help": "the corpus"},
        "--checkpoint": {"default": "best", "metavar": "NAME", "help": _CHECKPOINT_HELP},
        "--to": {"metavar": "FILE", "help": "where to; default: output/predictions/<corpus>.jsonl"},
    },
    "export": {
        "--checkpoint": {"default": "best", "metavar": "NAME", "help": _CHECKPOINT_HELP},
        "--to": {"metavar": "FOLDER", "help": "where to; default: output/export/<checkpoint>"},
    },
}
_SHOW_FLAGS = (
    ("--epoch", 1, "epoch to show, from 1"),
    ("--batch", 0, "first batch to show, from 0"),
    ("--num_batches", 1, "how many batches"),
    ("--num_seqs", 5, "sequences to show of each batch"),
)
_FOLLOW_HELP = "with epochs_ahead: write epochs as a training consumes them, until it is over"
_WATCH_HELP = "make windows of files of train as they arrive, for `seqmill train --follow`"
_FOLLOW_WINDOWS_HELP = "train on the windows of a stream as they appear"
_COMPARE_HELP = (
    "compare options that are given several values, such as --seq_ordering=random,sorted "
    "--batch_size=4000,8000: one table of all combinations, nothing is written"
)
_CHECK_HELP = "hash again everything that earlier runs have written, and redo what does not match"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends the process with 0, 1 (the run failed) or 2 (wrong use)."""
    begun = time.monotonic()
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # what its tasks fail with comes as exceptions
    escape_what_the_terminal_lacks()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options, rest = _parser(given).parse_known_args(given)
        options.begun, options.arguments = begun, given
        if rest and options.command not in _CONFIG_COMMANDS:
            raise UsageError(f"{rest[0]}: unknown option{_near(rest[0], options.command)}")
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
        interrupts.say_interrupted()
        sys.exit(interrupts.exit_code(error))


def _near(flag: str, command: str) -> str:
    from seqmill.transforms.storage.checked_options import did_you_mean

    known = [name for name, _, _ in _SHOW_FLAGS] if command == "show" else []
    return did_you_mean(flag.partition("=")[0], known)


def _say(line: str) -> None:
    from seqmill.pipelines.console import say

    say(line, always=True)


class _Version(argparse.Action):
    """Prints seqmill's version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import seqmill

        print(f"seqmill {seqmill.__version__}")
        parser.exit()


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqmill",
        description="Turns raw sequence corpora into pre-batched epochs, and trains Keras models on them.",
        epilog="Start with `seqmill preprocess CONFIG`; examples/g2p/config.toml of the sources is a "
        "CONFIG to look at. `seqmill COMMAND --help` lists a command's options. Exit codes: 0; 1 the run "
        "failed; 2 wrong use.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print seqmill's version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    runs: dict[str, Callable[..., None]] = {
        "ingest": _ingest,
        "plan": _plan,
        "preprocess": _preprocess,
        "train": _train,
        "run": _run,
        "cleanup": _cleanup,
        "best": _best,
        "average": _average,
        "predict": _predict,
        "export": _export,
    }
    for name, (text, description) in _CONFIG_COMMANDS.items():
        usage = f"seqmill {name} CONFIG [--OPTION=VALUE ...]"
        command = commands.add_parser(
            name, help=text, description=description, usage=usage, allow_abbrev=False
        )
        command.add_argument(
            "config",
            metavar="CONFIG",
            help="a TOML file; docs/configuration.md of the sources has all options",
        )
        if name in ("ingest", "preprocess", "run"):
            command.add_argument("--check", action="store_true", help=_CHECK_HELP)
        if name == "preprocess":
            command.add_argument("--follow", action="store_true", help=_FOLLOW_HELP)
            command.add_argument("--watch", action="store_true", help=_WATCH_HELP)
            command.add_argument("--beside", action="store_true", help=argparse.SUPPRESS)
        if name == "train":
            command.add_argument("--follow", action="store_true", help=_FOLLOW_WINDOWS_HELP)
        if name == "plan":
            command.add_argument("--json", action="store_true", help="print JSON for programs")
            command.add_argument("--compare", action="store_true", help=_COMPARE_HELP)
        if name == "cleanup":
            command.add_argument("--dry_run", action="store_true", help="only print what would be deleted")
        for flag, details in _OWN_FLAGS.get(name, {}).items():
            command.add_argument(flag, **details)
        if name in given:
            from seqmill.pipelines.flags import add_option_flags

            add_option_flags(command)
        command.set_defaults(run=runs[name])
    _add_verify(commands)
    _add_show(commands)
    return parser


def _add_verify(commands: Any) -> None:
    verify = commands.add_parser(
        "verify",
        help="check written epochs",
        description="Checks hashes, records, limits and counts of written epochs, and that every sequence is "
        "there once a pass. Names the first wrong thing and ends with exit code 1.",
        allow_abbrev=False,
    )
    verify.add_argument("folder", metavar="DIR", help="an output folder, or epochs/<corpus> in one")
    verify.add_argument(
        "--store",
        metavar="FOLDER",
        help="the output whose stores epochs were made from, if another",
    )
    verify.set_defaults(run=_verify)


def _add_show(commands: Any) -> None:
    show = commands.add_parser(
        "show",
        help="print batches",
        description="Prints batches: shapes, padding, tags and lengths, labels turned back into text.",
        allow_abbrev=False,
    )
    show.add_argument(
        "path", metavar="DIR|FILE", help="epochs/<corpus>, an output folder, or a .tfrecord file"
    )
    for flag, default, text in _SHOW_FLAGS:
        show.add_argument(flag, type=int, default=default, metavar="N", help=f"{text}; default: {default}")
    show.set_defaults(run=_show)


@interrupts.ending_at_once()
def _ingest(options: argparse.Namespace, rest: list[str]) -> None:
    config, beam_flags = _load(options, rest)
    from seqmill.pipelines.ingest import ingest

    ingest(config, beam_flags, options.check)


@interrupts.ending_at_once()
def _plan(options: argparse.Namespace, rest: list[str]) -> None:
    if options.compare:
        _compare(options, rest)
        return
    config, beam_flags = _load(options, rest)
    from seqmill.pipelines.plan import plan, totals
    from seqmill.pipelines.plan_tables import print_reports
    from seqmill.pipelines.write_rate import WriteRate

    rate = WriteRate()
    reports = plan(config, beam_flags, None if options.json else rate)
    print_reports(reports, options.json, totals=totals(config, reports, rate))


def _compare(options: argparse.Namespace, rest: list[str]) -> None:
    from seqmill.pipelines.compare import compare
    from seqmill.pipelines.compare_table import print_comparison
    from seqmill.pipelines.flags import read_flags

    overrides, beam_flags = read_flags(options, rest)
    rows = compare(options.config, overrides, beam_flags)
    print_comparison(rows, options.json)


@interrupts.ending_at_once()
def _preprocess(options: argparse.Namespace, rest: list[str], **how: Any) -> None:
    config, beam_flags = _load(options, rest)
    if getattr(options, "follow", False):
        _follow(options, config, beam_flags)
        return
    if getattr(options, "watch", False):
        from seqmill.pipelines.watch import watch

        watch(config, beam_flags)
        return
    from seqmill.pipelines.preprocess import preprocess

    preprocess(config, beam_flags, options.check, **how)


def _follow(options: argparse.Namespace, config: Config, beam_flags: list[str]) -> None:
    from seqmill.pipelines import console
    from seqmill.pipelines.follow import follow
    from seqmill.pipelines.write_beside import end_with_standard_input

    if options.beside:
        end_with_standard_input()
        console.be_quiet()
    follow(config, beam_flags, options.check)


def _train(options: argparse.Namespace, rest: list[str]) -> None:
    with interrupts.ending_the_process():
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


def _cleanup(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.train import cleanup

    sys.exit(cleanup(config, options.dry_run))


def _best(options: argparse.Namespace, rest: list[str]) -> None:
    config, _ = _load(options, rest)
    from seqmill.pipelines.trained import best

    best(config)


def _average(options: argparse.Namespace, rest: list[str]) -> None:
    with interrupts.ending_the_process():
        config, _ = _load(options, rest)
        from seqmill.pipelines.trained import average

    average(config, options.best, options.epochs)


def _predict(options: argparse.Namespace, rest: list[str]) -> None:
    with interrupts.ending_the_process():
        config, _ = _load(options, rest)
        from seqmill.pipelines.shared_stores import reading_stores
        from seqmill.pipelines.trained import predict
        from seqmill.transforms.storage.locks import reader

    with reader(config.output, "prediction"), reading_stores(config, "prediction"):
        predict(config, options.corpus, options.checkpoint, options.to)


def _export(options: argparse.Namespace, rest: list[str]) -> None:
    with interrupts.ending_the_process():
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
