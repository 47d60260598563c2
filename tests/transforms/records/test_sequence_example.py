import numpy as np
import pytest
import tensorflow as tf

from seqmill.transforms.records.example import BrokenExampleError, FeatureList, decode


def ints(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def texts(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def decoded(context=None, **lists):
    lists = {name: tf.train.FeatureList(feature=steps) for name, steps in lists.items()}
    example = tf.train.SequenceExample(
        context=tf.train.Features(feature=context or {}),
        feature_lists=tf.train.FeatureLists(feature_list=lists),
    )
    return decode(example.SerializeToString())


def test_context_and_lists():
    found = decoded(
        {"id": texts(b"x")},
        flat=[ints(1), ints(2)],
        rows=[floats(1, 2), floats(3, 4), floats(5, 6)],
        one=[floats(0.5)],
        words=[texts(b"a")],
        lists=[texts(b"a", b"b"), texts()],
        ragged=[ints(1), ints(1, 2)],
        mixed=[ints(1), floats(1)],
        none=[],
        unset=[tf.train.Feature()],
    )
    assert found["id"] == [b"x"]
    assert found["flat"].tolist() == [1, 2]
    assert found["rows"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert (found["one"].tolist(), found["one"].dtype) == ([0.5], np.float32)
    assert found["words"] == [b"a"]
    assert found["lists"] == [[b"a", b"b"], []]
    assert [step.tolist() for step in found["ragged"]] == [[1], [1, 2]]
    assert {type(found[name]) for name in ("words", "lists", "ragged", "mixed", "none", "unset")} == {
        FeatureList
    }


def test_a_name_that_is_both():
    with pytest.raises(BrokenExampleError, match="x is in the context and a feature list"):
        decoded({"x": ints(1)}, x=[ints(1)])
