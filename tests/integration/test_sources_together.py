"""A mix of sources, joined, in parts and with weights, in chunks and buckets: one plan however it is read."""

from collections import Counter

import numpy as np
from seqmill_runs import read_epochs, sequences, tree, write_jsonl

from seqmill import read_manifest
from seqmill.trainer.store_epochs import StoreEpochs

CONFIG = """
output = "out"
batch_size = 60
num_epochs = 6
partition_epoch = 2
distinct_epochs = 4
num_seqs = 60
seq_ordering = "laplace:.8"
chunking = "8:4"
length_buckets = 3
num_shards = 2
max_rejected = 0.3
[data.x]
type = "ints"
[data.y]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["a.jsonl", "b.jsonl", "a.jsonl"]
seq_tag = "id"
share = 2
[corpus.train.join]
format = "jsonl"
files = ["y.jsonl"]
seq_tag = "id"
data_keys = ["y"]
[corpus.train.mix.other]
format = "tsv"
files = ["c.tsv", "c.tsv"]
seq_tag = "id"
share = 1
"""
A = {f"a{n}": n % 13 + 1 for n in range(30)}
B = {f"b{n}": n % 7 + 1 for n in range(20)}
C = {f"c{n}": n % 9 + 1 for n in range(9)}


def test_a_plan_of_all_options_together(tmp_path, seqmill):
    for name, lengths in (("a", A), ("b", B)):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": tag, "x": [*range(n)]} for tag, n in lengths.items()])
    missing = {"a3", "b4"}
    others = [{"id": tag, "y": [7] * n} for tag, n in reversed((A | B).items()) if tag not in missing]
    write_jsonl(tmp_path / "y.jsonl", others)
    rows = [f"{tag}\t{' '.join(map(str, range(n)))}\t{' '.join(['7'] * n)}" for tag, n in C.items()]
    (tmp_path / "c.tsv").write_text("\n".join(["id\tx\ty", *rows, ""]))
    (tmp_path / "config.toml").write_text(CONFIG)
    seqmill.succeeds("preprocess", tmp_path / "config.toml")
    seqmill.succeeds("verify", tmp_path / "out")

    manifest = read_manifest(f"{tmp_path}/out/epochs/train")
    counts = manifest.counts
    # a3 is listed twice, and not there to be joined.
    assert (counts.read, counts.kept) == (2 * 30 + 20 + 2 * 9, 60)
    assert (dict(counts.dropped), sum(counts.rejected.values())) == ({"num_seqs": 98 - 3 - 60}, 3)
    epochs = read_epochs(tmp_path / "out")
    assert [entry.epoch for entry in manifest.epochs] == [1, 2, 3, 4]
    for entry, batches in zip(manifest.epochs, epochs, strict=True):
        first = Counter(tag.decode()[0] for tag, start, _ in sequences(batches, "x") if start == 0)
        assert (first["a"] + first["b"], first["c"]) == (entry.sources["train"], entry.sources["other"])
        for tag, start, values in sequences(batches, "x"):
            end = min(start + 8, (A | B | C)[tag.decode()])
            assert values.tolist() == [*range(start, end)]
    assert len({batch.arrays["x"].shape[1] for batches in epochs for batch in batches}) <= 3
    # A training that reads the store reads the same, and so does one of what the runner's shuffle wrote.
    from_store = StoreEpochs("", manifest, f"{tmp_path}/out/store/train")
    for entry, batches in zip(manifest.epochs, epochs, strict=True):
        found = np.concatenate([batch.seq_index for batch in batches])
        np.testing.assert_array_equal(from_store.plan(entry.epoch).seq_index, found)
    flags = ["--exchange=shuffle", "--runner=FnApiRunner"]
    seqmill.succeeds("preprocess", tmp_path / "config.toml", f"--output={tmp_path}/shuffled", *flags)
    written = tree(tmp_path / "shuffled/epochs")
    expected = tree(tmp_path / "out/epochs")
    assert {name: written[name] for name in written if name.endswith("tfrecord")} == {
        name: expected[name] for name in expected if name.endswith("tfrecord")
    }
