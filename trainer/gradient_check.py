"""Looking at all gradients in every step, as part of the step's own graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


class GradientCheck:
    """Adds up the squares of all gradients where the optimizer applies them.

    The sum is not finite where a gradient is not, or where its square, of which Adam and others keep a mean,
    is too large for a float: the two ways in which a finite loss ruins weights or optimizer state. Being part
    of the step's graph the check costs no call of its own. Only the TensorFlow backend has such steps.

    Args:
        model: A compiled model. Its optimizer is extended once, however many checks look at it.

    Attributes:
        optimizer: That optimizer.
    """

    def __init__(self, model: keras.Model):
        self.optimizer = model.optimizer
        self._sum: tf.Variable | None = None
        if keras.backend.backend() == "tensorflow":
            apply = model.optimizer.apply
            if not isinstance(apply, _SummingApply):
                apply = _SummingApply(apply, model.distribute_strategy)
                model.optimizer.apply = apply
                model.make_train_function(force=True)
            self._sum = getattr(apply.sum, "values", [apply.sum])[0]  # the same on every device

    def may_have_failed(self) -> bool:
        """Whether the last step may have left something that is not finite."""
        if self._sum is None:
            return False
        # A third of the time that `.numpy()` takes.
        value = tf.raw_ops.ReadVariableOp(resource=self._sum.handle, dtype=tf.float32)
        return not math.isfinite(float(value))


class _SummingApply:
    """An optimizer's ``apply`` that remembers the sum of the squares of all gradients."""

    def __init__(self, apply: Callable[..., Any], strategy: tf.distribute.Strategy):
        self._apply = apply
        with strategy.scope():
            first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            self.sum = tf.Variable(0.0, trainable=False, aggregation=first, name="sum_of_squared_gradients")

    def __call__(self, gradients: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        context = tf.distribute.get_replica_context()
        self.sum.assign(context.all_reduce(tf.distribute.ReduceOp.SUM, _sum_of_squares(gradients)))
        return self._apply(gradients, trainable_variables)


def _sum_of_squares(gradients: Sequence[Any]) -> tf.Tensor:
    given = [gradient for gradient in gradients if gradient is not None]
    dense = [gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient for gradient in given]
    return tf.add_n([tf.constant(0.0), *(tf.cast(tf.nn.l2_loss(gradient), tf.float32) for gradient in dense)])
