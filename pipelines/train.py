"""``seqmill train`` and ``seqmill cleanup``: from a configuration to the trainer."""

from __future__ import annotations

from seqmill.pipelines.options import TRAIN, Config, nearly_train
from seqmill.pipelines.window_config import check_windows
from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.command import cleanup_command, train_command
from seqmill.trainer.model_option import check_model_option
from seqmill.trainer.options import ENDLESS, CleanupPolicy
from seqmill.trainer.resume import check_same_data as check_same_data_of
from seqmill.trainer.resume import check_same_options as check_same_options_of
from seqmill.trainer.resume import facts_of, find_checkpoint
from seqmill.transforms.batches import manifest
from seqmill.transforms.batches.described_options import as_asked, describe
from seqmill.transforms.batches.layout import corpus_fingerprint, planned_as_there
from seqmill.transforms.batches.stream import is_stream, read_stream
from seqmill.transforms.storage import output_folder
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.sequence_store import Store

# What may differ between the written epochs and the configuration: it changes no batch.
_MAY_DIFFER = ("num_epochs", "distinct_epochs", "num_shards", "shard_size")


def train(config: Config, begun: float | None = None, follow: bool = False) -> int:
    """Trains on what preprocess wrote, or writes; returns the exit code.

    Args:
        config: The configuration.
        begun: When the command began, by ``time.monotonic``; by default now.
        follow: ``train`` is a stream, of which every window is an epoch, as it appears; where ``num_epochs``
            is not set there is no last one.

    Raises:
        SeqmillError: Training failed, or there is nothing to train on.
    """
    check_trainable(config)
    options = config.train_options()
    if follow:
        check_windows(config, "--follow")
        if "num_epochs" not in config.model_fields_set:
            options = options.model_copy(update={"num_epochs": ENDLESS})
    for name in config.corpus:
        folder = output_folder.epochs_folder(config.output, name)
        if not follow or name != TRAIN or is_stream(folder):
            check_preprocessed(config, name)
    return train_command(options, config.output, config.corpus, begun, follow)


def check_trainable(config: Config) -> None:
    """Refuses, before any work, a configuration that names no corpus or no model to train."""
    if TRAIN not in config.corpus:
        near = nearly_train(config.corpus)
        raise UsageError(f"training needs a corpus named train: [corpus.train]{near}")
    check_model_option(config.model)


def check_same_options(config: Config) -> bool:
    """Refuses options under which a training would not go on from its newest checkpoint.

    ``seqmill run`` asks before anything is written: no epochs are lost for some that the training refuses.

    Returns:
        Whether there is a checkpoint to go on from.
    """
    options, is_explicit = describe(config.schedule_of(TRAIN)), config.start_epoch != "auto"

    def check(found: Checkpoint) -> None:
        check_same_options_of(found, options, config.seed, is_explicit, _nothing)

    folder = output_folder.model_folder(config.output)
    return find_checkpoint(folder, config.start_epoch, check).checkpoint is not None


def check_same_data(config: Config) -> None:
    """Refuses data, as they are ingested, on which a training would not go on; see ``check_same_options``."""
    store = Store(output_folder.store_folder(config.store_output, TRAIN))
    folder, is_explicit = output_folder.epochs_folder(config.output, TRAIN), config.start_epoch != "auto"
    schedule = planned_as_there(folder, store, config.schedule_of(TRAIN)).schedule
    fingerprint, held = corpus_fingerprint(store, schedule), store.manifest
    facts = facts_of(fingerprint, describe(schedule), held.data_keys, held.others)

    def check(found: Checkpoint) -> None:
        check_same_data_of(found, facts, config.seed, is_explicit, _nothing)

    find_checkpoint(output_folder.model_folder(config.output), config.start_epoch, check)


def _nothing(line: str) -> None:
    """Says nothing: the training will."""


def cleanup(config: Config, dry_run: bool) -> int:
    """Deletes the checkpoints that ``cleanup_old_models`` does not keep; returns the exit code.

    Args:
        config: The configuration; without the option, its defaults hold.
        dry_run: Only print what would be deleted.
    """
    return cleanup_command(config.cleanup_old_models or CleanupPolicy(), config.output, dry_run)


def check_preprocessed(config: Config, name: str) -> None:
    """Refuses epochs that were written with other options than the configuration has now."""
    folder = output_folder.epochs_folder(config.output, name)
    if is_stream(folder):
        if name != TRAIN:
            raise UsageError(f"{folder}: is a stream of windows, and only train can be one")
        content = read_stream(folder).manifest
    else:
        content = manifest.read(folder)
    manifest.check_corpus(folder, content, name)
    written = as_asked(content.options)
    for option, value in as_asked(describe(config.schedule_of(name))).items():
        if option not in _MAY_DIFFER and value != written.get(option):
            raise UsageError(
                f"corpus.{name}: {option} is {value!r}, but the epochs in {folder} were written with "
                f"{written.get(option)!r}; run `seqmill preprocess` or `seqmill run`"
            )
