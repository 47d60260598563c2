"""Which configurations have a stream of windows as ``train``, and the configuration of a single window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqmill.pipelines.options import TRAIN, Config, nearly_train
from seqmill.transforms.storage.errors import UsageError


def check_windows(config: Config, flag: str) -> None:
    """Refuses, before any work, options that windows of a stream cannot have.

    Args:
        config: The configuration.
        flag: What asks for windows: ``"--watch"`` or ``"--follow"``.

    Raises:
        UsageError: Names the option.
    """
    if TRAIN not in config.corpus:
        raise UsageError(f"{flag} needs a corpus named train: [corpus.train]{nearly_train(config.corpus)}")
    train = config.corpus[TRAIN]
    unfit: dict[str, Any] = {
        "epochs_ahead": config.epochs_ahead,
        "schedule": "tables [[schedule]]" if config.schedule else None,
        "store": config.store,
        "read_from": config.read_from if config.read_from != "shards" else None,
        "corpus.train.distinct_epochs": train.distinct_epochs,
        "corpus.train.join": "a table" if train.join else None,
        "corpus.train.num_seqs": train.num_seqs,
        "corpus.train.partition_epoch": train.partition_epoch if train.partition_epoch > 1 else None,
    }
    if train.mix:
        raise UsageError(
            f"corpus.train.mix: found {', '.join(train.mix)}; shares are those of passes over whole sources, "
            f"and with {flag} every window is an epoch of the files that have come: expected files of all "
            "sources in one folder, in the proportion that is wanted"
        )
    for name, value in unfit.items():
        if value is not None:
            raise UsageError(
                f"{name}: found {value!r}; with {flag} every window is an epoch, and this cannot be set"
            )


def check_watchable(config: Config) -> None:
    """``check_windows``, of a configuration whose files become windows. Raises UsageError."""
    check_windows(config, "--watch")
    if config.corpus[TRAIN].format == "text":
        raise UsageError(
            "corpus.train.format: found 'text'; --watch takes files one by one, as they arrive: expected a "
            "format whose files hold every data key, such as jsonl or tsv"
        )
    files = config.corpus[TRAIN].files
    if isinstance(files, tuple) and (again := next((one for one in files if files.count(one) > 1), None)):
        raise UsageError(
            f"corpus.train.files: {again} is there several times; --watch takes every file once: expected "
            "no weights"
        )
    for key in config.data.values():
        if key.vocab_format == "fairseq":
            raise UsageError(
                f"data.{key.name}.vocab_format: found 'fairseq'; --watch expects a vocabulary of one label a "
                "line (`seqmill ingest` of a part writes it to output/vocab)"
            )
        if key.has_counted_vocab:
            raise UsageError(
                f"data.{key.name}.vocab: required with --watch: labels cannot be counted over files that are "
                "yet to come (`seqmill ingest` of a part writes them to output/vocab)"
            )

        if key.has_counted_norm:
            raise UsageError(
                f'data.{key.name}.normalization: found "global"; with --watch frames cannot be counted over '
                "files that are yet to come (`seqmill ingest` of a part writes output/norm/<key>.json, "
                "which can be given)"
            )


def window_config(config: Config, output: str, paths: Sequence[str]) -> Config:
    """The configuration of a window.

    Args:
        config: That of the stream.
        output: Where the window is made.
        paths: Its files, in their order.
    """
    train = config.corpus[TRAIN].model_copy(update={"files": tuple(paths)})
    return config.model_copy(update={"output": output, "corpus": {TRAIN: train}, "num_epochs": 1})


def others_config(config: Config) -> Config | None:
    """The configuration of all corpora but the stream; None where there is none."""
    others = {name: corpus for name, corpus in config.corpus.items() if name != TRAIN}
    return config.model_copy(update={"corpus": others}) if others else None
