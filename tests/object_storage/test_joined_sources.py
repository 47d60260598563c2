"""Sources in a bucket, joined or mixed: the bytes of a local disk, also after a kill, and nothing stale."""

import random

import pytest
from object_store import ObjectStore
from seqmill_runs import write_jsonl
from started_run import Run, wait_for

from seqmill.transforms.store.sequence_store import read_manifest

CONFIG = """
output = "out"
max_seqs = 40
max_rejected = 0.1
num_epochs = 1
num_shards = 2
seq_ordering = "laplace:.50"
[data.x]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["SOURCE/x.jsonl"]
seq_tag = "id"
"""
JOIN = """
[corpus.train.join]
format = "tsv"
files = ["SOURCE/y.tsv"]
seq_tag = "name"
data_keys = ["y"]
[data.y]
type = "words"
"""
MIX = """
[corpus.train.mix.other]
format = "jsonl"
files = ["SOURCE/z.jsonl"]
seq_tag = "id"
share = 2
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder, chance = tmp_path_factory.mktemp("sources"), random.Random(1)
    records = [{"id": f"é{n}", "x": [n % 50] * chance.randint(1, 60)} for n in range(2000)]
    write_jsonl(folder / "x.jsonl", records)
    others = [{"id": f"z{n}", "x": [n] * (n % 9 + 1), "y": "e f"} for n in range(500)]
    write_jsonl(folder / "z.jsonl", others)
    lines = [f"é{n}\t{'abcd'[n % 4]} e\n" for n in range(2000) if n % 100 != 7]
    chance.shuffle(lines)
    (folder / "y.tsv").write_text("name\ty\n" + "".join(lines))
    return folder


@pytest.fixture
def config(tmp_path, sources):
    """function(more of a configuration, folder or URL of the sources) → its path."""

    def write(more, source=sources):
        path = tmp_path / f"config-{len([*tmp_path.glob('*.toml')])}.toml"
        path.write_text((CONFIG + more).replace("SOURCE", str(source)))
        return path

    return write


def test_a_mix_and_join_in_a_bucket_are_as_on_a_local_disk(store, config, sources, tmp_path, silent_seqmill):
    silent_seqmill.succeeds("preprocess", config(MIX + JOIN))
    remote = config(MIX + JOIN, store.upload(sources))
    silent_seqmill.succeeds("preprocess", remote, f"--output={store.url}/out")
    assert store.tree(f"{store.url}/out") == ObjectStore.local_tree(tmp_path / "out")


@pytest.mark.slow
def test_a_join_in_a_bucket_is_gone_on_with_after_a_kill(store, config, sources, tmp_path, seqmill):
    seqmill.succeeds("preprocess", config(JOIN))
    expected = ObjectStore.local_tree(tmp_path / "out")
    remote, output = config(JOIN, store.upload(sources)), f"{store.url}/out"
    run = Run(remote, output=output, mode=None)
    try:
        wait_for(run, lambda: store.fs.exists(f"{output}/store/train/join-1/manifest.json"))
    finally:
        run.process.kill()
    run.ends()
    again = seqmill.succeeds("preprocess", remote, f"--output={output}")
    assert "ingest train/join-1: up to date" in again.err
    assert store.tree(output) == expected

    # What is damaged there is made again where all is read again; what has changed is joined again.
    damaged = f"{output}/store/train/join-1/sequences-00000.arrow"
    content = bytearray(store.fs.cat_file(damaged))
    content[len(content) // 2] ^= 1
    store.fs.pipe_file(damaged, bytes(content))
    again = seqmill.succeeds("ingest", remote, f"--output={output}", "--check")
    assert "sequences-00000.arrow: missing, or not what was written; it is made again" in again.err
    assert "ingest train: up to date" in again.err
    assert store.tree(output) == expected
    side = (sources / "y.tsv").read_text().replace("é3\t", "gone\t")
    store.fs.pipe_file(f"{store.url}/in/y.tsv", side.encode())
    seqmill.succeeds("ingest", remote, f"--output={output}")
    counts = read_manifest(f"{output}/store/train").counts
    assert (counts.read, counts.kept) == (2000, 1979)
