"""Filling batches up, so that they divide evenly between devices, or have as many rows as others.

Keras splits a batch along its first axis and fails where it does not divide (keras#21167). XLA compiles for
every number of rows anew, which ``pad_batch`` is against.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from seqmill.trainer.batch_graph import NUM_ROWS
from seqmill.trainer.inputs import BatchToXy
from seqmill.transforms.storage.errors import SeqmillError


def filled(batch_to_xy: BatchToXy, multiple: int) -> BatchToXy:
    """``batch_to_xy`` whose arrays have a multiple of rows: rows of zeros are added behind the others.

    Lengths and masks of these rows are zeros like everything else, and so is their sample weight; where
    there was none, the other rows get weight 1. The weights of the rows that were added are *negative* zeros,
    which is how ``real_rows`` tells them from sequences of which nothing counts.

    Args:
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight).
        multiple: The number of devices. Where the batch has a column ``NUM_ROWS``, the rows are that many at
            least.
    """

    def filled_batch_to_xy(batch: dict[str, Any]) -> tuple[Any, ...]:
        columns = dict(batch)
        least = columns.pop(NUM_ROWS, 0)
        return _filled(batch_to_xy(columns), multiple, least)

    return filled_batch_to_xy


def real_rows(weights: Any) -> Any:
    """1 for rows that hold a sequence and 0 for those that ``filled`` added, float32 [B].

    Args:
        weights: The sample weights that ``filled`` made.
    """
    first = ops.cast(keras.tree.flatten(weights)[0], "float32")
    first = ops.reshape(first, (ops.shape(first)[0], -1))[:, :1]
    is_negative_zero = ops.logical_and(ops.equal(first, 0.0), ops.less(ops.divide(1.0, first), 0.0))
    return 1.0 - ops.cast(ops.any(is_negative_zero, axis=1), "float32")


@tf.autograph.experimental.do_not_convert
def _filled(given: Any, multiple: int, least: Any) -> tuple[Any, ...]:
    x, y, weights = tf.nest.map_structure(_tensor, keras.utils.unpack_x_y_sample_weight(given))
    num_rows = tf.shape(next(array for array in tf.nest.flatten(x) if array is not None))[0]
    wanted = tf.maximum(num_rows, tf.cast(least, tf.int32))
    missing = wanted + (-wanted % multiple) - num_rows
    if weights is None:
        weights = tf.ones([num_rows])

    def fill(array: tf.Tensor | None, as_weights: bool = False) -> tf.Tensor | None:
        if array is None:
            return None
        expected = "batch_to_xy: expected arrays that all have the same number of rows"
        with tf.control_dependencies([tf.debugging.assert_equal(tf.shape(array)[0], num_rows, expected)]):
            rows = tf.zeros([missing, *tf.unstack(tf.shape(array))[1:]], array.dtype)
        # Not a constant -0.0: TensorFlow may give the 0.0 that it made before, as the two are equal.
        return tf.concat([array, tf.negative(rows) if as_weights else rows], 0)

    def fill_weights(array: tf.Tensor | None) -> tf.Tensor | None:
        if array is None:
            return None
        array = tf.cast(array, tf.float32)
        return fill(tf.where(array == 0, tf.zeros_like(array), array), as_weights=True)

    x, y = tf.nest.map_structure(fill, (x, y))
    return x, y, tf.nest.map_structure(fill_weights, weights)


def _tensor(array: Any) -> tf.Tensor | None:
    if array is None:
        return None
    if not isinstance(array, tf.__internal__.CompositeTensor):
        array = tf.convert_to_tensor(array)
    if not isinstance(array, tf.Tensor) or array.shape.rank == 0:
        what = "a number" if isinstance(array, tf.Tensor) else f"a {type(array).__name__}"
        raise SeqmillError(
            f"batch_to_xy returned {what}, which cannot be split between devices or filled up; expected "
            "dense arrays whose first axis is that of the sequences"
        )
    return array
