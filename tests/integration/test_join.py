"""``[corpus.<name>.join]``: data keys of several sources, brought together by tag."""

import gzip
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seqmill_runs import mtimes, read_epochs, rejects, sequences, write_jsonl

from seqmill import read_manifest
from seqmill.transforms.store.sequence_store import Store
from seqmill.transforms.store.sequence_store import read_manifest as read_store_manifest

CONFIG = """
output = "out"
max_seqs = 3
max_rejected = 0.3
[data.x]
type = "ints"
[data.y]
field = "phones"
type = "words"
[data.z]
type = "floats"
[corpus.train]
format = "jsonl"
files = ["x.jsonl"]
seq_tag = "id"
"""
JOIN_Y = """
[[corpus.train.join]]
format = "tsv"
files = ["y.tsv"]
seq_tag = "name"
data_keys = ["y"]
"""
JOIN_Z = """
[[corpus.train.join]]
format = "parquet"
files = ["z.parquet"]
seq_tag = "tag"
data_keys = ["z"]
"""
N = 10
X = {f"é{n}": [n] * (n + 1) for n in range(N)}
Y = {f"é{n}": f"p{n} q" for n in [9, 3, 4, 2, 11, 1, 0, 8, 7, 6]}  # not of 5, and of one more
Z = {f"é{n}": [n / 2] * (20 - n) for n in [0, 1, 2, 12, 13, 3, 5, 6, 7, 8, 9]}  # not of 4, and of two more


@pytest.fixture
def config(tmp_path):
    write_jsonl(tmp_path / "x.jsonl", [{"id": tag, "x": x} for tag, x in X.items()])
    rows = "".join(f"{tag}\t{y}\n" for tag, y in Y.items())
    (tmp_path / "y.tsv").write_text(f"name\tphones\n{rows}")
    pq.write_table(pa.table({"tag": [*Z], "z": [*Z.values()]}), tmp_path / "z.parquet", row_group_size=3)
    path = tmp_path / "config.toml"
    path.write_text(CONFIG + JOIN_Y + JOIN_Z)
    return path


def test_the_same_as_from_one_file_in_the_order_of_the_first(tmp_path, seqmill, config):
    ended = seqmill.succeeds("preprocess", config)
    kept = [tag for tag in X if tag in Y and tag in Z]
    one = [{"id": tag, "x": X[tag], "phones": Y[tag], "z": Z[tag]} for tag in kept]
    write_jsonl(tmp_path / "one.jsonl", one)
    alone = tmp_path / "one.toml"
    text = CONFIG.replace('"out"', '"one"').replace("x.jsonl", "one.jsonl")
    vocab = f'type = "words"\nvocab = "{tmp_path}/out/vocab/y.txt"'
    alone.write_text(text.replace('type = "words"', vocab))
    seqmill.succeeds("preprocess", alone)
    joined, expected = (read_epochs(tmp_path / name)[0] for name in ("out", "one"))
    for key in "xyz":
        for found, right in zip(sequences(joined, key), sequences(expected, key), strict=True):
            assert found[:2] == right[:2]
            np.testing.assert_array_equal(found[2], right[2])
    # Each side is accounted for.
    counts = read_manifest(f"{tmp_path}/out/epochs/train").counts
    gone = {"tag not in corpus.train.join.1": 1, "tag not in corpus.train.join.2": 1}
    assert (counts.read, counts.kept, dict(counts.rejected)) == (10, 8, gone)
    sides = read_store_manifest(f"{tmp_path}/out/store/train").joined
    found = [(side.counts.read, side.counts.kept, dict(side.counts.dropped)) for side in sides.values()]
    assert found == [(10, 8, {"tag not kept of train": 2}), (11, 8, {"tag not kept of train": 3})]
    assert "joined with corpus.train.join.2: 8 of 11 sequences, 3 dropped" in ended.err
    missing = [(one["position"], one["detail"].split(";")[0]) for one in rejects(tmp_path / "out")]
    assert missing == [(5, "'é4'"), (6, "'é5'")]
    seqmill.succeeds("verify", tmp_path / "out")


def test_the_corpus_may_give_the_tags_and_their_order_alone(tmp_path, seqmill, config):
    (tmp_path / "tags.tsv").write_text("id\né7\né0\né3\n")
    own = CONFIG.replace('"jsonl"', '"tsv"').replace("x.jsonl", "tags.tsv")
    join_x = JOIN_Y.replace("tsv", "jsonl").replace("y.jsonl", "x.jsonl").replace('["y"]', '["x"]')
    config.write_text(own + JOIN_Y + JOIN_Z + join_x.replace('"name"', '"id"'))
    seqmill.succeeds("preprocess", config)
    (epoch,) = read_epochs(tmp_path / "out")
    found = [(tag.decode(), x.tolist()) for tag, _, x in sequences(epoch, "x")]
    assert found == [(tag, X[tag]) for tag in ("é7", "é0", "é3")]
    seqmill.succeeds("verify", tmp_path / "out")


def test_a_change_on_either_side_is_noticed_and_nothing_stays_behind(tmp_path, seqmill, config):
    seqmill.succeeds("ingest", config)
    before = mtimes(tmp_path / "out/store/train")
    ended = seqmill.succeeds("ingest", config)
    assert ended.err.count("up to date") == 3
    assert mtimes(tmp_path / "out/store/train") == before
    text = (tmp_path / "y.tsv").read_text()
    (tmp_path / "y.tsv").write_text(text.replace("p3 q", "p3 p3 p3"))
    ended = seqmill.succeeds("ingest", config)
    assert ended.err.count("up to date") == 1  # the store of z
    store = Store(f"{tmp_path}/out/store/train")
    assert store.lengths["y"].tolist() == [2, 2, 2, 3, 2, 2, 2, 2]
    config.write_text((CONFIG + JOIN_Y).replace('[data.z]\ntype = "floats"\n', ""))
    seqmill.succeeds("ingest", config)
    assert [path.name for path in (tmp_path / "out/store/train").glob("join-*")] == ["join-1"]


def test_what_has_no_counterpart_is_not_encoded(tmp_path, seqmill, config):
    """Nor is it counted among the sequences with unknown labels; what has no tag has a reason of its own."""
    write_jsonl(
        tmp_path / "x.jsonl",
        [
            {"id": "é1", "x": "known"},
            {"id": "é5", "x": "unknown"},
            *({"id": tag, "x": "known"} for tag in ([], "")),
            {"x": "known"},
        ],
    )
    (tmp_path / "labels.txt").write_text("<unk>\nknown\n")
    text = CONFIG.replace('"ints"', '"words"\nvocab = "labels.txt"').replace("0.3", "0.8") + JOIN_Y + JOIN_Z
    config.write_text(text)
    seqmill.succeeds("ingest", config)
    counts = Store(f"{tmp_path}/out/store/train").counts
    assert (counts.kept, dict(counts.unknown)) == (1, {})
    assert {one["reason"] for one in rejects(tmp_path / "out")} == {
        "tag not in corpus.train.join.1",
        "tag is no string",
        "empty tag",
        "missing field",
    }


def test_arrays_are_brought_a_few_megabytes_at_a_time(tmp_path, seqmill, config):
    values = {tag: np.arange(n, n + 300_000, dtype="f4") for n, tag in enumerate(X)}
    pq.write_table(pa.table({"tag": [*values][::-1], "z": [*values.values()][::-1]}), tmp_path / "z.parquet")
    seqmill.succeeds("ingest", config)
    store = Store(f"{tmp_path}/out/store/train")
    assert store.num_seqs == 9
    for row in range(9):
        np.testing.assert_array_equal(store.sequence("z", row), values[store.tag(row).decode()])
        assert store.sequence("x", row).tolist() == X[store.tag(row).decode()]


@pytest.mark.parametrize("side", ["x.jsonl", "y.tsv"])
def test_tags_that_are_there_twice_are_named(tmp_path, seqmill, config, side):
    path = tmp_path / side
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[3]]))
    ended = seqmill("ingest", config)
    assert ended.code == 1
    tag = "é3" if side == "x.jsonl" else "é4"
    ended.names(f"'{tag}' is in {side} and in {side}", "1 sequence has that of another one")


def test_damage_is_named_before_what_follows_from_it(tmp_path, seqmill, config):
    text = (tmp_path / "y.tsv").read_text()
    packed = gzip.compress((text + text.splitlines(keepends=True)[3]).encode())
    (tmp_path / "y.tsv.gz").write_bytes(packed[:-4])
    config.write_text(CONFIG + JOIN_Y.replace("y.tsv", "y.tsv.gz") + JOIN_Z)
    ended = seqmill("ingest", config)
    assert ended.code == 1
    ended.names("join-1: damaged sources, of which an unknown part is lost", "y.tsv.gz: cut short")


LIMITED = """
import re, resource, sys
from seqmill.pipelines import flags, ingest
from seqmill.pipelines.main import main
used = 1024 * int(re.search("VmData:\\s+(\\d+)", open("/proc/self/status").read())[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + 400_000_000, used + 400_000_000))
main(["ingest", sys.argv[1]])
"""


@pytest.mark.long
def test_memory_does_not_grow_with_what_is_joined(tmp_path):
    """640 MB, in two orders; the limit is of memory that is no mapped file."""
    numbers = np.arange(40_000)
    for key, order in (("x", numbers), ("z", np.random.default_rng(1).permutation(numbers))):
        schema = pa.schema({"id": pa.string(), key: pa.list_(pa.float32())})
        with pq.ParquetWriter(tmp_path / f"{key}.parquet", schema) as writer:
            for part in order.reshape(-1, 1000):
                arrays = [np.full(2000, n % 97, "f4") for n in part]
                table = pa.table({"id": [f"t{n}" for n in part], key: arrays}, schema=schema)
                writer.write_table(table, row_group_size=1000)
    text = CONFIG.split("[data.y]")[0].replace('"ints"', '"floats"') + '[data.z]\ntype = "floats"\n'
    text += CONFIG[CONFIG.index("[corpus.train]") :].replace('"jsonl"', '"parquet"')
    text = text.replace("x.jsonl", "x.parquet") + JOIN_Z.replace('"tag"', '"id"')
    (tmp_path / "config.toml").write_text(text)
    subprocess.run([sys.executable, "-c", LIMITED, tmp_path / "config.toml"], check=True)
    store = Store(f"{tmp_path}/out/store/train")
    assert store.num_seqs == 40_000
    for row in (0, 777, 39_999):
        for key in "xz":
            np.testing.assert_array_equal(store.sequence(key, row), np.full(2000, row % 97, "f4"))


def test_tags_of_other_names_say_what_is_there(seqmill, config, tmp_path):
    text = (tmp_path / "y.tsv").read_text()
    (tmp_path / "y.tsv").write_text(text.replace("é", "rec/"))
    ended = seqmill("ingest", config)
    assert ended.code == 1
    ended.names("10 of 10 sequences rejected", "tag not in corpus.train.join.1: 10", "'rec/9'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (JOIN_Y.replace('"y"', '"w"'), "corpus.train.join: data_keys: no data key 'w'; expected x, y, z"),
        (JOIN_Y.replace('seq_tag = "name"', ""), "format tsv is joined by tags: seq_tag = FIELD"),
        (JOIN_Y + JOIN_Y, "join: data key y is given 2 times"),
        (JOIN_Y.replace("files", "filles"), "corpus.train.join.filles: unknown option"),
        (JOIN_Y.replace("y.tsv", "none.tsv"), "corpus.train.join.files"),
        (JOIN_Y + "max_seqs = 3\n", "corpus.train.join.max_seqs: unknown option"),
    ],
)
def test_mistakes(seqmill, config, text, message):
    config.write_text(CONFIG + text)
    ended = seqmill("ingest", config)
    assert ended.code == 2
    assert message in ended.err


def test_flags_do_not_reach_into_it(seqmill, config):
    ended = seqmill("ingest", config, "--corpus.train.join.files=a")
    ended.names("--corpus.train.join.files", "in the file alone")
