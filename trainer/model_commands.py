"""What the commands ``seqmill best``, ``average`` and ``export`` do with the models of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqmill.trainer.import_tensorflow import import_tensorflow
from seqmill.trainer.options import CleanupPolicy, TrainOptions
from seqmill.trainer.ranking import ModelFolder
from seqmill.trainer.saved_models import AVERAGE, JSON_NAME, is_saved
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.storage.locks import only_writer

if TYPE_CHECKING:
    from seqmill.trainer.model_file import ModelFile
    from seqmill.trainer.state.model_state import ModelState

_MOST_ROWS = 20


def best_command(policy: CleanupPolicy, output: str) -> None:
    """Prints the epochs of the training below ``output``, the best first, and which have a checkpoint.

    Raises:
        SeqmillError: There is no training, or none of its epochs has the score.
    """
    from rich.console import Console
    from rich.table import Table

    folder = output_folder.model_folder(output)
    models = ModelFolder(folder, policy)
    ranking = models.ranking
    best = models.best(1)[0]
    table = Table("rank", "epoch", ranking.score, "checkpoint")
    for number, (epoch, value) in enumerate(list(ranking.epochs.items())[:_MOST_ROWS], 1):
        there = files.name(models.checkpoints[epoch].folder) if epoch in models.checkpoints else ""
        table.add_row(str(number), str(epoch), f"{value:.6g}", there)
    Console().print(table)
    if ranking.on_other_data:
        epochs = ", ".join(map(str, ranking.on_other_data))
        print(f"not ranked, as {ranking.score} was measured on other data: epochs {epochs}")
    print(f"best: {best.folder} ({ranking.score} {ranking.epochs[best.epoch]:.6g})")


def average_command(
    options: TrainOptions, output: str, number: int | None, epochs: Sequence[int] = ()
) -> None:
    """Writes the average of checkpoints as ``model/average``.

    Args:
        options: The options, ``model`` resolved to an absolute path.
        output: Holds ``epochs/train/`` and ``model/``.
        number: The best so many are averaged.
        epochs: Those of these epochs are averaged.

    Raises:
        UsageError: There are not as many checkpoints.
        SeqmillError: A checkpoint is broken or of another model, or a training is running.
    """
    folder = output_folder.model_folder(output)
    models = ModelFolder(folder, policy_of(options))
    sources = models.best(number) if number else [models.of_epoch(epoch) for epoch in dict.fromkeys(epochs)]
    _, state = build(options, output)
    from seqmill.trainer.average import load_average
    from seqmill.trainer.write_model import save_model

    with only_writer(folder, "averaging"):
        load_average(state, sources)
        of = sorted(one.epoch for one in sources)
        facts = {"training": models.history.training, "epoch": max(of), "average_of": of}
        save_model(state, files.join(folder, AVERAGE), facts)
    print(f"{files.join(folder, AVERAGE)}: the average of epochs {', '.join(map(str, of))}")


def export_command(options: TrainOptions, output: str, checkpoint: str, to: str | None) -> None:
    """Writes the model of a checkpoint alone into a folder.

    Args:
        options: The options, ``model`` resolved to an absolute path.
        output: Holds ``epochs/train/`` and ``model/``.
        checkpoint: What ``--checkpoint`` names.
        to: The folder, path or URL; default: ``export/<checkpoint>`` in ``output``.

    Raises:
        UsageError: There is no such checkpoint, or the folder holds something else.
        SeqmillError: The checkpoint is broken or of another model.
    """
    models = ModelFolder(output_folder.model_folder(output), policy_of(options))
    source = models.choose(checkpoint)
    target = to or output_folder.export_folder(output, files.name(source.folder))
    _check_target(target, output_folder.model_folder(output))
    _, state = build(options, output)
    from seqmill.trainer.load_checkpoint import load_model
    from seqmill.trainer.write_model import save_model

    load_model(state, source)
    more = {name: source.content[name] for name in ("scores", "average_of") if name in source.content}
    if (epoch := str(source.epoch)) in (scores := models.history.to_json()["epochs"]) and not more:
        more = {"scores": scores[epoch]}
    save_model(state, target, {"training": source.training, "epoch": source.epoch, **more})
    content = files.read_json(files.join(target, JSON_NAME))
    why = f" ({content['why_no_model']})" if content["why_no_model"] else ""
    print(f"{target}: {source.folder}, as {content['file'] or 'arrays alone'}{why}")


def build(options: TrainOptions, output: str) -> tuple[ModelFile, ModelState]:
    """The model that the model file builds for the corpus ``train``, ready for a checkpoint to be loaded.

    Raises:
        UsageError: There is no model file.
        SeqmillError: It fails, or ``train`` is not there.
    """
    if not options.model:
        raise UsageError('no model: set model = "FILE.py:function", as for training')
    import_tensorflow()
    import keras

    from seqmill.trainer import model_file
    from seqmill.trainer.corpus import corpus_of
    from seqmill.trainer.feed import Feed
    from seqmill.trainer.inputs import default_batch_to_xy
    from seqmill.trainer.prepare_model import prepare_model
    from seqmill.trainer.state.model_state import ModelState

    corpus = corpus_of(options, output, "train")
    loaded = model_file.load_model_file(options.model)
    keras.utils.set_random_seed(options.seed)
    model = model_file.build_model(loaded, corpus.manifest)
    prepare_model(
        model,
        options.seed,
        lambda: Feed(corpus, loaded.batch_to_xy or default_batch_to_xy(model, corpus)).epoch(1),
    )
    return loaded, ModelState(model)


def policy_of(options: TrainOptions) -> CleanupPolicy:
    """What is best, by the options."""
    return options.cleanup_old_models or CleanupPolicy()


def _check_target(target: str, model_folder: str) -> None:
    """Raises UsageError where an export would replace anything but an export."""
    if files.parent(target) == model_folder or target.rstrip("/") == model_folder:
        raise UsageError(f"--to={target}: is where training keeps its own; choose another folder")
    if files.is_file(target) or (files.list_names(target) and not is_saved(target)):
        raise UsageError(f"--to={target}: holds something else; expected a new folder, or an earlier export")
