import gzip
import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from seqmill.transforms.readers import lines, split_corpus
from seqmill.transforms.records import tfrecord


def record(features):
    """An Example of int64 arrays and lists of bytes."""
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        if isinstance(value, list)
        else tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        for key, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def framed(payload):
    file = io.BytesIO()
    tfrecord.write_record(file, [payload])
    return file.getvalue()


def numbered(count):
    return [
        framed(record({"n": np.array([i]), "text": [b"x" * (i % 7)], "parts": [b"a", b"b"]}))
        for i in range(count)
    ]


def numbers(found):
    return [features["n"].tolist() for _, features in found]


@given(st.integers(0, 40), st.integers(1, 500), st.integers(1, 300), st.booleans())
def test_splits_equal_the_whole_file(folder, read_corpus, count, target_bytes, block_bytes, compressed):
    path = folder / ("corpus.tfrecord.gz" if compressed else "corpus.tfrecord")
    content = b"".join(numbered(count))
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block_bytes)
        found = read_corpus("tfrecord", [str(path)], target_bytes)
    assert [position for position, _ in found] == list(range(count))
    assert numbers(found) == [[i] for i in range(count)]
    assert all(features["text"] == b"x" * (i % 7) for i, features in found)
    assert all(features["parts"] == [b"a", b"b"] for _, features in found)


def test_a_large_file_is_split_and_a_remote_one_read_whole(tmp_path, read_corpus, write_remote):
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(b"".join(numbered(1000)))
    assert len(split_corpus("tfrecord", [str(path)], 10_000)) >= 5
    remote = write_remote("corpus.tfrecord", path.read_bytes())
    assert len(split_corpus("tfrecord", [remote], 10_000)) == 1
    assert numbers(read_corpus("tfrecord", [remote])) == [[i] for i in range(1000)]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [("payload", "broken record"), ("length", "broken record"), ("cut", "file cut short")],
)
def test_a_broken_record_is_one_reject_where_it_stands(
    tmp_path, read_corpus, reject, damage, reason, compressed
):
    records = numbered(30)
    if damage == "cut":
        records = [*records[:20], records[20][:-5]]
    else:
        broken = bytearray(records[20])
        broken[20 if damage == "payload" else 0] ^= 1
        records[20] = bytes(broken)
    path = tmp_path / ("corpus.tfrecord.gz" if compressed else "corpus.tfrecord")
    content = b"".join(records)
    path.write_bytes(gzip.compress(content) if compressed else content)
    *read, last = read_corpus("tfrecord", [str(path)])
    assert numbers(read) == [[i] for i in range(20)]
    assert last == (20, reject(reason))


def test_truncated_gzip_gives_its_whole_records(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tfrecord.gz"
    packed = gzip.compress(b"".join(numbered(20_000)))
    path.write_bytes(packed[: len(packed) // 2])
    *read, last = read_corpus("tfrecord", [str(path)])
    assert numbers(read) == [[i] for i in range(len(read))]
    assert len(read) > 5000
    assert last == (len(read), reject("file cut short"))


def test_a_record_that_is_no_example_is_rejected_and_the_next_is_read(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(framed(b"\xff\xff hello") + numbered(1)[0])
    found = read_corpus("tfrecord", [str(path)])
    assert found[0] == (0, reject("broken record"))
    assert found[1][1]["n"].tolist() == [0]
