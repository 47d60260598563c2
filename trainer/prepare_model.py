"""Making a user's model ready for the training loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from seqmill.trainer.device_steps import prepare_steps
from seqmill.transforms.storage.errors import SeqmillError, UsageError


def check_callbacks(callbacks: Iterable[keras.callbacks.Callback]) -> None:
    """Raises UsageError where there is a callback that would train epochs again."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise UsageError(
                "callback BackupAndRestore: puts back epochs of its own; seqmill's checkpoints do what it "
                "does, so leave it out"
            )


def prepare_model(
    model: keras.Model,
    seed: int,
    open_feed: Callable[[], AbstractContextManager[tf.data.Dataset]],
    multiple: int | None = None,
) -> None:
    """Makes all variables exist, so that a checkpoint can be loaded into them, and steps ready for devices.

    Args:
        model: A compiled model.
        seed: Of the variables that are made only now.
        open_feed: Opens the data that the model is to be called on, if it must.
        multiple: Between how many devices each batch is split, where batches are filled up; see ``Feed``.

    Raises:
        SeqmillError: It cannot be called on a batch, or computes what is not the same on several devices.
    """
    keras.utils.set_random_seed(seed)
    if not model.built or multiple is not None:
        with open_feed() as data:
            first_batch = next(data.as_numpy_iterator())
    if not model.built:
        _call_once(model, first_batch[0])
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    compile_config = getattr(getattr(model, "_compile_config", None), "config", {})
    if keras.backend.backend() == "tensorflow" and compile_config.get("jit_compile") == "auto":
        model.jit_compile = False  # XLA would compile once per batch shape
    if multiple is not None:
        prepare_steps(model, first_batch, multiple)


@contextlib.contextmanager
def without_averages(model: keras.Model) -> Iterator[None]:
    """Keeps a ``fit`` from overwriting weights with their averages (``use_ema``) at its end."""
    optimizer = model.optimizer
    optimizer.finalize_variable_values = lambda var_list: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values


def _call_once(model: keras.Model, x: Any) -> None:
    try:
        model(x, training=False)
    except (TypeError, ValueError, KeyError) as error:
        given = keras.tree.map_structure(lambda array: f"{array.dtype} {list(array.shape)}", x)
        raise SeqmillError(
            f"the model cannot be called on a batch: {error}\nIt was called on: {given}\n"
            "Define batch_to_xy(batch) in the model file to give it something else."
        ) from error
