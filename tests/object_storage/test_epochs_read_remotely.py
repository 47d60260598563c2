"""A training reads epochs from an object store: ahead of itself, with few requests, in a small cache."""

import numpy as np
import pytest
from fault_proxy import Answer

from seqmill.trainer.corpus import open_corpus
from seqmill.trainer.gathered_epoch import GatheredEpoch
from seqmill.trainer.source import open_source
from seqmill.transforms.storage.errors import SeqmillError


@pytest.fixture
def written(store, configured, silent_seqmill, tmp_path, monkeypatch):
    """function(**options) → ``epochs/train`` on local disk and in the store, the cache empty."""

    def write(**options):
        for number, output in enumerate((tmp_path / "here", f"{store.url}/out")):
            silent_seqmill.succeeds("preprocess", configured(output, **options))
            monkeypatch.setenv("SEQMILL_CACHE", str(tmp_path / f"cache{number}"))
        store.proxy.reset()
        return f"{tmp_path}/here/epochs/train", f"{store.url}/out/epochs/train"

    return write


def batches(folder, read_from="shards"):
    corpus = open_corpus(folder, read_from)
    source = open_source(corpus, 1)
    assert isinstance(source, GatheredEpoch) == (read_from == "store")
    for index in range(corpus.epoch(1).num_batches):
        yield source.batch(index)
    source.close()


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert [*one.seq_tags] == [*other.seq_tags]
        for key, array in other.arrays.items():
            np.testing.assert_array_equal(one.arrays[key], array)


def test_a_request_a_shard_and_the_same_batches(store, written):
    here, there = written(num_shards=12)
    expected = [*batches(here)]
    assert expected
    assert_equal(batches(there), expected)
    # Is it a stream, both manifests, one listing of the epoch; the shards.
    gets = [request for request in store.proxy.seen if "batches-" in request.path]
    assert len(gets) == 12 and store.proxy.counts().total() <= 12 + 6
    store.proxy.reset()
    assert_equal(batches(there, "store"), expected)
    assert store.proxy.counts().total() <= 14
    store.proxy.reset()
    assert_equal(batches(there), expected)  # from the cache
    assert store.proxy.counts().total() <= 6


def test_a_cache_for_two_shards_is_enough_and_none_is_an_error(store, written, monkeypatch):
    here, there = written(num_shards=12)
    largest = max(shard.bytes for shard in open_corpus(there).shards(1))
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", str(2 * largest))
    assert_equal(batches(there), batches(here))
    monkeypatch.setenv("SEQMILL_CACHE_BYTES", str(largest - 1))
    with pytest.raises(SeqmillError, match=r"tfrecord: .* bytes, more than SEQMILL_CACHE_BYTES = .* higher"):
        [*batches(there)]


def test_a_shard_that_cannot_be_read_is_named(store, written, monkeypatch):
    monkeypatch.setenv("SEQMILL_REMOTE_SECONDS", "1")
    _, there = written()
    store.proxy.fault = lambda request: Answer(500) if "batches-00001" in request.path else None
    with pytest.raises(OSError) as failed:
        [*batches(there)]
    assert "batches-00001-of-00002.tfrecord" in failed.value.filename
    assert "expected the server to answer" in failed.value.strerror
    store.proxy.reset()
    store.fs.rm(f"{there}/epoch-0001/batches-00001-of-00002.tfrecord")
    with pytest.raises(SeqmillError, match=r"batches-00001-of-00002\.tfrecord: .* not there"):
        [*batches(there)]
