"""What the command ``seqmill predict`` does."""

from __future__ import annotations

from typing import Any

import orjson
import xxhash

from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.corpus import corpus_of
from seqmill.trainer.model_commands import build, policy_of
from seqmill.trainer.options import TrainOptions
from seqmill.trainer.predictions import check_replaceable, predict_corpus
from seqmill.trainer.ranking import ModelFolder
from seqmill.transforms.storage import files, output_folder
from seqmill.transforms.storage.errors import UsageError


def predict_command(options: TrainOptions, output: str, corpus: str, checkpoint: str, to: str | None) -> None:
    """Writes what ``predict`` of the model file makes of every sequence of a corpus.

    Args:
        options: The options, ``model`` resolved to an absolute path.
        output: Holds ``epochs/`` and ``model/``.
        corpus: Name of the corpus.
        checkpoint: What ``--checkpoint`` names.
        to: The file, path or URL; default: ``predictions/<corpus>.jsonl`` in ``output``.

    Raises:
        UsageError: There is no such checkpoint, no ``predict`` in the model file, or something else than
            earlier predictions is there already.
        SeqmillError: The checkpoint is broken or of another model, ``predict`` fails, or its results are not
            one per sequence.
    """
    opened = corpus_of(options, output, corpus)
    source = ModelFolder(output_folder.model_folder(output), policy_of(options)).choose(checkpoint)
    path = to or output_folder.predictions_path(output, corpus)
    if files.is_folder(path):
        raise UsageError(f"--to={path}: is a folder; expected a file")
    check_replaceable(path)
    loaded, state = build(options, output)
    from seqmill.trainer.feed import check_same_data_keys
    from seqmill.trainer.load_checkpoint import load_model
    from seqmill.trainer.model_file import predictor

    predict = predictor(loaded, state.model, opened)
    check_same_data_keys(corpus_of(options, output, "train"), opened)
    load_model(state, source)
    of = source.content.get("average_of", [source.epoch])
    print(f"{source.folder}: epoch{'s' if len(of) > 1 else ''} {', '.join(map(str, of))}")
    num_seqs = predict_corpus(opened, predict, path, _facts(options, source))
    print(f"{path}: {num_seqs} predictions")


def _facts(options: TrainOptions, source: Checkpoint) -> dict[str, Any]:
    """What decides the predictions: the model's content, and the model file with what it runs on."""
    import keras

    path, _, function = str(options.model).rpartition(":")
    content = [source.content["variables"], source.content["attributes"]]
    return {
        "content": xxhash.xxh3_128_hexdigest(orjson.dumps(content)),
        "model_file": xxhash.xxh3_128_hexdigest(files.read_bytes(path)),
        "function": function,
        "keras": [keras.version(), keras.backend.backend()],
    }
