"""From a batch's columns to what ``fit`` takes: (inputs, targets, sample weights)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqmill.trainer.corpus import Corpus
from seqmill.trainer.epochs import column_shapes
from seqmill.trainer.packed_columns import PACKED_COLUMNS
from seqmill.transforms.storage.errors import SeqmillError

BatchToXy = Callable[[dict[str, Any]], tuple[Any, ...]]

TARGET_KEY = "classes"


def default_batch_to_xy(model: keras.Model, corpus: Corpus) -> BatchToXy:
    """What becomes input and what target, by the names of data keys.

    The target is data key ``classes``, or the last key where there is none of that name. Its mask is the
    sample weight, so that padding counts for nothing; packed frames count all. A functional model gets the
    columns that its inputs are named after (``data``, ``data_lengths``, ``data_mask``, also those of the
    target, for teacher forcing); any other model gets a dict of all columns but the target's.

    Raises:
        SeqmillError: An input of the model names no column, or one of another shape or dtype.
    """
    target = target_key(corpus)
    names = _input_names(model, corpus, target)

    def batch_to_xy(batch: dict[str, Any]) -> tuple[Any, ...]:
        # Every frame of a packed batch is a true one.
        packed = corpus.manifest.packed
        mask = tf.ones(tf.shape(batch[target])[:1]) if packed else batch[f"{target}_mask"]
        weights = tf.cast(mask, tf.float32)
        return keras.tree.map_structure(batch.__getitem__, names), batch[target], weights

    return batch_to_xy


def target_key(corpus: Corpus) -> str:
    """The data key that is the target by default."""
    keys = list(corpus.manifest.data_keys)
    return TARGET_KEY if TARGET_KEY in keys else keys[-1]


def _input_names(model: keras.Model, corpus: Corpus, target: str) -> Any:
    """Names of the columns to feed, in the structure in which the model takes its inputs."""
    columns = column_shapes(corpus)
    structure = _functional_inputs(model)
    if structure is None:
        own = {target, *(f"{target}_{name}" for name in ("lengths", "mask", *PACKED_COLUMNS))}
        kept = [name for name in columns if name not in own or len(corpus.manifest.data_keys) == 1]
        return {name: name for name in kept}
    inputs = keras.tree.flatten(structure)
    unfit = [i for i in inputs if i.name not in columns or not _fits(i, *columns[i.name])]
    if unfit:
        wanted = "\n".join(f"  {i.name}: {i.dtype} {show_shape(i.shape)}" for i in inputs)
        found = "\n".join(
            f"  {name}: {dtype} {show_shape(shape)}" for name, (dtype, shape) in columns.items()
        )
        raise SeqmillError(
            f"the model's inputs do not fit {corpus.folder} (input {unfit[0].name!r}).\n"
            f"The model's inputs:\n{wanted}\nThe columns of a batch:\n{found}\n"
            "Name the model's inputs after columns, or define batch_to_xy(batch) in the model file."
        )
    # A list of inputs becomes a tuple: tf.data takes no lists.
    given = tuple(structure) if isinstance(structure, list) else structure
    return keras.tree.map_structure(lambda tensor: tensor.name, given)


def _functional_inputs(model: keras.Model) -> Any:
    """The inputs of a functional or built sequential model as they were given, ``None`` for others."""
    try:
        return model.input
    except (AttributeError, ValueError):
        return None


def _fits(tensor: Any, dtype: str, shape: tuple[int | None, ...]) -> bool:
    """Whether a column can be fed to an input: numbers are cast, so only the kind of dtype counts."""
    if len(tensor.shape) != len(shape):
        return False
    if any(a is not None and b is not None and a != b for a, b in zip(tensor.shape, shape, strict=True)):
        return False
    wanted = "f" if "float" in tensor.dtype else np.dtype(tensor.dtype).kind
    found = np.dtype(dtype).kind
    return wanted == "f" or (wanted in "iu" and found in "iu") or wanted == found


def show_shape(shape: Any) -> str:
    """A shape for people."""
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
