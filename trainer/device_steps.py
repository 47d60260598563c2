"""Steps on batches that are filled up, on several devices or one, that do what they do without filling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import tree

from seqmill.trainer.device_losses import count_sequences, rows_of_step
from seqmill.trainer.fill_rows import real_rows
from seqmill.trainer.state.compiled import optimizers
from seqmill.trainer.state.walk import walk_model
from seqmill.transforms.storage.errors import UsageError

OWN_WORD = "several_devices"


def prepare_steps(model: keras.Model, first_batch: tuple[Any, ...], num_devices: int) -> None:
    """Makes training and evaluation steps of a model those of one device.

    Args:
        model: A built model, compiled.
        first_batch: (x, y, sample_weight) of a batch that ``fill_rows.filled`` made.
        num_devices: Between how many each batch is split; 1 where it is filled up for ``pad_batch`` alone.

    Raises:
        UsageError: The model computes something of its own that would not be the same.
    """
    if not getattr(model, OWN_WORD, False):
        _check_nothing_of_its_own(model, first_batch[0], num_devices)
    if not isinstance(model.train_step, _Step):
        model.train_step = _Step(model, model.train_step, num_devices)
        model.test_step = _Step(model, model.test_step, num_devices)
    model.train_function = model.test_function = None
    _build_whole(model, first_batch)
    _count_sequences(model)


class _Step:
    """A model's ``train_step`` or ``test_step``."""

    def __init__(self, model: keras.Model, step: Callable[..., Any], num_devices: int):
        self._model = model
        self._step = step
        self._num_devices = num_devices

    def __call__(self, *arguments: Any) -> Any:
        """Takes (data), or (state, data) with JAX."""
        _, _, weights = keras.utils.unpack_x_y_sample_weight(arguments[-1])
        _count_sequences(self._model)  # a callback may have compiled it anew
        if keras.backend.backend() == "tensorflow" and self._num_devices > 1:
            _add_up_first(self._model)
        with rows_of_step(real_rows(weights)):
            return self._step(*arguments)


def _build_whole(model: keras.Model, first_batch: tuple[Any, ...]) -> None:
    """Lets Keras build what it has not yet with a whole batch, and without weights.

    Under a strategy it takes the mean of the devices' parts, which booleans do not have; where there is a
    mask of frames, it multiplies it with weights of sequences as if both had the same axes.
    """
    specs = tree.map_structure(
        lambda array: keras.KerasTensor(array.shape, array.dtype.name), first_batch[:2], none_is_leaf=False
    )
    by_keras = model._symbolic_build
    if isinstance(by_keras, _Build):
        by_keras = by_keras.by_keras
    model._symbolic_build = model._maybe_symbolic_build = _Build(by_keras, specs)
    model._symbolic_build()


class _Build:
    """Keras' ``_symbolic_build``, with shapes that are given once."""

    def __init__(self, by_keras: Callable[..., Any], specs: Any):
        self.by_keras = by_keras
        self._specs = specs

    def __call__(self, iterator: Any = None, data_batch: Any = None) -> Any:
        return self.by_keras(data_batch=self._specs if data_batch is None else data_batch)


def _count_sequences(model: keras.Model) -> None:
    of_losses = getattr(model._compile_loss, "metrics", [])
    count_sequences([model._loss_tracker, *of_losses])


def _add_up_first(model: keras.Model) -> None:
    """Makes optimizers add up the devices' gradients before anything else.

    Keras does it last, after clipping, accumulating and looking for infinite ones: each device would do
    that to its own.
    """
    found = optimizers(walk_model(model)).values()
    inner = {id(one.inner_optimizer): one.inner_optimizer for one in found if hasattr(one, "inner_optimizer")}
    for optimizer in found:
        innermost = optimizer
        while hasattr(innermost, "inner_optimizer"):
            innermost = innermost.inner_optimizer
        if id(optimizer) not in inner and not isinstance(innermost._all_reduce_sum_gradients, _AddedUp):
            optimizer.apply = _ApplyAddedUp(optimizer.apply, innermost._all_reduce_sum_gradients)
            innermost._all_reduce_sum_gradients = _AddedUp()


class _ApplyAddedUp:
    """An optimizer's ``apply`` that is given the gradients of one device."""

    def __init__(self, apply: Callable[..., Any], add_up: Callable[..., Any]):
        self._apply = apply
        self._add_up = add_up

    def __call__(self, gradients: Any, trainable_variables: Any = None) -> Any:
        gradients = list(gradients)
        pairs = self._add_up(list(zip(gradients, gradients, strict=True)))
        return self._apply([gradient for gradient, _ in pairs], trainable_variables)


class _AddedUp:
    """What adds up gradients that have been."""

    def __call__(self, pairs: Any) -> Any:
        return pairs


def _check_nothing_of_its_own(model: keras.Model, x: Any, num_devices: int) -> None:
    name, own = type(model).__name__, []
    for method in ("train_step", "test_step", "compute_loss", "compute_metrics"):
        if getattr(type(model), method) is not getattr(keras.Model, method):
            own.append(f"{name}.{method}")
    for loss in tree.flatten(model.loss):
        if isinstance(loss, keras.losses.Loss) and type(loss).__call__ is not keras.losses.Loss.__call__:
            own.append(f"{type(loss).__name__}.__call__")
    for layer in model._flatten_layers():
        if getattr(layer, "activity_regularizer", None) is not None:
            own.append(f"activity_regularizer of {layer.name}")
    if keras.backend.backend() == "tensorflow" and num_devices > 1:
        for optimizer in optimizers(walk_model(model)).values():
            for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
                if getattr(optimizer, option, None):
                    own.append(f"{option} of {type(optimizer).__name__}")
    if not own and _added_losses(model, x):
        own.append("add_loss")
    if own and num_devices > 1:
        raise UsageError(
            f"on {num_devices} devices {', '.join(own)} may not be what it is on one: each device sees a "
            "part of the batch, with rows of weight 0 in it; set devices = 1, or see to it and set "
            f"{OWN_WORD} = True in class {name} (docs/training.md, Several devices)"
        )
    if own:
        raise UsageError(
            f"with pad_batch {', '.join(own)} may not be what it is without: there are rows of weight 0 in a "
            f"batch; set pad_batch = false, or see to it and set {OWN_WORD} = True in class {name} "
            "(docs/training.md, Several devices)"
        )


def _added_losses(model: keras.Model, x: Any) -> list[Any]:
    with keras.StatelessScope(collect_losses=True) as scope:
        model(x, training=True)
    return list(scope.losses)
