"""Making a user's model ready for the training loop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from seqmill.transforms.storage.errors import SeqmillError, UsageError


def check_one_device(model: keras.Model) -> None:
    """Raises SeqmillError where a model is built for several devices."""
    num_replicas = getattr(getattr(model, "distribute_strategy", None), "num_replicas_in_sync", 1)
    if num_replicas > 1:
        raise SeqmillError(
            f"the model is built for {num_replicas} devices (tf.distribute), expected one: Keras splits each "
            "batch between them, and fails where its sequences do not divide evenly"
        )


def device_scope(model: keras.Model) -> AbstractContextManager[Any]:
    """The scope of the ``tf.distribute`` strategy that a model was built under."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def check_callbacks(callbacks: Iterable[keras.callbacks.Callback]) -> None:
    """Raises UsageError where there is a callback that would train epochs again."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise UsageError(
                "callback BackupAndRestore: puts back epochs of its own; seqmill's checkpoints do what it "
                "does, so leave it out"
            )


def prepare_model(
    model: keras.Model, seed: int, open_feed: Callable[[], AbstractContextManager[tf.data.Dataset]]
) -> None:
    """Makes all variables exist, so that a checkpoint can be loaded into them.

    Args:
        model: A compiled model.
        seed: Of the variables that are made only now.
        open_feed: Opens the data that the model is to be called on, if it must.

    Raises:
        SeqmillError: It cannot be called on a batch.
    """
    keras.utils.set_random_seed(seed)
    if not model.built:
        with open_feed() as data:
            x = next(data.as_numpy_iterator())[0]
        _call_once(model, x)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    compile_config = getattr(getattr(model, "_compile_config", None), "config", {})
    if keras.backend.backend() == "tensorflow" and compile_config.get("jit_compile") == "auto":
        model.jit_compile = False  # XLA would compile once per batch shape


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
