import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.batches import padded_batch
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.records import tfrecord
from seqmill.transforms.records.example import BrokenExampleError

DTYPES = {"data": np.dtype("<f4"), "größe": np.dtype("<i4")}


@st.composite
def batches(draw):
    num_seqs = draw(st.integers(1, 5))
    shapes = {key: (num_seqs, draw(st.integers(1, 200))) for key in DTYPES}
    return PaddedBatch(
        arrays={
            key: np.arange(np.prod(shape)).reshape(shape).astype(DTYPES[key]) for key, shape in shapes.items()
        },
        lengths={
            key: np.array(draw(st.lists(st.integers(0, shape[1]), min_size=num_seqs, max_size=num_seqs)))
            for key, shape in shapes.items()
        },
        seq_tags=draw(st.lists(st.binary(max_size=300), min_size=num_seqs, max_size=num_seqs)),
        seq_index=np.array(draw(st.lists(st.integers(0, 2**40), min_size=num_seqs, max_size=num_seqs))),
        chunk_start=np.array(draw(st.lists(st.integers(0, 2**20), min_size=num_seqs, max_size=num_seqs))),
        batch_index=draw(st.integers(0, 2**30)),
    )


def same(first, second):
    assert list(first.seq_tags) == list(second.seq_tags) and first.batch_index == second.batch_index
    for key in DTYPES:
        np.testing.assert_array_equal(first.arrays[key], second.arrays[key])
        np.testing.assert_array_equal(first.lengths[key], second.lengths[key])
    np.testing.assert_array_equal(first.seq_index, second.seq_index)
    np.testing.assert_array_equal(first.chunk_start, second.chunk_start)


@given(st.lists(batches(), min_size=1, max_size=4))
def test_batches_survive_their_records(some):
    file = io.BytesIO()
    for batch, pieces in zip(some, padded_batch.encode_all(some), strict=True):
        alone = b"".join(bytes(piece) for piece in padded_batch.encode(batch))
        assert b"".join(bytes(piece) for piece in pieces) == alone
        tfrecord.write_record(file, pieces)
    records = tfrecord.records(np.frombuffer(file.getvalue(), np.uint8))
    for batch, (_, payload) in zip(some, records, strict=True):
        same(padded_batch.decode(payload, DTYPES), batch)


@settings(deadline=None)
@given(batches())
def test_tensorflow_reads_the_records(batch):
    record = b"".join(bytes(piece) for piece in padded_batch.encode(batch))
    features = tf.train.Example.FromString(record).features.feature
    assert list(features["seq_tag"].bytes_list.value) == batch.seq_tags
    assert list(features["seq_index"].int64_list.value) == batch.seq_index.tolist()
    assert features["data"].bytes_list.value[0] == batch.arrays["data"].tobytes()
    assert list(features["größe/shape"].int64_list.value) == list(batch.arrays["größe"].shape)


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 3_000_000])
def test_records_of_any_size_are_intact_for_tensorflow(tmp_path, size):
    payload = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    path = tmp_path / "file.tfrecord"
    with path.open("wb") as file:
        tfrecord.write_record(file, [payload[: size // 2], payload[size // 2 :].tobytes()])
    (read,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    assert read == payload.tobytes()


def test_what_is_no_batch_is_refused():
    with pytest.raises(BrokenExampleError, match=r"data keys data"):
        padded_batch.decode(b"", {"data": np.dtype("<f4")})
    with pytest.raises(BrokenExampleError, match=r"not a tf\.train\.Example"):
        padded_batch.decode(b"\xff\xff\xff", {"data": np.dtype("<f4")})
