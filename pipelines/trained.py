"""``seqmill best``, ``average``, ``export`` and ``predict``: from a configuration to a trained model."""

from __future__ import annotations

import re

from seqmill.pipelines.options import Config
from seqmill.pipelines.train import check_preprocessed
from seqmill.trainer import model_commands
from seqmill.trainer.predict_command import predict_command
from seqmill.transforms.storage.checked_options import did_you_mean
from seqmill.transforms.storage.errors import UsageError


def best(config: Config) -> None:
    """Prints which epochs are best."""
    model_commands.best_command(model_commands.policy_of(config), config.output)


def average(config: Config, number: int | None, epochs: str | None) -> None:
    """Averages checkpoints into ``model/average``.

    Args:
        config: The configuration.
        number: The best so many; by default 4.
        epochs: Epochs, separated by commas, in place of that.
    """
    if number is not None and (epochs is not None or number < 1):
        raise UsageError("expected --best=N, a number from 1, or --epochs=N,N,…")
    if epochs is not None and not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", epochs):
        raise UsageError(f"--epochs={epochs}: expected epochs separated by commas, such as --epochs=3,5,7")
    if epochs is None:
        model_commands.average_command(config.train_options(), config.output, number or 4)
    else:
        wanted = [int(epoch) for epoch in epochs.split(",")]
        model_commands.average_command(config.train_options(), config.output, None, wanted)


def export(config: Config, checkpoint: str, to: str | None) -> None:
    """Writes the model of a checkpoint alone into a folder."""
    model_commands.export_command(config.train_options(), config.output, checkpoint, to)


def predict(config: Config, corpus: str, checkpoint: str, to: str | None) -> None:
    """Writes what the model predicts of a corpus."""
    if corpus not in config.corpus:
        near = did_you_mean(corpus, config.corpus)
        raise UsageError(f"--corpus={corpus}: expected one of {', '.join(config.corpus)}{near}")
    check_preprocessed(config, corpus)
    predict_command(config.train_options(), config.output, corpus, checkpoint, to)
