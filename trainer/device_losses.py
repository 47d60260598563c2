"""Losses and scores of a batch that is filled up and split between devices: those of the whole batch.

Keras divides by every row that it is given and, with TensorFlow, on each device by that device's rows alone:
the mean of the devices' means is not the mean of the batch. Inside ``rows_of_step`` its losses and metrics
divide by what the rows of all devices hold that are no filling.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras.src.backend.common.masking import get_keras_mask
from keras.src.losses import loss as keras_losses
from keras.src.trainers.compile_utils import MetricsList

from seqmill.transforms.storage.errors import UsageError


@dataclass(frozen=True)
class Rows:
    """The rows that a step is given; with TensorFlow those of one device.

    Attributes:
        real: 1 for those that hold a sequence, 0 for filling, float32 [B].
        share: Rows of all devices that hold a sequence, over the number of times that a step adds to a
            metric: once for each device with TensorFlow, once with JAX.
    """

    real: Any
    share: Any

    @property
    def number(self) -> Any:
        """How many are no filling, on this device."""
        return ops.sum(self.real)

    def are_real(self, array: Any) -> Any:
        """``real`` in the dtype of an array of the same rows, to be multiplied with it."""
        return ops.cast(_with_axes(self.real, len(array.shape)), array.dtype)


@contextlib.contextmanager
def rows_of_step(real: Any) -> Iterator[None]:
    """Within, Keras' losses and metrics are those of the whole batch.

    Args:
        real: Of ``fill_rows.real_rows``.
    """
    _change_keras()
    times = tf.distribute.get_strategy().num_replicas_in_sync if _is_replica() else 1
    before, _current.rows = _rows(), Rows(real, _over_devices(ops.sum(real)) / times)
    try:
        yield
    finally:
        _current.rows = before


def count_sequences(metrics: list[keras.metrics.Metric]) -> None:
    """Lets means over batches, such as Keras' of the loss, weigh each by its sequences, without filling."""
    for metric in metrics:
        if not isinstance(metric.update_state, _CountingUpdate):
            metric.update_state = _CountingUpdate(metric.update_state)


def mean_over_batch(values: Any, sample_weight: Any = None) -> Any:
    """The weighted mean of a loss over the sequences of a batch, whatever the number of devices.

    For a ``compute_loss`` of one's own, instead of ``ops.mean``: on several devices rows of weight 0 are
    added to a batch, and each device sees its share of the rows only.

    Args:
        values: One value per sequence [B] or frame [B, T].
        sample_weight: [B] or [B, T], what ``compute_loss`` was given; ``None``: all count alike.

    Returns:
        The mean, or with TensorFlow on several devices what this device's rows add to it.

    >>> import seqmill
    >>> float(seqmill.mean_over_batch([3.0, 1.0, 9.0], sample_weight=[1.0, 1.0, 0.0]))
    2.0
    """
    reduction = "mean" if sample_weight is None else "mean_with_sample_weight"
    return keras_losses.reduce_weighted_values(
        ops.convert_to_tensor(values), sample_weight, reduction=reduction, dtype=keras.config.floatx()
    )


_current = threading.local()


def _rows() -> Rows | None:
    return getattr(_current, "rows", None)


def _is_replica() -> bool:
    return keras.backend.backend() == "tensorflow" and tf.distribute.get_replica_context() is not None


def _over_devices(value: Any) -> Any:
    """The sum of a number over all devices; with JAX it is that already."""
    if not _is_replica():
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


class _CountingUpdate:
    """``update_state`` of a mean that takes the number of sequences as weight."""

    def __init__(self, update: Callable[..., Any]):
        self._update = update

    def __call__(self, values: Any, sample_weight: Any = None) -> Any:
        rows = _rows()
        if rows is not None and sample_weight is not None:
            sample_weight = rows.share
        return self._update(values, sample_weight=sample_weight)


def _change_keras() -> None:
    """Makes Keras' reductions heed ``rows_of_step``: neither its losses nor its metrics offer a place."""
    if isinstance(keras_losses.reduce_weighted_values, _Reduce):
        return
    keras_losses.reduce_weighted_values = _Reduce(keras_losses.reduce_weighted_values)
    update = MetricsList.update_state

    def update_state(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        rows = _rows()
        if rows is not None:
            sample_weight = rows.real if sample_weight is None else sample_weight
            mask = get_keras_mask(y_pred)  # Keras multiplies both as they are
            if mask is not None:
                sample_weight = _with_axes(sample_weight, len(mask.shape))
        update(self, y_true, y_pred, sample_weight=sample_weight)

    MetricsList.update_state = update_state


class _Reduce:
    """Keras' ``reduce_weighted_values``, over the rows of all devices where a step says which are real."""

    def __init__(self, on_one_device: Callable[..., Any]):
        self._on_one_device = on_one_device

    def __call__(
        self,
        values: Any,
        sample_weight: Any = None,
        mask: Any = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> Any:
        rows = _rows()
        if rows is None:
            return self._on_one_device(values, sample_weight, mask, reduction, dtype)
        values = ops.convert_to_tensor(values, dtype=dtype)
        _check_reducible(values, reduction)
        values, weights = _weighted(values, [sample_weight, mask])
        if weights is not None:
            weights = weights * rows.are_real(weights)
        total = ops.sum(values * (rows.are_real(values) if weights is None else weights))
        if reduction == "sum":
            return total
        if reduction == "mean_with_sample_weight" and weights is not None:
            number = _over_devices(ops.sum(weights))
        else:
            number = _over_devices(rows.number * _size_of_row(values))
            if mask is not None and reduction != "mean_with_sample_weight":
                mask = ops.cast(mask, values.dtype)
                valid = _over_devices(ops.sum(mask * rows.are_real(mask)))
                number = number * valid / _over_devices(rows.number * _size_of_row(mask))
        return ops.divide_no_nan(total, ops.stop_gradient(ops.cast(number, total.dtype)))


def _weighted(values: Any, given: list[Any]) -> tuple[Any, Any]:
    """Values, and the product of what is given of sample weights and mask, both of as many axes."""
    weights = None
    for part in given:
        if part is not None:
            part = ops.cast(part, values.dtype)
            values, part = keras_losses.squeeze_or_expand_to_same_rank(values, part)
            if len(part.shape) < len(values.shape):  # one weight for all frames of a sequence
                part = _with_axes(part, len(values.shape)) * ops.ones_like(values)
            weights = part if weights is None else weights * part
    return values, weights


def _check_reducible(values: Any, reduction: str | None) -> None:
    if reduction in (None, "none"):
        raise UsageError(
            'a loss has reduction="none", which is not the same on several devices; expected "sum", '
            '"sum_over_batch_size" or "mean_with_sample_weight"'
        )
    if len(values.shape) == 0:
        raise UsageError(
            "a loss gives one number for a whole batch, which is not the same on several devices; expected "
            "one number per sequence [B] or frame [B, T], and the mean left to Keras (reduction=…)"
        )


def _with_axes(array: Any, number: int) -> Any:
    """An array with axes of size 1 behind its own, so that it has as many."""
    axes = (1,) * (number - len(array.shape))
    return ops.reshape(array, (*ops.shape(array), *axes)) if axes else array


def _size_of_row(array: Any) -> Any:
    return ops.cast(ops.prod(ops.convert_to_tensor(ops.shape(array)[1:], dtype="int32")), "float32")
