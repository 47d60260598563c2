"""What may stand on the command line: commands, their own flags and help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqmill.pipelines.runners import with_values
from seqmill.transforms.storage.errors import UsageError

Run = Callable[..., None]

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
    "report": (
        "write an HTML file with all figures",
        "Writes one HTML file, output/report.html, that needs no network: lengths and what limits would "
        "drop, padding and sizes of batches, other orderings and batch sizes, labels, rejects, a few "
        "sequences, and the scores of a training. Ingests first if needed.",
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
_FOLLOW_HELP = "with epochs_ahead: write epochs as a training consumes them, until it is over"
_WATCH_HELP = "make windows of files of train as they arrive, for `seqmill train --follow`"
_COMPARE_HELP = (
    "compare options that are given several values, such as --seq_ordering=random,sorted "
    "--batch_size=4000,8000: one table of all combinations, nothing is written"
)
_CHECK_HELP = "hash again everything that earlier runs have written, and redo what does not match"
_Flag = dict[str, Any]


def _switch(help: str) -> _Flag:
    return {"action": "store_true", "help": help}


_OWN_FLAGS: dict[str, dict[str, _Flag]] = {
    "ingest": {"--check": _switch(_CHECK_HELP)},
    "preprocess": {
        "--check": _switch(_CHECK_HELP),
        "--follow": _switch(_FOLLOW_HELP),
        "--watch": _switch(_WATCH_HELP),
        "--beside": _switch(argparse.SUPPRESS),
    },
    "run": {"--check": _switch(_CHECK_HELP)},
    "train": {"--follow": _switch("train on the windows of a stream as they appear")},
    "plan": {"--json": _switch("print JSON for programs"), "--compare": _switch(_COMPARE_HELP)},
    "cleanup": {"--dry_run": _switch("only print what would be deleted")},
    "report": {"--to": {"metavar": "FILE", "help": "where to; default: output/report.html"}},
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


def parse(given: Sequence[str], runs: Mapping[str, Run]) -> tuple[argparse.Namespace, list[str]]:
    """What a command line says; ends the process where it asks for help, or argparse refuses it.

    Args:
        given: The command line.
        runs: What each command does.

    Returns:
        The values of the command's own flags, of which ``run`` is what it does; and the arguments that may be
        options of a configuration or flags of Beam's.

    Raises:
        UsageError: There are such arguments, and the command has no configuration.
    """
    given = with_values(given)
    options, rest = _parser(given, runs).parse_known_args(given)
    if rest and options.command not in _CONFIG_COMMANDS:
        raise UsageError(f"{rest[0]}: unknown option{_near(rest[0], options.command)}")
    return options, rest


def _near(flag: str, command: str) -> str:
    from seqmill.transforms.storage.checked_options import did_you_mean

    known = [name for name, _, _ in _SHOW_FLAGS] if command == "show" else []
    return did_you_mean(flag.partition("=")[0], known)


class _Version(argparse.Action):
    """Prints seqmill's version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import seqmill

        print(f"seqmill {seqmill.__version__}")
        parser.exit()


def _parser(given: Sequence[str], runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seqmill",
        description="Turns raw sequence corpora into pre-batched epochs, and trains Keras models on them.",
        epilog="Start with `seqmill preprocess CONFIG`; examples/g2p/config.toml of the sources is a "
        "CONFIG to look at. `seqmill COMMAND --help` lists a command's options. Exit codes: 0; 1 the run "
        "failed; 2 wrong use; 130 Ctrl-C; 143 SIGTERM.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print seqmill's version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_init(commands, runs["init"])
    _add_import_returnn(commands, runs["import-returnn"])
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
        for flag, details in _OWN_FLAGS.get(name, {}).items():
            command.add_argument(flag, **details)
        if name in given:
            from seqmill.pipelines.flags import add_option_flags

            add_option_flags(command)
        command.set_defaults(run=runs[name])
    _add_verify(commands, runs["verify"])
    _add_show(commands, runs["show"])
    return parser


def _add_init(commands: Any, run: Run) -> None:
    init = commands.add_parser(
        "init",
        help="write a configuration for what is found in files and folders",
        description="Looks at files and folders (recordings with transcripts, tables, JSON lines, corpora of "
        "other tools), guesses from the first records what they hold, says why, and writes a configuration "
        "with a comment for each guess. Recordings without a list that a reader takes get one, beside it.",
        allow_abbrev=False,
    )
    init.add_argument("paths", metavar="FOLDER|FILE", nargs="+", help="where the data are")
    _add_output(init)
    init.add_argument("--model", action="store_true", help="write a starter model too, as model.py beside it")
    init.set_defaults(run=run)


def _add_import_returnn(commands: Any, run: Run) -> None:
    command = commands.add_parser(
        "import-returnn",
        help="write a configuration for a config of RETURNN",
        description="Reads a config of RETURNN as data, of which nothing is executed, imported or opened, "
        "and writes a configuration with a comment on all that differs here or has no counterpart.",
        allow_abbrev=False,
    )
    command.add_argument("path", metavar="CONFIG", help="a config of RETURNN: Python, JSON or lines")
    _add_output(command)
    command.set_defaults(run=run)


def _add_output(command: argparse.ArgumentParser) -> None:
    """The flags of commands that write a configuration."""
    command.add_argument(
        "--output", default="config.toml", metavar="FILE", help="what to write; default: config.toml"
    )
    command.add_argument("--force", action="store_true", help="overwrite what is there")


def _add_verify(commands: Any, run: Run) -> None:
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
    verify.set_defaults(run=run)


def _add_show(commands: Any, run: Run) -> None:
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
    show.set_defaults(run=run)
