"""What to say where Keras or TensorFlow fails in a step of a training."""

from __future__ import annotations

import traceback

import keras
import tensorflow as tf

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.epochs import column_shapes
from seqmill.trainer.inputs import show_shape, target_key
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

# What they raise where arrays do not fit. Other exceptions are those of the user's own code.
STEP_ERRORS = (ValueError, TypeError, tf.errors.OpError)
TRACE_NAME = "failure.txt"


def step_failure(
    error: BaseException, model: keras.Model, corpus: Corpus, folder: str, has_own_target: bool
) -> SeqmillError:
    """The error to raise in place of one of ``STEP_ERRORS``; the trace becomes a file in the model folder.

    Args:
        error: What was raised.
        model: The model that is trained.
        corpus: What it is trained on.
        folder: The model folder.
        has_own_target: The model file has a ``batch_to_xy``, which decides what the target is.
    """
    path = files.join(folder, TRACE_NAME)
    with files.write_atomically(path) as file:
        file.write("".join(traceback.format_exception(error)).encode())
    lines = [f"training failed: {type(error).__name__}: {_reason(error)}"]
    outputs = keras.tree.flatten(getattr(model, "outputs", None) or [])
    lines += [f"The model's output: {output.dtype} {show_shape(output.shape)}" for output in outputs]
    if not has_own_target:
        key = target_key(corpus)
        dtype, shape = column_shapes(corpus)[key]
        num_labels = corpus.manifest.data_keys[key].num_labels
        of_labels = "" if num_labels is None else f", labels from 0 to {num_labels - 1}"
        lines.append(f"The target: {key}: {dtype} {show_shape(shape)}{of_labels}")
    return SeqmillError("\n".join([*lines, f"The trace is in {path}"]))


def _reason(error: BaseException) -> str:
    """What went wrong, without the calls that TensorFlow puts before it and the nodes behind it."""
    text = str(error)
    if not text.startswith(("Graph execution error", "in user code")):
        return text
    lines = [line.strip() for line in text.partition("[[{{node")[0].splitlines() if line.strip()]
    return lines[-1]
