"""Which epochs of ``train`` must be there, where ``epochs_ahead`` has them written beside the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seqmill.pipelines.options import TRAIN, Config
from seqmill.transforms.planning.ahead import Needed, needed
from seqmill.transforms.storage import output_folder


def needed_epochs(config: Config, corpus: str, ahead: int | None = None) -> Needed | None:
    """The epochs that a training needs which goes on from its newest checkpoint; None for all of them.

    Args:
        config: The configuration.
        corpus: The corpus.
        ahead: How many of those to write that come behind the next one; -1: not that one either. Default: as
            many as ``epochs_ahead`` says.
    """
    if corpus != TRAIN or config.epochs_ahead is None:
        return None
    done = epochs_done(config)
    found = needed_by(config, done + 1, done)
    return found if ahead is None else replace(found, to_write=tuple(found.to_write)[: ahead + 1])


def needed_by(config: Config, epoch: int, done: int) -> Needed:
    """The epochs that a training needs at some epoch; see ``planning.ahead.needed``."""
    return needed(epoch, done, config.num_epochs, config.epochs_ahead or 0, config.schedule_of(TRAIN).stored)


def epochs_done(config: Config) -> int:
    """The epochs that a training has behind it which goes on from its newest checkpoint."""
    from seqmill.trainer.resume import find_checkpoint  # needed by those alone who write ahead

    return find_checkpoint(output_folder.model_folder(config.output), config.start_epoch).epoch - 1


def most_at_once(config: Config, epoch_bytes: Mapping[int, int]) -> int:
    """Bytes of the epochs of ``train`` that lie on disk at once, at most.

    Args:
        config: The configuration.
        epoch_bytes: Bytes of every stored epoch.
    """
    if config.epochs_ahead is None:
        return sum(epoch_bytes.values())
    interval = config.save_interval
    return max(
        sum(
            epoch_bytes[number]
            for number in needed_by(config, epoch, (epoch - 1) // interval * interval).to_keep
        )
        for epoch in range(1, config.num_epochs + 1)
    )
