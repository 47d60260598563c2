import gzip
import io
import struct
import zlib

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
import zstandard
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
    file.writelines(tfrecord.framed([payload]))
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


def test_a_large_file_is_split_and_a_remote_one_alike(tmp_path, read_corpus, write_remote):
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(b"".join(numbered(1000)))
    assert len(split_corpus("tfrecord", [str(path)], 10_000)) >= 5
    remote = write_remote("corpus.tfrecord", path.read_bytes())
    assert len(split_corpus("tfrecord", [remote], 10_000)) >= 5
    assert numbers(read_corpus("tfrecord", [remote])) == [[i] for i in range(1000)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, zstandard.compress])
@pytest.mark.parametrize("damage", ["payload", "length"])
def test_a_broken_record_is_the_only_one_that_is_lost(tmp_path, read_corpus, reject, damage, pack):
    records = numbered(30)
    broken = bytearray(records[20])
    broken[20 if damage == "payload" else 0] ^= 1
    records[20] = bytes(broken)
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(pack(b"".join(records)))
    found = read_corpus("tfrecord", [str(path)])
    assert found.pop(20) == (20, reject("broken record"))
    assert numbers(found) == [[i] for i in range(30) if i != 20]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_after_lost_bytes_reading_goes_on_at_the_next_intact_record(tmp_path, read_corpus, pack):
    records = numbered(3000)
    content = b"".join(records)
    start, end = (len(b"".join(records[:count])) for count in (100, 2800))
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(pack(content[: start + 5] + b"\0" * 3_000_000 + content[end - 3 :]))
    found = read_corpus("tfrecord", [str(path)], damaged=True)
    assert numbers(found) == [[i] for i in range(3000) if not 100 <= i < 2800]


@given(st.integers(0), st.integers(1, 40), st.integers(1, 300), st.booleans())
def test_whatever_is_broken_only_whole_records_are_read(
    folder, read_corpus, seed, num_changes, target_bytes, compressed
):
    rng = np.random.default_rng(seed)
    content = np.frombuffer(b"".join(numbered(40)), np.uint8).copy()
    content[rng.integers(0, len(content), num_changes)] = rng.integers(0, 256, num_changes)
    path = folder / "corpus.tfrecord"
    path.write_bytes(gzip.compress(content.tobytes()) if compressed else content.tobytes())
    found = read_corpus("tfrecord", [str(path)], target_bytes, damaged=None)
    read = [features["n"].tolist()[0] for _, features in found if isinstance(features, dict)]
    assert read == sorted(set(read))
    assert len(read) >= 40 - 2 * num_changes


def test_a_cut_tail_and_a_length_behind_the_end_are_damage(tmp_path, read_corpus):
    records = numbered(30)
    huge = struct.pack("<Q", 3_000_000_000)
    header = huge + struct.pack("<I", tfrecord.masked(google_crc32c.value(huge)))
    path = tmp_path / "corpus.tfrecord"
    for content, expected in (
        (b"".join(records[:20]) + records[20][:-5], range(20)),
        (b"".join(records[:20]) + header + b"".join(records[20:]), range(30)),
    ):
        for pack in (bytes, gzip.compress):
            path.write_bytes(pack(content))
            found = read_corpus("tfrecord", [str(path)], damaged=True, max_record_size=10**7)
            assert numbers(found) == [[i] for i in expected]


def test_a_large_record_is_rejected_and_the_next_is_read(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tfrecord"
    for pack in (bytes, gzip.compress):
        path.write_bytes(pack(numbered(1)[0] + framed(bytes(5_000_000)) + numbered(2)[1]))
        found = read_corpus("tfrecord", [str(path)], max_record_size=1_000_000)
        assert numbers([found[0], found[2]]) == [[0], [1]]
        assert found[1] == (1, reject("larger than max_record_size"))


def test_truncated_gzip_gives_its_whole_records(tmp_path, read_corpus):
    path = tmp_path / "corpus.tfrecord.gz"
    packed = gzip.compress(b"".join(numbered(20_000)))
    path.write_bytes(packed[: len(packed) // 2])
    read = read_corpus("tfrecord", [str(path)], damaged=True)
    assert numbers(read) == [[i] for i in range(len(read))]
    assert len(read) > 5000


def test_a_list_of_one_label_is_a_list_where_others_are_longer(tmp_path, read_corpus):
    path = tmp_path / "corpus.tfrecord"
    some = [{"x": [b"sh", b"iy"], "t": [b"ab"]}, {"x": [b"sh"], "t": [b"c"]}, {"x": [], "t": [b"d"]}]
    path.write_bytes(b"".join(framed(record(features)) for features in some))
    found = [features for _, features in read_corpus("tfrecord", [str(path)], 1)]
    assert [features["x"] for features in found] == [[b"sh", b"iy"], [b"sh"], []]
    assert [features["t"] for features in found] == [b"ab", b"c", b"d"]


def test_a_record_that_is_no_example_is_rejected_and_the_next_is_read(tmp_path, read_corpus, reject):
    path = tmp_path / "corpus.tfrecord"
    path.write_bytes(framed(b"\xff\xff hello") + numbered(1)[0])
    found = read_corpus("tfrecord", [str(path)])
    assert found[0] == (0, reject("broken record"))
    assert found[1][1]["n"].tolist() == [0]


@pytest.mark.parametrize("byte", range(12))
def test_a_broken_length_of_the_first_record_is_no_other_kind_of_file(tmp_path, read_corpus, reject, byte):
    path = tmp_path / "corpus.tfrecord"
    content = bytearray(b"".join(numbered(5)))
    content[byte] ^= 1
    path.write_bytes(content)
    found = read_corpus("tfrecord", [str(path)])
    assert found[0] == (0, reject("broken record"))
    assert numbers(found[1:]) == [[1], [2], [3], [4]]
