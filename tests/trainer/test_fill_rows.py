import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.trainer.batch_graph import NUM_ROWS
from seqmill.trainer.fill_rows import filled, real_rows
from seqmill.transforms.storage.errors import SeqmillError


@given(st.integers(1, 7), st.integers(2, 4), st.sampled_from([None, [0.0], [-0.0], [0.5, 0.0]]))
@settings(max_examples=40, deadline=None)
def test_rows_of_zeros_are_added_and_told_from_the_others(num_rows, multiple, weights):
    tf.constant(0.0, tf.float32)  # TensorFlow keeps it, and would give it for a constant -0.0 too
    x = {
        "data": tf.ones([num_rows, 2, 3]),
        "mask": tf.ones([num_rows, 2], tf.bool),
        "tag": tf.fill([num_rows], "a"),
    }
    y = tf.range(1, num_rows + 1)
    given = (x, y) if weights is None else (x, y, tf.tile([weights], [num_rows, 1]))
    more_x, more_y, more_weights = filled(lambda batch: given, multiple)({})
    assert len(more_y) % multiple == 0 and 0 <= len(more_y) - num_rows < multiple
    for array, before in ((more_y, y), *((more_x[name], x[name]) for name in x)):
        np.testing.assert_array_equal(array[:num_rows], before)
        assert not np.any(array[num_rows:])
    wanted = np.ones(num_rows) if weights is None else given[2]
    np.testing.assert_array_equal(more_weights[:num_rows], wanted)
    assert not np.any(more_weights[num_rows:])
    np.testing.assert_array_equal(real_rows(more_weights), [1] * num_rows + [0] * (len(more_y) - num_rows))


@pytest.mark.parametrize(("multiple", "least", "wanted"), [(1, 5, 5), (4, 5, 8), (1, 2, 3), (2, 0, 4)])
def test_rows_are_added_up_to_a_number_and_to_a_multiple(multiple, least, wanted):
    batch = {"data": tf.ones([3, 2]), NUM_ROWS: tf.constant(least, tf.int64)}
    seen = []
    (x, _, weights) = filled(
        lambda batch: (seen.append(set(batch)) or batch["data"], batch["data"]), multiple
    )(batch)
    assert seen == [{"data"}] and x.shape == (wanted, 2)
    np.testing.assert_array_equal(real_rows(weights), [1] * 3 + [0] * (wanted - 3))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            (tf.ones([2, 3]), tf.sparse.from_dense(tf.ones([2, 3]))),
            "returned a SparseTensor, which cannot be split",
        ),
        ((tf.ones([2, 3]), 1), "returned a number, which cannot be split between devices"),
        ((tf.ones([2, 3]), tf.ones([6])), "expected arrays that all have the same number of rows"),
    ],
)
def test_what_cannot_be_split_is_named(returned, message):
    with pytest.raises((SeqmillError, tf.errors.InvalidArgumentError), match=message):
        filled(lambda batch: returned, 2)({})


def test_weights_of_several_outputs_are_filled():
    outputs = {"a": tf.ones([3]), "b": tf.ones([3, 2])}
    _, _, weights = filled(lambda batch: (tf.ones([3, 1]), outputs, outputs), 2)({})
    assert keras.tree.map_structure(lambda array: tuple(array.shape), weights) == {"a": (4,), "b": (4, 2)}
