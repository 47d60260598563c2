"""``[[schedule]]`` from plan to training: options per epoch, what stays when they change, steps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from seqmill_runs import mtimes, read_epochs, rejects, sequences, tree, write_config, write_jsonl

from seqmill.pipelines.verify import verify
from seqmill.trainer import batches, open_corpus
from seqmill.transforms.batches import manifest
from seqmill.transforms.storage.errors import SeqmillError

DATA = {"x": {"type": "ints"}, "y": {"type": "bytes"}}
TABLES = """
[[schedule]]
epochs = "1-2"
max_seq_length = { x = 6 }
partition_epoch = 3
[[schedule]]
epochs = "1-5"
batch_size = { x = 20 }
[[schedule]]
epochs = "6"
chunking = { x = "4:3" }
seq_ordering = "sorted"
"""


def records(num_seqs=40):
    random = np.random.default_rng(1)
    return [
        {"x": random.integers(0, 9, length).tolist(), "y": "ab" * int(random.integers(1, 5))}
        for length in random.integers(1, 13, num_seqs).tolist()
    ]


def configured(folder, tables=TABLES, **options):
    write_jsonl(folder / "a.jsonl", records())
    corpora = {name: {"format": "jsonl", "files": ["a.jsonl"]} for name in ("train", "dev")}
    defaults = {"batch_size": {"x": 40}, "seq_ordering": "random", "partition_epoch": 2, "num_epochs": 8}
    config = write_config(folder, DATA, corpora, **{**defaults, **options})
    config.write_text(config.read_text() + tables)
    return config


@pytest.fixture(scope="module")
def written(tmp_path_factory, silent_seqmill):
    folder = tmp_path_factory.mktemp("schedule")
    silent_seqmill.succeeds("preprocess", configured(folder))
    return folder


def test_every_epoch_has_its_own_options(written):
    epochs = read_epochs(written / "out")
    longest = [max(int(batch.lengths["x"].max()) for batch in epoch) for epoch in epochs]
    assert [one <= 6 for one in longest] == [True, True, False, False, False, True, False, False]
    largest = [max(batch.num_frames("x") for batch in epoch if len(batch.seq_tags) > 1) for epoch in epochs]
    assert all(size <= 20 for size in largest[:5]) and all(20 < size <= 40 for size in largest[5:])
    assert [any(batch.chunk_start.any() for batch in epoch) for epoch in epochs] == [False] * 5 + [
        True,
        False,
        False,
    ]
    tags = [{tag for batch in epoch for tag in batch.seq_tags} for epoch in epochs]
    short = sum(len(one["x"]) <= 6 for one in records())
    assert len(tags[0] | tags[1]) == len(tags[0]) + len(tags[1]) < short
    assert len(tags[2] | tags[3]) == 40 and len(tags[6] | tags[7]) == 40
    assert len(tags[4]) == 20 and tags[5] & tags[4]
    (dev,) = read_epochs(written / "out", "dev")
    assert max(batch.num_frames("x") for batch in dev) > 20


def test_plan_says_what_a_schedule_makes(written, seqmill):
    out = " ".join(seqmill.succeeds("plan", written / "config.toml").out.split())
    short = sum(len(one["x"]) <= 6 for one in records())
    for line in (
        "corpus train: 40 read, 40 kept; ",
        " epochs 1-2: batch_size = { x = 20 }; max_seq_length = { x = 6 }; partition_epoch = 3; "
        f"{short} kept; the last pass ends after 2 of 3 parts",
        " epochs 3-5: batch_size = { x = 20 }; 40 kept; the last pass ends after 1 of 2 parts",
        " epoch 6: seq_ordering = sorted; chunking = { x = 4:3 }; ",
        " epochs 7-8: 40 kept",
        " in all ",
        " bytes are free expected: ",
    ):
        assert line in out
    assert " on 1 process of this machine" in out
    train, dev = json.loads(seqmill.succeeds("plan", written / "config.toml", "--json").out)
    content = manifest.read(str(written / "out/epochs/train"))
    assert train["num_steps"] == content.num_steps == sum(e["num_batches"] for e in train["epochs"])
    assert content.steps_of(3) == train["epochs"][2]["num_batches"]
    assert train["schedule"][0]["left_out"] == {"max_seq_length:x": 40 - short}
    assert (dev["schedule"], dev["num_epochs"]) == ([], 1)


def test_it_is_verified_and_read_from_the_store(written, seqmill):
    assert "right: epochs 8" in seqmill.succeeds("verify", written / "out").err
    folder = written / "out/epochs/train"
    shards, store = open_corpus(folder), open_corpus(folder, read_from="store")
    for epoch in range(1, 9):
        for found, expected in zip(
            batches(store, epoch, tags=True), batches(shards, epoch, tags=True), strict=True
        ):
            assert found["seq_tag"] == expected["seq_tag"]
            np.testing.assert_array_equal(found["x"], expected["x"])


def test_other_later_epochs_leave_the_earlier_ones_as_they_are(tmp_path, seqmill):
    config = configured(tmp_path)
    seqmill.succeeds("preprocess", config)
    assert "up to date" in seqmill.succeeds("preprocess", config).err
    epochs = tmp_path / "out/epochs/train"
    before = mtimes(epochs)
    config.write_text(config.read_text().replace('epochs = "6"', 'epochs = "7-"'))
    ended = seqmill.succeeds("preprocess", config, "--num_epochs=10")
    assert "schedule was { epochs = 1-2, batch_size = { x = 20 }, max_seq_length = { x = 6 }, " in ended.err
    after = mtimes(epochs)
    for name in before:
        if name.startswith(tuple(f"epoch-000{number}" for number in range(1, 6))):
            assert after[name] == before[name]
    assert "right: epochs 8" in seqmill.succeeds("verify", tmp_path / "out").err  # 7 and 8 stand for 9 and 10
    (tmp_path / "fresh").mkdir()
    fresh = configured(tmp_path / "fresh")
    fresh.write_text(config.read_text())
    seqmill.succeeds("preprocess", fresh, "--num_epochs=10")
    assert {n: c for n, c in tree(epochs).items() if "receipts" not in n} == {
        n: c for n, c in tree(tmp_path / "fresh/out/epochs/train").items() if "receipts" not in n
    }


def test_training_refuses_epochs_of_another_schedule(written, seqmill, tmp_path):
    (tmp_path / "model.py").write_text("def build(manifest): ...")
    ended = seqmill("train", written / "config.toml", "--schedule=none", f"--model={tmp_path}/model.py:build")
    ended.names("corpus.train: schedule is []", "run `seqmill preprocess`")


def test_stretches_that_do_not_change_are_stored_once(tmp_path, seqmill):
    tables = '[[schedule]]\nepochs = "1-3"\nbatch_size = 9\n'
    seqmill.succeeds("preprocess", configured(tmp_path, tables, seq_ordering="sorted", partition_epoch=1))
    content = manifest.read(str(tmp_path / "out/epochs/train"))
    assert [epoch.epoch for epoch in content.epochs] == [1, 4]
    small, large = (epoch.num_batches for epoch in content.epochs)
    assert content.num_steps == 3 * small + 5 * large
    assert open_corpus(tmp_path / "out/epochs/train").stored_epoch(7) == 4
    assert "has epochs 1, 4" in seqmill("show", tmp_path / "out", "--epoch=2").err
    assert "right: epochs 2" in seqmill.succeeds("verify", tmp_path / "out").err


def test_what_is_behind_the_last_epoch_is_said(tmp_path, seqmill):
    ended = seqmill.succeeds("plan", configured(tmp_path), "--num_epochs=4")
    assert "warning: schedule: epochs 5 are behind num_epochs = 4\n" in ended.err
    assert "warning: schedule: epochs 6 are behind num_epochs = 4\n" in ended.err


def test_epochs_without_a_sequence_are_refused(tmp_path, seqmill):
    tables = '[[schedule]]\nepochs = "2-3"\nmin_seq_length = 50\n'
    ended = seqmill("preprocess", configured(tmp_path, tables))
    ended.names("corpus train: no sequence is left in epochs 2-3 of 40 (min_seq_length:x: 40)")


def test_sequences_that_some_epochs_cannot_chunk_are_listed_with_them(tmp_path, seqmill):
    tables = '[[schedule]]\nepochs = "2-3"\nchunking = "2"\n'
    config = configured(tmp_path, tables, max_rejected=0.0)
    seqmill("preprocess", config).names("sequences rejected", "numbers of chunks differ")
    seqmill.succeeds("preprocess", config, "--max_rejected=1")
    listed = rejects(tmp_path / "out", stage="epochs")
    content = manifest.read(str(tmp_path / "out/epochs/train"))
    assert content.counts.kept == 40 and content.counts.rejected == {}
    assert content.epochs[1].left_out == {"numbers of chunks differ": len(listed)}
    assert {one["epochs"] for one in listed} == {"2-3"}
    assert len(sequences(read_epochs(tmp_path / "out")[0], "x")) == 20
    seqmill.succeeds("verify", tmp_path / "out")
    assert "up to date" in seqmill.succeeds("preprocess", config, "--max_rejected=1").err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda options: options["schedule"][0].update(epochs="1-9"),
            "schedule: 1-9: expected runs of epochs",
        ),
        (lambda options: options["schedule"][0].update(epochs=None), "'None' names no epochs"),
        (lambda options: options["schedule"][0].update(max_seqs="x"), "max_seqs: Input should be"),
        (lambda options: options["schedule"][0].update(length_key="z"), "no data key z"),
        (lambda options: options.update(schedule={}), "schedule: Input should be a valid list"),
    ],
)
def test_a_damaged_schedule_is_noticed(written, edit, message):
    content = manifest.read(str(written / "out/epochs/train"))
    options = json.loads(json.dumps(dict(content.options)))
    edit(options)
    damaged = replace(content, options=options)
    folder = written / "damaged"
    manifest.write(str(folder), damaged)
    with pytest.raises(SeqmillError, match=message):
        verify(str(folder))
