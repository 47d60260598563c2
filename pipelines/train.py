"""``seqmill train`` and ``seqmill cleanup``: from a configuration to the trainer."""

from __future__ import annotations

from pipelines.corpora import epoch_options
from pipelines.options import TRAIN, Config
from trainer.command import cleanup_command, train_command
from trainer.options import TrainOptions, cleanup_policy
from transforms.errors import UsageError


def train(config: Config) -> int:
    """Trains on what preprocess wrote; returns the exit code.

    Raises:
        SeqmillError: Training failed, or there is nothing to train on.
    """
    if TRAIN not in config.corpus:
        raise UsageError("training needs a corpus named train: [corpus.train]")
    return train_command(train_options(config), config.output)


def cleanup(config: Config, dry_run: bool) -> int:
    """Deletes the checkpoints that ``cleanup_old_models`` does not keep; returns the exit code.

    Args:
        config: The configuration; without the option, its defaults hold.
        dry_run: Only print what would be deleted.
    """
    policy = cleanup_policy(config.cleanup_old_models or True)
    assert policy is not None
    return cleanup_command(policy, config.output, dry_run)


def train_options(config: Config) -> TrainOptions:
    """The options of training; as many distinct epochs as preprocess stores."""
    num_stored = epoch_options(config, TRAIN).num_epochs
    return TrainOptions(
        num_epochs=config.num_epochs,
        model=config.model or "",
        distinct_epochs=None if num_stored == config.num_epochs else num_stored,
        save_interval=config.save_interval,
        start_epoch=config.start_epoch,
        cleanup_old_models=cleanup_policy(config.cleanup_old_models),
        stop_on_nonfinite_train_score=config.stop_on_nonfinite_train_score,
        seed=config.seed,
    )
