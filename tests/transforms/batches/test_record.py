import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.transforms.batches import record
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.batches.record import BrokenBatchError
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.records import tfrecord

SPECS = {"data": ArraySpec("floats", "<f4", ()), "größe": ArraySpec("ints", "<i4", ())}


EITHER = st.booleans()


@st.composite
def batches(draw, packed=EITHER):
    num_seqs = draw(st.integers(1, 5))
    packed = draw(packed)
    longest = {key: draw(st.integers(1, 200)) for key in SPECS}
    lengths = {
        key: np.array(draw(st.lists(st.integers(int(packed), most), min_size=num_seqs, max_size=num_seqs)))
        for key, most in longest.items()
    }
    shapes = {key: (lengths[key].sum(),) if packed else (num_seqs, longest[key]) for key in SPECS}
    return PaddedBatch(
        arrays={
            key: np.arange(np.prod(shape)).reshape(shape).astype(SPECS[key].dtype)
            for key, shape in shapes.items()
        },
        lengths=lengths,
        seq_tags=draw(st.lists(st.binary(max_size=300), min_size=num_seqs, max_size=num_seqs)),
        seq_index=np.array(draw(st.lists(st.integers(0, 2**40), min_size=num_seqs, max_size=num_seqs))),
        chunk_start=np.array(draw(st.lists(st.integers(0, 2**20), min_size=num_seqs, max_size=num_seqs))),
        batch_index=draw(st.integers(0, 2**30)),
        packed=packed,
    )


def same(first, second):
    assert list(first.seq_tags) == list(second.seq_tags) and first.batch_index == second.batch_index
    for key in SPECS:
        np.testing.assert_array_equal(first.arrays[key], second.arrays[key])
        np.testing.assert_array_equal(first.lengths[key], second.lengths[key])
    np.testing.assert_array_equal(first.seq_index, second.seq_index)
    np.testing.assert_array_equal(first.chunk_start, second.chunk_start)


def of_one_kind():
    kinds = [st.lists(batches(st.just(packed)), min_size=1, max_size=4) for packed in (False, True)]
    return st.one_of(kinds)


@given(of_one_kind())
def test_batches_survive_their_records(some):
    file = io.BytesIO()
    for batch, pieces in zip(some, record.encode_all(some), strict=True):
        alone = b"".join(bytes(piece) for piece in record.encode(batch))
        assert b"".join(bytes(piece) for piece in pieces) == alone
        file.writelines(tfrecord.framed(pieces))
    written = tfrecord.records(np.frombuffer(file.getvalue(), np.uint8))
    for batch, (_, payload) in zip(some, written, strict=True):
        same(record.decode(payload, SPECS, batch.packed), batch)
        for key, (array, lengths) in record.decode_arrays(payload, SPECS, batch.packed).items():
            np.testing.assert_array_equal(array, batch.arrays[key])
            np.testing.assert_array_equal(lengths, batch.lengths[key])


@settings(deadline=None)
@given(batches())
def test_tensorflow_reads_the_records(batch):
    payload = b"".join(bytes(piece) for piece in record.encode(batch))
    features = tf.train.Example.FromString(payload).features.feature
    assert list(features["seq_tag"].bytes_list.value) == batch.seq_tags
    assert list(features["seq_index"].int64_list.value) == batch.seq_index.tolist()
    assert features["data"].bytes_list.value[0] == batch.arrays["data"].tobytes()
    assert list(features["größe/shape"].int64_list.value) == list(batch.arrays["größe"].shape)


@pytest.mark.parametrize("size", [0, 1, 1 << 18, (1 << 18) + 1, 3_000_000])
def test_records_of_any_size_are_intact_for_tensorflow(tmp_path, size):
    payload = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    path = tmp_path / "file.tfrecord"
    with path.open("wb") as file:
        file.writelines(tfrecord.framed([payload[: size // 2], payload[size // 2 :].tobytes()]))
    (read,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    assert read == payload.tobytes()


def encoded(batch):
    return np.frombuffer(b"".join(bytes(piece) for piece in record.encode(batch)), np.uint8)


@given(st.binary(max_size=60))
def test_what_is_no_batch_is_refused(content):
    for decode in (record.decode, record.decode_arrays):
        with pytest.raises(BrokenBatchError, match="data keys data"):
            decode(np.frombuffer(content, np.uint8), {"data": SPECS["data"]})


@given(batches(), st.data())
def test_a_damaged_batch_is_refused_or_still_a_batch(batch, data):
    payload = encoded(batch).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payload = payload[: data.draw(st.sampled_from([len(payload), len(payload) // 2, len(payload) - 1]))]
    for decode in (record.decode, record.decode_arrays):
        try:
            found = decode(payload, SPECS, batch.packed)
        except BrokenBatchError:
            continue
        if isinstance(found, PaddedBatch):
            found = {key: (array, found.lengths[key]) for key, array in found.arrays.items()}
        for array, lengths in found.values():
            if batch.packed:
                assert len(array) == lengths.sum()
            else:
                assert len(array) == len(lengths) and lengths.max() <= array.shape[1]


@given(batches())
def test_a_packed_batch_is_no_padded_one(batch):
    for decode in (record.decode, record.decode_arrays):
        with pytest.raises(BrokenBatchError, match="data/shape"):
            decode(encoded(batch), SPECS, not batch.packed)


def test_the_sequences_of_a_batch():
    frames = np.arange(5)
    facts = {"lengths": {"data": np.array([2, 0, 3])}, "seq_tags": [b""] * 3, "batch_index": 0}
    packed = PaddedBatch({"data": frames}, seq_index=frames[:3], chunk_start=frames[:3], packed=True, **facts)
    padded = PaddedBatch(
        {"data": np.array([[0, 1, 9], [9, 9, 9], [2, 3, 4]])},
        seq_index=frames[:3],
        chunk_start=frames[:3],
        **facts,
    )
    for batch in (packed, padded):
        assert [batch.sequence("data", row).tolist() for row in range(3)] == [[0, 1], [], [2, 3, 4]]


@given(batches())
def test_a_batch_of_other_data_keys_is_refused(batch):
    payload = encoded(batch)
    for specs in (
        {"data": SPECS["data"]},
        dict(reversed(SPECS.items())),
        {**SPECS, "data": ArraySpec("floats", "<f8", ())},
        {**SPECS, "data": ArraySpec("floats", "<f4", (1,))},
    ):
        with pytest.raises(BrokenBatchError):
            record.decode(payload, specs, batch.packed)
