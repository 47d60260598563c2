"""``length_buckets`` from the configuration to what training reads."""

import json
import random

import numpy as np
import orjson
import pytest
from seqmill_runs import read_epochs, tree, write_config, write_jsonl

from seqmill import SeqmillError, batches, open_corpus
from seqmill.transforms.batches import manifest
from seqmill.transforms.planning import length_buckets, selections
from seqmill.transforms.planning.best_buckets import best_buckets as best
from seqmill.transforms.planning.plan import select
from seqmill.transforms.storage import files, manifest_file

DATA = {"x": {"type": "ints"}, "y": {"type": "floats"}}
OPTIONS = {
    "batch_size": {"x": 200},
    "seq_ordering": "laplace:.20",
    "num_epochs": 3,
    "partition_epoch": 2,
    "length_buckets": {"x": 3, "y": 2},
    "num_shards": 2,
}
SCHEDULE = '--schedule=[{epochs = "3", length_buckets = {x = 1}, max_seqs = 5}]'


def configured(folder, **options):
    draw = random.Random(1)
    write_jsonl(
        folder / "a.jsonl",
        [{"x": [1] * draw.randint(1, 40), "y": [[0.5, 1.0]] * draw.randint(1, 9)} for _ in range(90)],
    )
    corpora = {name: {"format": "jsonl", "files": ["a.jsonl"]} for name in ("train", "dev")}
    return write_config(folder, DATA, corpora, **{**OPTIONS, **options})


@pytest.fixture
def written(tmp_path, seqmill):
    seqmill.succeeds("preprocess", configured(tmp_path), SCHEDULE)
    return tmp_path


def test_batches_have_few_time_axes_whatever_brings_them(written, seqmill):
    out = written / "out"
    assert "right: epochs 3" in seqmill.succeeds("verify", out).err
    folder = out / "epochs/train"
    shards, store = open_corpus(folder), open_corpus(folder, read_from="store")
    schedule = shards.manifest.schedule
    planned = json.loads(seqmill.succeeds("plan", written / "config.toml", SCHEDULE, "--json").out)[0]
    for epoch, most in ((1, {"x": 3, "y": 2}), (2, {"x": 3, "y": 2}), (3, {"x": 1, "y": 99})):
        shapes = set()
        for found, expected in zip(
            batches(store, epoch, tags=True), batches(shards, epoch, tags=True), strict=True
        ):
            for name, array in expected.items():
                np.testing.assert_array_equal(found[name], array)
            shapes.add((expected["x"].shape, expected["y"].shape))
        assert all(len({pair[i][1] for pair in shapes}) <= most[key] for i, key in enumerate("xy"))
        assert planned["epochs"][epoch - 1]["num_shapes"] == len(shapes)
    axes = schedule.at(1).batch_limits.padded_lengths
    assert axes == schedule.at(2).batch_limits.padded_lengths and schedule.at(3).batch_limits.max_seqs == 5
    assert len(axes["x"]) == 3 and axes["x"][-1] == 40
    said = seqmill.succeeds("plan", written / "config.toml", SCHEDULE).out
    assert f"  x is padded to {', '.join(map(str, axes['x']))} frames\n" in said
    seqmill.succeeds(
        "preprocess", written / "config.toml", SCHEDULE, "--exchange=shuffle", f"--output={written / 'other'}"
    )
    assert tree(written / "other/epochs") == tree(out / "epochs")


def test_a_change_of_them_is_noticed_and_said(written, seqmill):
    config, folder = written / "config.toml", str(written / "out/epochs/train")
    assert "train: up to date" in seqmill.succeeds("preprocess", config, SCHEDULE).err
    said = seqmill.succeeds("preprocess", config, SCHEDULE, "--length_buckets=2").err
    assert "length_buckets was { x = 3, y = 2 }, is { x = 2, y = 2 }" in said
    said = seqmill.succeeds("preprocess", config, "--length_buckets=none").err
    assert "length_buckets was { x = 2, y = 2 }, is none" in said
    plain = manifest.read(folder).options
    assert not {"length_buckets", "padded_lengths", "pad_batch"} & plain.keys()
    longest = [int(batch.lengths["x"].max()) for batch in read_epochs(written / "out", "train")[0]]
    assert [batch.arrays["x"].shape[1] for batch in read_epochs(written / "out", "train")[0]] == longest
    seqmill.succeeds("verify", written / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda limits: limits["padded_lengths"].update(x=[9, 30, 41]), "batch 0: shape of x: found"),
        (lambda limits: limits["padded_lengths"].update(x=[40, 9]), "padded_lengths: x: expected at most 3"),
        (lambda limits: limits["padded_lengths"].pop("x"), "padded_lengths: of y, expected x, y"),
        (lambda limits: limits.pop("padded_lengths"), "padded_lengths: expected those of x, y"),
    ],
)
def test_other_time_axes_in_a_manifest_are_refused(written, seqmill, change, message):
    path = written / "out/epochs/dev/manifest.json"
    described = orjson.loads(path.read_bytes())
    change(described["options"])
    files.write_json(str(path), manifest_file.seal(described))
    seqmill("verify", written / "out").names(message)
    with pytest.raises(SeqmillError):
        open_corpus(path.parent, read_from="store")


def test_what_cannot_be_meant_is_refused(tmp_path, seqmill):
    config = configured(tmp_path)
    for flags, message in (
        (["--packed=true"], "corpus.train: length_buckets: packed batches have no padding"),
        (["--pad_batch=true", "--length_buckets={y = 2}"], "corpus.dev: pad_batch: batch_size limits x"),
        (["--length_buckets={z = 2}"], "no data key 'z'; expected x, y"),
        (["--schedule=[{epochs = '1', pad_batch = true, batch_size = 9, length_buckets = {y = 2}}]"],
         "schedule: epochs 1: pad_batch: batch_size limits x"),
    ):  # fmt: skip
        seqmill("plan", config, *flags).names(message)


def test_time_axes_are_taken_from_epochs_that_are_there(written, seqmill, monkeypatch):
    run = ("preprocess", written / "config.toml", SCHEDULE)
    chosen = []
    monkeypatch.setattr(length_buckets, "best_buckets", lambda *given: chosen.append(given) or best(*given))
    said = seqmill.succeeds(*run).err
    assert "train: up to date" in said and "dev: up to date" in said and not chosen
    seqmill.succeeds("plan", *run[1:])
    open_corpus(written / "out/epochs/dev", read_from="store")
    assert not chosen
    seqmill.succeeds(*run, "--check")
    assert chosen
    path = written / "out/epochs/dev/manifest.json"
    described = orjson.loads(path.read_bytes())
    described["options"]["padded_lengths"]["x"] = [9, 30, 41]
    files.write_json(str(path), manifest_file.seal(described))
    seqmill.succeeds(*run)
    assert orjson.loads(path.read_bytes())["options"]["padded_lengths"]["x"] != [9, 30, 41]


def test_one_command_selects_and_chooses_once(tmp_path, seqmill, monkeypatch):
    config = configured(tmp_path, batch_size={"x": 217})  # as no other test of this process has
    seqmill.succeeds("ingest", config)
    selected, chosen = [], []
    monkeypatch.setattr(selections, "select", lambda *given: selected.append(given) or select(*given))
    monkeypatch.setattr(length_buckets, "best_buckets", lambda *given: chosen.append(given) or best(*given))
    seqmill.succeeds("plan", config)
    assert (len(selected), len(chosen)) == (2, 8)  # of two corpora: two data keys, two tries each
    seqmill.succeeds("preprocess", config)
    assert (len(selected), len(chosen)) == (4, 8)  # what the process has chosen fits by its fingerprint
