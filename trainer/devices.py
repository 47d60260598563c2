"""Which devices of this process a model is trained on."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Literal

import keras
import tensorflow as tf
from keras.layers import BatchNormalization

from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.corpus import Corpus
from seqmill.transforms.storage.errors import UsageError


def devices_scope(devices: int | Literal["all"]) -> AbstractContextManager[Any]:
    """The scope under which a model is built and trained on so many devices of this process.

    Accelerators where there are any, else the CPU's logical devices: with TensorFlow under a
    ``tf.distribute.MirroredStrategy``, with JAX under a ``keras.distribution.DataParallel``.

    Args:
        devices: How many, or ``"all"``.

    Raises:
        UsageError: There are not as many, or Keras' backend cannot split batches.
    """
    if devices == 1:
        return contextlib.nullcontext()
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise UsageError(
            f"devices = {devices}: with KERAS_BACKEND={backend} a training runs on one device; expected "
            "tensorflow or jax"
        )
    names = keras.distribution.list_devices()
    number = len(names) if devices == "all" else devices
    if number > len(names):
        raise UsageError(f"devices = {devices}: there are {len(names)}: {', '.join(names)}")
    if number == 1:
        return contextlib.nullcontext()
    if backend == "jax":
        scope: AbstractContextManager[Any] = keras.distribution.DataParallel(devices=names[:number]).scope()
        return scope
    return _strategy(tuple(names[:number])).scope()


def device_scope(model: keras.Model) -> AbstractContextManager[Any]:
    """The scope of the ``tf.distribute`` strategy that a model was built under."""
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def num_devices(model: keras.Model, say: Callable[[str], None]) -> int:
    """Between how many devices Keras splits each batch of a model.

    Args:
        model: The model.
        say: Takes a message about what several devices do otherwise than one.

    Raises:
        UsageError: The model was built for something else than several devices of this process, or the
            distribution it was built under is not in force.
    """
    number = 1
    if keras.backend.backend() == "tensorflow":
        number = _num_replicas(model.distribute_strategy)
    elif keras.backend.backend() == "jax":
        number = _num_shards(model)
    normalized = _normalized(model)
    if number > 1 and normalized:
        say(
            f"on {number} devices batch normalization ({normalized}) sees other statistics than "
            "on one: rows that fill a batch up, and with TensorFlow the rows of one device alone"
        )
    return number


def say_filling(model: keras.Model, say: Callable[[str], None]) -> None:
    """Says what a model on one device does otherwise where ``pad_batch`` fills its batches up."""
    if normalized := _normalized(model):
        say(f"with pad_batch batch normalization ({normalized}) sees the rows that fill a batch up")


def check_splittable(corpora: Iterable[Corpus], number: int) -> None:
    """Raises UsageError where batches have no rows that several devices could share."""
    for corpus in corpora:
        if number > 1 and corpus.manifest.packed:
            raise UsageError(
                f"{corpus.folder}: packed batches have no rows to split between {number} devices; train on "
                "one, or set packed = false"
            )


def say_changed_devices(checkpoint: Checkpoint, number: int, say: Callable[[str], None]) -> None:
    """Says that a training goes on with another number of devices, which is not the same bit for bit."""
    then = checkpoint.content.get("devices", 1)
    if then != number:
        say(
            f"changed since epoch {checkpoint.epoch}: the number of devices was {then}, is {number}; sums "
            "are rounded in another order"
        )


def _normalized(model: keras.Model) -> str:
    """Names of the layers that normalize over a batch."""
    return ", ".join(one.name for one in model._flatten_layers() if isinstance(one, BatchNormalization))


@functools.cache  # several in a process take each other's messages: their collective operations share keys
def _strategy(names: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(names)


def _num_replicas(strategy: tf.distribute.Strategy) -> int:
    number = int(strategy.num_replicas_in_sync)
    if number > 1 and type(strategy) is not tf.distribute.MirroredStrategy:
        raise UsageError(
            f"the model was built under {type(strategy).__name__} for {number} devices; expected "
            "tf.distribute.MirroredStrategy (several hosts: see `reader` of seqmill.dataset)"
        )
    return number


def _num_shards(model: keras.Model) -> int:
    distribution = keras.distribution.distribution()
    found = {len(v.value.sharding.device_set) for v in model.variables if hasattr(v.value, "sharding")}
    number = 1 if distribution is None else int(distribution.device_mesh.devices.size)
    if number > 1 and not isinstance(distribution, keras.distribution.DataParallel):
        raise UsageError(
            f"the model was built under {type(distribution).__name__} for {number} devices; expected "
            "keras.distribution.DataParallel"
        )
    if found - {number}:
        raise UsageError(
            f"the model was built for {max(found)} devices, but keras.distribution now in force is for "
            f"{number}; build the model and call train in the same `with distribution.scope():`"
        )
    return number
