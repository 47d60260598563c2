"""``[corpus.train.mix]`` of sources that take data keys from others by tag, each for itself."""

from collections import Counter

import numpy as np
import pytest
from seqmill_runs import read_epochs, rejects, sequences, tree, write_jsonl

from seqmill import Store, read_manifest

CONFIG = """
output = "out"
max_seqs = 2
max_rejected = 0.5
num_epochs = 2
num_shards = 2
seq_ordering = "random"
[data.x]
type = "ints"
[data.y]
type = "words"
[corpus.train]
format = "jsonl"
files = ["own.jsonl"]
seq_tag = "id"
{own}
[corpus.train.mix.plain]
format = "tsv"
files = ["plain.tsv"]
seq_tag = "name"
share = 1
[corpus.train.mix.apart]
format = "jsonl"
files = ["apart-x.jsonl"]
seq_tag = "id"
share = 2
[[corpus.train.mix.apart.join]]
format = "tsv"
files = ["apart-y.tsv"]
seq_tag = "name"
data_keys = ["y"]
"""
JOIN = """
[corpus.train.join]
format = "tsv"
files = ["own-y.tsv"]
seq_tag = "name"
data_keys = ["y"]
"""


@pytest.fixture
def config(tmp_path):
    write_jsonl(tmp_path / "own.jsonl", [{"id": f"o{n}", "x": [n] * (n + 1), "y": f"o{n}"} for n in range(4)])
    (tmp_path / "own-y.tsv").write_text("name\ty\no3\tjoined\no1\tjoined j1\no2\tj2 j2 j2\n")
    # One tag is in two sources: one of them is joined, and the other has no part in that.
    (tmp_path / "plain.tsv").write_text("name\tx\ty\no1\t7 7\tp\np2\t8\tp q\n")
    write_jsonl(tmp_path / "apart-x.jsonl", [{"id": f"a{n}", "x": [20 + n]} for n in range(3)])
    (tmp_path / "apart-y.tsv").write_text("name\ty\na2\tr2\na9\tr9\na0\tr0 r0\n")

    def write(own=""):
        (tmp_path / "config.toml").write_text(CONFIG.format(own=own))
        return tmp_path / "config.toml"

    return write


def test_each_source_is_joined_and_accounted_for_by_itself(tmp_path, seqmill, config):
    path = config(JOIN)
    ended = seqmill.succeeds("preprocess", path)
    store = Store(f"{tmp_path}/out/store/train")
    joined = {where: one.counts for where, one in store.manifest.joined.items()}
    assert [(where, one.read, one.kept, dict(one.dropped)) for where, one in joined.items()] == [
        ("corpus.train.join", 3, 3, {}),
        ("corpus.train.mix.apart.join", 3, 2, {"tag not kept of apart": 1}),
    ]
    counts = {name: (one.read, one.kept) for name, one in store.counts_of_sources().items()}
    assert counts == {"train": (4, 3), "plain": (2, 2), "apart": (3, 2)}
    plan = seqmill.succeeds("plan", path).out
    assert "  train: 3 of 4 sequences kept\n  plain: 2 of 2 sequences kept\n  apart: 2 of 3" in plan
    assert "  apart: 2 of 3 sequences, 1 rejected (tag not in corpus.train.mix.apart.join)" in ended.err
    assert "warning: 1 sequence has the tag of another one" in ended.err
    assert [(one["source"], one["position"]) for one in rejects(tmp_path / "out")] == [
        ("own.jsonl", 1),
        ("apart-x.jsonl", 2),
    ]
    labels = (tmp_path / "out/store/train/vocab/y.txt").read_text().split("\n")
    found = set()
    for epoch in read_epochs(tmp_path / "out"):
        ys = [[labels[label] for label in y] for _, _, y in sequences(epoch, "y")]
        xs = [(tag.decode(), *x[:1].tolist()) for tag, _, x in sequences(epoch, "x")]
        found |= {(*x, *y) for x, y in zip(xs, ys, strict=True)}
        of_source = Counter("train" if x < 7 else "plain" if x < 20 else "apart" for _, x in xs)
        assert of_source == {"train": 3, "plain": 3, "apart": 6}
    assert found == {
        ("o1", 1, "joined", "j1"),
        ("o2", 2, "j2", "j2", "j2"),
        ("o3", 3, "joined"),
        ("o1", 7, "p"),
        ("p2", 8, "p", "q"),
        ("a0", 20, "r0", "r0"),
        ("a2", 22, "r2"),
    }
    seqmill.succeeds("verify", tmp_path / "out")
    assert seqmill.succeeds("ingest", path).err.count("up to date") == 3
    flags = ["--exchange=shuffle", "--runner=FnApiRunner", f"--output={tmp_path}/shuffled"]
    seqmill.succeeds("preprocess", path, *flags)
    assert tree(tmp_path / "shuffled/epochs") == tree(tmp_path / "out/epochs")
    # The store of another output fits, and is another's where a joined source has changed.
    apart = [f"--store={tmp_path}/out", f"--output={tmp_path}/other"]
    assert "which fit" in seqmill.succeeds("plan", path, *apart).err
    text = (tmp_path / "apart-y.tsv").read_text()
    (tmp_path / "apart-y.tsv").write_text(text.replace("r2", "r3"))
    seqmill("plan", path, *apart).names("is not what corpus.train asks for")


def test_only_the_source_that_has_a_join_takes_part_in_it(tmp_path, seqmill, config):
    seqmill.succeeds("preprocess", config())
    folder = tmp_path / "out/store/train"
    assert [path.name for path in folder.glob("join-*")] == ["join-apart-1"]
    assert {name: one.kept for name, one in Store(str(folder)).counts_of_sources().items()} == {
        "train": 4,
        "plain": 2,
        "apart": 2,
    }
    before = (folder / "sequences-00000.arrow").read_bytes()
    (tmp_path / "apart-y.tsv").write_text("name\ty\na2\tr2\na1\tr9\na0\tr0 r0\n")
    ended = seqmill.succeeds("preprocess", config())
    assert "2 of 3 tasks are done" in ended.err
    assert (folder / "sequences-00000.arrow").read_bytes() == before
    assert dict(read_manifest(f"{tmp_path}/out/epochs/train").epochs[0].sources) == {
        "train": 4,
        "plain": 4,
        "apart": 8,
    }


def test_sources_may_call_their_fields_otherwise(tmp_path, seqmill, config):
    path = config(JOIN)
    seqmill.succeeds("preprocess", path)
    text = path.read_text().replace('"out"', '"other"')
    for source in ("plain.tsv", "apart-y.tsv"):
        lines = (tmp_path / source).read_text()
        (tmp_path / source).write_text(lines.replace("\ty\n", "\tphones\n", 1))
        fields = 'fields = { y = "phones" }\n'
        at = text.index(source)
        text = text[:at] + text[at:].replace("\n", "\n" + fields, 1)
    path.write_text(text)
    seqmill.succeeds("preprocess", path)
    assert tree(tmp_path / "other/epochs") == tree(tmp_path / "out/epochs")
    vocabs = [(tmp_path / output / "vocab/y.txt").read_text() for output in ("out", "other")]
    assert vocabs[0] == vocabs[1]


def test_what_is_counted_is_counted_over_all_sources(tmp_path, seqmill):
    write_jsonl(tmp_path / "own.jsonl", [{"id": f"o{n}", "x": [[n, 1.0]] * (n + 1)} for n in range(4)])
    write_jsonl(tmp_path / "tags.jsonl", [{"id": f"a{n}"} for n in range(3)])
    write_jsonl(tmp_path / "x.jsonl", [{"id": f"a{n}", "feats": [[n, -2.0]]} for n in range(3)])
    (tmp_path / "config.toml").write_text("""
output = "out"
max_seqs = 2
[data.x]
type = "floats"
normalization = "global"
[corpus.train]
format = "jsonl"
files = ["own.jsonl"]
seq_tag = "id"
[corpus.train.mix.apart]
format = "jsonl"
files = ["tags.jsonl"]
seq_tag = "id"
share = 2
[corpus.train.mix.apart.join]
format = "jsonl"
files = ["x.jsonl"]
seq_tag = "id"
data_keys = ["x"]
fields = { x = "feats" }
""")
    seqmill.succeeds("preprocess", tmp_path / "config.toml")
    seqmill.succeeds("verify", tmp_path / "out")
    store = Store(f"{tmp_path}/out/store/train")
    frames = np.concatenate([store.sequence("x", row) for row in range(store.num_seqs)])
    assert len(frames) == 13
    np.testing.assert_allclose(frames.mean(axis=0), [0, 0], atol=1e-6)
    np.testing.assert_allclose(frames.std(axis=0), [1, 1], rtol=1e-5)


def test_a_source_of_its_own_is_not_hidden_among_many(tmp_path, seqmill, config):
    """Of all sequences few are rejected, of one source most."""
    write_jsonl(tmp_path / "own.jsonl", [{"id": f"o{n}", "x": [1], "y": "o"} for n in range(100)])
    (tmp_path / "apart-y.tsv").write_text("name\ty\na9\tr9\n")
    ended = seqmill("preprocess", config())
    assert ended.code == 1
    ended.names("corpus train, source apart: 3 of 3 sequences rejected", "corpus.train.mix.apart.join")
    assert not (tmp_path / "out/epochs/train/manifest.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data_keys = ["y"]', 'data_keys = ["w"]', "mix.apart.join: data_keys: no data key 'w'"),
        (
            'data_keys = ["y"]',
            'data_keys = ["y"]\nfields = { z = "y" }',
            "fields: no data key 'z'; expected x, y",
        ),
        (
            'data_keys = ["y"]',
            'data_keys = ["y"]\nfields = ["y"]',
            "join.fields: found ['y']; expected a table",
        ),
        ("apart-y.tsv", "none.tsv", "corpus.train.mix.apart.join.files"),
        ('files = ["apart-y.tsv"]', "filles = 1", "corpus.train.mix.apart.join.filles: unknown option"),
        (
            "[[corpus.train.mix.apart.join]]",
            JOIN.replace("[corpus.train.join]", "[[corpus.train.mix.apart.join]]")
            + "[[corpus.train.mix.apart.join]]",
            "corpus.train.mix.apart: join: data key y is given 2 times",
        ),
    ],
)
def test_mistakes(seqmill, config, old, new, message):
    path = config()
    path.write_text(path.read_text().replace(old, new))
    ended = seqmill("plan", path)
    assert ended.code == 2
    assert message in ended.err


def test_tags_twice_in_a_joined_source_end_the_run_and_in_others_not(tmp_path, seqmill, config):
    with (tmp_path / "apart-x.jsonl").open("a") as file:
        file.write('{"id": "a0", "x": [5]}\n')
    seqmill("ingest", config()).names("'a0' is in apart-x.jsonl and in apart-x.jsonl")
