"""``[corpus.train.mix]``: epochs that have sequences of several sources in exact shares."""

import re
from collections import Counter

import pytest
from seqmill_runs import read_epochs, tree, write_jsonl

from seqmill import read_manifest
from seqmill.pipelines.config import load_config
from seqmill.pipelines.window_config import check_windows
from seqmill.trainer.store_epochs import StoreEpochs
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.sequence_store import Store
from seqmill.transforms.store.sequence_store import read_manifest as read_store_manifest

CONFIG = """
output = "out"
max_seqs = 4
{options}
[data.x]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["a.jsonl"]
seq_tag = "id"
share = {share}
[corpus.train.mix.small]
format = "tsv"
files = ["small.tsv"]
seq_tag = "name"
share = 1
[corpus.train.mix.tiny]
format = "jsonl"
files = ["tiny.jsonl"]
seq_tag = "id"
share = 2
"""
RANDOM = 'seq_ordering = "laplace:.4"\nnum_shards = 2\npartition_epoch = 2\nnum_epochs = 6'


@pytest.fixture
def write(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"id": f"a{n}", "x": [n] * (n + 1)} for n in range(10)])
    (tmp_path / "small.tsv").write_text("name\tx\nb0\t1 2\nb1\t4\nb2\t5 6 7\n")
    write_jsonl(tmp_path / "tiny.jsonl", [{"id": "c0", "x": [9]}, {"id": "c1", "x": [9] * 5}])

    def write(options=RANDOM, share=3, more="", name="config.toml"):
        (tmp_path / name).write_text(CONFIG.format(options=options, share=share) + more)
        return tmp_path / name

    return write


def tags(epoch):
    return [tag.decode() for batch in epoch for tag in batch.seq_tags]


def sources(epoch):
    return dict(Counter({"a": "train", "b": "small", "c": "tiny"}[tag[0]] for tag in tags(epoch)))


def test_every_epoch_has_its_shares_and_the_manifest_and_the_plan_say_so(tmp_path, seqmill, write):
    config = write()
    planned = seqmill.succeeds("plan", config)
    seqmill.succeeds("preprocess", config)
    epochs = read_epochs(tmp_path / "out")
    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    assert len(epochs) == 6  # no two are alike
    assert [sources(epoch) for epoch in epochs] == [dict(epoch.sources) for epoch in manifest.epochs]
    # 10 of its own a pass; 10/3 and 20/3 of the others, rounded at the ends.
    assert [dict(epoch.sources) for epoch in manifest.epochs[:3]] == [
        {"train": 5, "small": 1, "tiny": 3},
        {"train": 5, "small": 2, "tiny": 3},
        {"train": 5, "small": 2, "tiny": 4},
    ]
    assert "of train  of small  of tiny" in planned.out
    assert re.search(r" 5 +1-2 +3-4 ", planned.out)
    for first in (0, 2, 4):
        own = [tag for epoch in epochs[first : first + 2] for tag in tags(epoch) if tag[0] == "a"]
        assert sorted(own) == [f"a{n}" for n in range(10)]
    times = Counter(tag for epoch in epochs for tag in tags(epoch))
    assert {times[f"b{n}"] for n in range(3)} == {3, 4}
    assert {times["c0"], times["c1"]} == {10}
    assert (manifest.options["mix"], manifest.counts.kept) == ({"train": 3, "small": 1, "tiny": 2}, 15)
    assert dict(read_store_manifest(f"{tmp_path}/out/store/train").mixed) == dict.fromkeys(
        ("train", "small", "tiny"), 1
    )
    assert ", every sequence once" not in seqmill.succeeds("verify", tmp_path / "out").err
    assert "preprocess train: up to date" in seqmill.succeeds("preprocess", config).err
    # The same again elsewhere, and the same from the store.
    seqmill.succeeds("preprocess", config, f"--output={tmp_path}/again")
    assert tree(tmp_path / "again/epochs") == tree(tmp_path / "out/epochs")
    flags = ["--exchange=shuffle", "--runner=FnApiRunner", f"--output={tmp_path}/shuffled"]
    assert "go through the runner" in seqmill.succeeds("preprocess", config, *flags).err
    assert tree(tmp_path / "shuffled/epochs") == tree(tmp_path / "out/epochs")
    from_store = StoreEpochs("", manifest, f"{tmp_path}/out/store/train").plan(4)
    rows = [row for batch in epochs[3] for row in batch.seq_index.tolist()]
    assert from_store.seq_index.tolist() == rows


def test_other_shares_need_no_ingest_and_other_sources_do(tmp_path, seqmill, write):
    seqmill.succeeds("preprocess", write())
    ended = seqmill.succeeds("preprocess", write(share=1))
    assert "ingest train: up to date" in ended.err
    assert "mix was { train = 3, small = 1, tiny = 2 }, is { train = 1, small = 1, tiny = 2 }" in ended.err
    assert sources(read_epochs(tmp_path / "out")[0]) == {"train": 5, "small": 5, "tiny": 10}
    seqmill("plan", write(share=1_000_001)).names("share: found 1000001", "at most 1000000")
    (tmp_path / "small.tsv").write_text("name\tx\nb0\t1 2\nb1\t4\n")
    assert "ingest train: up to date" not in seqmill.succeeds("preprocess", write(share=1)).err


@pytest.mark.parametrize(
    "options",
    [
        'seq_ordering = "sorted"\nchunking = "3:2"\nlength_buckets = 2\nnum_epochs = 2',
        'seq_ordering = "random:5"\npacked = true\nnum_epochs = 3\ndistinct_epochs = 2',
        'num_epochs = 3\n[[schedule]]\nepochs = "2-"\nmax_seq_length = 4\nmax_seqs = 2',
        'num_epochs = 2\nfixed_random_seed = 1\nseq_ordering = "random"\npad_batch = true',
    ],
)
def test_with_other_options(tmp_path, seqmill, write, options):
    seqmill.succeeds("preprocess", write(options))
    seqmill.succeeds("verify", tmp_path / "out")
    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    for epoch, planned in zip(read_epochs(tmp_path / "out"), manifest.epochs, strict=True):
        entries = [pair for batch in epoch for pair in zip(batch.seq_tags, batch.chunk_start, strict=True)]
        found = Counter(tag[:1].decode() for tag, start in entries if start == 0)
        assert found == {
            "a": planned.sources["train"],
            "b": planned.sources["small"],
            "c": planned.sources["tiny"],
        }


def test_an_epoch_that_would_be_empty(seqmill, write):
    ended = seqmill("preprocess", write('seq_ordering = "random"\npartition_epoch = 40\nnum_epochs = 2'))
    ended.names("epoch 1 is empty: partition_epoch = 40, but only 10 sequences of its own")


def test_without_a_random_order_an_epoch_is_in_corpus_order(tmp_path, seqmill, write):
    seqmill.succeeds("preprocess", write("", share=1))
    (epoch,) = read_epochs(tmp_path / "out")
    found = tags(epoch)
    assert found == sorted(found)
    assert Counter(found)["a3"] == 1
    assert found.count("c0") == 10
    assert {found.count(f"b{n}") for n in range(3)} == {3, 4}


def test_with_files_listed_again_and_a_part_of_the_corpus(tmp_path, seqmill, write):
    config = write("num_seqs = 12")
    config.write_text(config.read_text().replace('["a.jsonl"]', '["a.jsonl", "a.jsonl"]'))
    ended = seqmill.succeeds("preprocess", config)
    assert "15 sequences read" in ended.err
    assert "  train: 10 of 10 sequences\n" in ended.err
    assert re.search(r"  train: \d+ of 20 sequences kept\n", seqmill.succeeds("plan", config).out)
    seqmill.succeeds("verify", tmp_path / "out")
    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    assert (manifest.counts.kept, dict(manifest.counts.dropped)) == (12, {"num_seqs": 13})
    order = Store(f"{tmp_path}/out/store/train").order
    assert (dict(order.sources), order.num_seqs) == ({"train": 20, "small": 3, "tiny": 2}, 25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("share = 1\n", "", "corpus.train.mix.small.share: required, but missing"),
        ("share = 1\n", "share = 0\n", "corpus.train.mix.small.share: found 0"),
        ('seq_tag = "name"\n', "", "mix.small has none; expected all that is mixed to have tags, or none"),
        ("mix.tiny", "mix.train", "mix.train: is what the corpus' own files are called"),
        ("corpus.train", "corpus.dev", "mix: found it in corpus.dev; only corpus.train is mixed"),
        ("tiny.jsonl", "none.jsonl", "corpus.train.mix.tiny.files"),
    ],
)
def test_mistakes(seqmill, write, old, new, message):
    config = write()
    config.write_text(config.read_text().replace(old, new))
    ended = seqmill("plan", config)
    assert ended.code == 2
    assert message in ended.err


def test_what_cannot_be_with_it(tmp_path, seqmill, write):
    config = write()
    with pytest.raises(UsageError, match=r"corpus\.train\.mix"):
        check_windows(load_config(str(write("")), {}), "--watch")
    seqmill("plan", write(), "--max_seq_length=1", "--corpus.train.mix.tiny.share=2").names("file alone")
    (tmp_path / "tiny.jsonl").write_text('{"id": "c", "x": [1, 2, 3]}\n')
    ended = seqmill("plan", write(), "--max_seq_length=2")
    ended.names("no sequence is left of tiny, which is mixed into it")
    lone = write(more="").read_text().split("[corpus.train.mix.small]")[0]
    (tmp_path / "config.toml").write_text(lone)
    seqmill("plan", config).names("share: there is nothing to share with")


@pytest.mark.parametrize(
    "command", [["plan", "--length_buckets=2"], ["plan", "--compare", "--max_seqs=2,4"], ["report"]]
)
def test_a_source_of_which_nothing_is_left_is_named(write, seqmill, command):
    name, *flags = command
    ended = seqmill(name, write("min_seq_length = 6\n"), *flags)
    ended.names("no sequence is left of small, which is mixed into it")
