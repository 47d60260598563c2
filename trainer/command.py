"""What the commands ``seqmill train`` and ``seqmill cleanup`` do."""

from __future__ import annotations

from collections.abc import Iterable

from seqmill.trainer.import_tensorflow import import_tensorflow
from seqmill.trainer.model_option import check_model_option
from seqmill.trainer.options import CleanupPolicy, TrainOptions
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.locks import only_writer

INTERRUPTED = 130  # what shells report for a process that Ctrl-C ended


def train_command(
    options: TrainOptions,
    output: str,
    corpora: Iterable[str],
    begun: float | None = None,
    follow: bool = False,
) -> int:
    """Trains on what ``seqmill preprocess`` wrote below ``output``.

    Every corpus but ``train`` is evaluated; ``dev`` comes first where there is one.

    Args:
        options: The options, ``model`` resolved to an absolute path.
        output: Holds ``epochs/<corpus>/``; ``model/`` is written there.
        corpora: Names of the corpora, ``train`` among them.
        begun: When ``stop_after`` begins, by ``time.monotonic``; by default when training does.
        follow: ``train`` is a stream, whose windows are the epochs, each as it appears.

    Returns:
        The exit code.

    Raises:
        SeqmillError: Training failed.
        UsageError: The options cannot work.
    """
    train, *others = corpus_folders(output, corpora)
    model_option = check_model_option(options.model)
    import_tensorflow()
    import keras

    from seqmill.trainer import loop, model_file
    from seqmill.trainer.corpus import check_evaluable, corpus_of
    from seqmill.trainer.devices import devices_scope
    from seqmill.trainer.failures import STEP_ERRORS, step_failure
    from seqmill.trainer.follow import open_stream

    evaluated = {name: corpus_of(options, output, name) for name in map(files.name, others)}
    check_evaluable(evaluated.values())
    if follow:
        corpus = open_stream(train, options.follow_idle, loop.say_line)
    else:
        corpus = corpus_of(options, output, files.name(train))
    loaded = model_file.load_model_file(model_option)
    folder = output_folder.model_folder(output)
    with devices_scope(options.devices):
        keras.utils.set_random_seed(options.seed)
        model = model_file.build_model(loaded, corpus.manifest)
        try:
            loop.train_with(
                options,
                model,
                corpus,
                evaluated,
                folder,
                callbacks=loaded.callbacks(corpus.manifest, folder) if loaded.callbacks else (),
                batch_to_xy=loaded.batch_to_xy,
                extra_scores=loaded.extra_scores,
                begun=begun,
                follow=follow,
            )
        except KeyboardInterrupt:
            return INTERRUPTED
        except STEP_ERRORS as error:
            raise step_failure(error, model, corpus, folder, loaded.batch_to_xy is not None) from error
    return 0


def cleanup_command(policy: CleanupPolicy, output: str, dry_run: bool) -> int:
    """Deletes the checkpoints below ``output`` that ``policy`` does not keep, and prints a table.

    Args:
        policy: What to keep.
        output: Holds ``model/``.
        dry_run: Only print.

    Returns:
        The exit code.

    Raises:
        SeqmillError: There is no training, or one is running.
    """
    from rich.console import Console
    from rich.table import Table

    import_tensorflow()
    from seqmill.trainer import cleanup

    folder = output_folder.model_folder(output)
    if not files.exists(folder):
        raise SeqmillError(f"{folder}: no model folder (run `seqmill train`)")
    with only_writer(folder, "training"):
        decisions = cleanup.clean_up(folder, policy, dry_run=dry_run)
    table = Table("epoch", "decision", "reasons")
    for decision in decisions:
        word = "keep" if decision.keep else "would delete" if dry_run else "deleted"
        table.add_row(str(decision.epoch), word, "; ".join(decision.reasons))
    Console().print(table if decisions else f"{folder}: no checkpoints of this training")
    return 0


def corpus_folders(output: str, corpora: Iterable[str]) -> list[str]:
    """The folders of corpora, that of ``train`` first, then that of ``dev``."""
    first = {"train": 0, "dev": 1}
    names = sorted(corpora, key=lambda name: (first.get(name, 2), name))
    return [output_folder.epochs_folder(output, name) for name in names]
