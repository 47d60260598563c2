"""Files that are listed several times: a weight in every pass, and one place in the store."""

from collections import Counter

import numpy as np
import pytest
from seqmill_runs import read_epochs, tree, write_config, write_jsonl

from seqmill import read_manifest
from seqmill.trainer.corpus import open_corpus
from seqmill.trainer.predictions import predict_corpus
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.sequence_store import Store
from seqmill.transforms.store.sequence_store import read_manifest as read_store_manifest

INTS = {"x": {"type": "ints"}}
A, B = [{"x": [1] * n} for n in (3, 1, 2)], [{"x": [2] * n} for n in (5, 4)]


@pytest.fixture
def config_of(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [*A, "broken"])
    write_jsonl(tmp_path / "b.jsonl", B)

    def config(*files, **options):
        corpora = {"train": {"format": "jsonl", "files": [f"{name}.jsonl" for name in files]}}
        return write_config(tmp_path, INTS, corpora, max_rejected=0.5, **options)

    return config


def tags(epoch):
    return [tag.decode() for batch in epoch for tag in batch.seq_tags]


A_TAGS, B_TAGS = [f"a.jsonl:{n}" for n in (1, 2, 3)], [f"b.jsonl:{n}" for n in (1, 2)]


def test_corpus_order_is_that_of_the_list_and_the_store_holds_each_once(tmp_path, seqmill, config_of):
    ended = seqmill.succeeds("preprocess", config_of("a", "b", "a"))
    assert "a.jsonl is listed 2 times: each of its sequences is 2 times in a pass" in ended.err
    (epoch,) = read_epochs(tmp_path / "out")
    assert tags(epoch) == [*A_TAGS, *B_TAGS, *A_TAGS]
    store = read_store_manifest(f"{tmp_path}/out/store/train")
    assert ([file.source for file in store.files], store.listed) == (["a.jsonl", "b.jsonl"], (0, 1, 0))
    assert (store.counts.read, store.counts.kept) == (6, 5)
    counts = read_manifest(f"{tmp_path}/out/epochs/train").counts
    assert (counts.read, counts.kept, sum(counts.rejected.values())) == (10, 8, 2)
    assert "every sequence once" not in seqmill.succeeds("verify", tmp_path / "out").err
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config_of("a", "b", "a")).err
    # Other weights read nothing again.
    ended = seqmill.succeeds("preprocess", config_of("b", "b", "a", seq_ordering="sorted"))
    assert tags(read_epochs(tmp_path / "out")[0])[-2:] == ["b.jsonl:1", "b.jsonl:1"]


@pytest.mark.parametrize(
    "options",
    [
        {"seq_ordering": "laplace:.3", "partition_epoch": 2, "num_epochs": 4},
        {"seq_ordering": "random", "num_epochs": 2, "packed": True},
        {"chunking": "2:1", "length_buckets": 2, "max_seq_length": 4},
        {"num_seqs": 4, "seq_ordering": "sorted", "num_epochs": 2},
    ],
)
def test_with_other_options(tmp_path, seqmill, config_of, options):
    config = config_of("a", "b", "a", "b", "b", **options)
    seqmill.succeeds("preprocess", config)
    seqmill.succeeds("verify", tmp_path / "out")
    epochs = read_epochs(tmp_path / "out")
    parts = options.get("partition_epoch", 1)
    first_chunks = [
        tag.decode()
        for epoch in epochs[:parts]
        for batch in epoch
        for tag, start in zip(batch.seq_tags, batch.chunk_start, strict=True)
        if start == 0
    ]
    found = Counter(first_chunks)
    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    assert sum(found.values()) == manifest.counts.kept
    if "num_seqs" in options:
        assert manifest.counts.dropped == {"num_seqs": 8}
    else:
        too_long = {"b.jsonl:1"} if "max_seq_length" in options else set()
        expected = {**dict.fromkeys(A_TAGS, 2), **dict.fromkeys(B_TAGS, 3)}
        assert found == {tag: n for tag, n in expected.items() if tag not in too_long}


def test_what_cannot_have_sequences_several_times_says_so(tmp_path, seqmill, config_of):
    config = config_of("a", "a")
    seqmill.succeeds("preprocess", config)
    with pytest.raises(UsageError, match="several times"):
        predict_corpus(open_corpus(f"{tmp_path}/out/epochs/train"), list, f"{tmp_path}/lines", {})


def test_a_shuffle_brings_what_shards_need_several_times(tmp_path, seqmill, config_of):
    options = {"seq_ordering": "random", "num_epochs": 2, "num_shards": 4, "max_seqs": 2}
    config = config_of("a", "b", "a", "b", "b", **options)
    seqmill.succeeds("preprocess", config)
    flags = ["--exchange=shuffle", "--runner=FnApiRunner", f"--output={tmp_path}/shuffled"]
    ended = seqmill.succeeds("preprocess", config, *flags)
    assert "go through the runner" in ended.err
    assert tree(tmp_path / "shuffled/epochs") == tree(tmp_path / "out/epochs")


def test_the_order_names_every_file(tmp_path, seqmill, config_of):
    seqmill.succeeds("ingest", config_of("b", "a", "b"))
    store = Store(f"{tmp_path}/out/store/train")
    np.testing.assert_array_equal(store.order.rows, [0, 1, 2, 3, 4, 0, 1])
    np.testing.assert_array_equal(store.order.lengths["x"], [5, 4, 3, 1, 2, 5, 4])
