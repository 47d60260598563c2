"""Files that arrive become windows, each file in one of them, whatever is killed when."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from seqmill_runs import read_epochs, write_config, write_jsonl

from seqmill.transforms.batches.stream import windows

DATA = {"data": {"field": "x", "type": "floats"}, "classes": {"field": "y", "type": "words"}}
QUICK = {"interval": 0.05, "settle": 0, "idle": 0.15}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "labels.txt").write_text("<pad>\n<unk>\neven\nodd\n")
    write_jsonl(tmp_path / "dev.jsonl", records(0, 5))
    return tmp_path


def config_of(folder, **options):
    data = {**DATA, "classes": {**DATA["classes"], "vocab": str(folder / "labels.txt")}}
    corpora = {
        "train": {"format": "jsonl", "files": ["in/*.jsonl*"], "seq_tag": "id"},
        "dev": {"format": "jsonl", "files": ["dev.jsonl"], "seq_tag": "id"},
    }
    return write_config(folder, data, corpora, **{"windows": QUICK, "seq_ordering": "random", **options})


def records(first, number):
    return [
        {"id": f"seq-{n}", "x": [[n % 7, t] for t in range(2 + n % 5)], "y": "odd even"}
        for n in range(first, first + number)
    ]


def tags(folder, name):
    (batches,) = read_epochs(folder / "out", f"train/{name}")
    return sorted(tag.decode() for batch in batches for tag in batch.seq_tags)


def all_tags(folder):
    return [tag for name in windows(f"{folder}/out/epochs/train") for tag in tags(folder, name)]


def names(first, number):
    return sorted(f"seq-{n}" for n in range(first, first + number))


def test_every_look_makes_a_window_of_new_files(folder, seqmill):
    config = config_of(folder)
    write_jsonl(folder / "in/a.jsonl", records(0, 3))
    write_jsonl(folder / "in/b.jsonl.gz", records(3, 4))
    said = seqmill.succeeds("preprocess", config, "--watch").err
    (first,) = windows(f"{folder}/out/epochs/train")
    assert f"window {first}: 2 files; 7 read = 7 kept + 0 dropped + 0 rejected" in said
    assert "preprocess dev: " in said and "ingest train" not in said
    assert tags(folder, first) == names(0, 7)

    write_jsonl(folder / "in/c.jsonl", [*records(7, 2), {"id": "bad"}])
    said = seqmill.succeeds("preprocess", config, "--watch", "--corpus.train.max_rejected=0.5").err
    assert "3 read = 2 kept + 0 dropped + 1 rejected" in said and "  rejected: 1 " in said
    second = windows(f"{folder}/out/epochs/train")[1]
    assert tags(folder, second) == names(7, 2)
    assert (folder / f"out/epochs/train/{second}/rejected/ingest.jsonl").read_text().count("\n") == 1
    assert "right: epochs 1" in seqmill.succeeds("verify", folder / "out").err
    assert "seq-7" in seqmill.succeeds("show", folder / "out/epochs/train" / second).out
    assert not (folder / "out/watch/window").exists()


def test_a_damaged_file_is_named_and_costs_no_other(folder, seqmill):
    config = config_of(folder)
    write_jsonl(folder / "in/a.jsonl", records(0, 3))
    whole = write_jsonl(folder / "in/b.jsonl.gz", records(3, 40)).read_bytes()
    (folder / "in/b.jsonl.gz").write_bytes(whole[:-20])
    write_jsonl(folder / "in/c.jsonl", records(50, 2))
    (folder / "in/d.jsonl").write_text("no json\n")
    said = seqmill.succeeds("preprocess", config, "--watch").err
    assert "in/b.jsonl.gz: not taken: " in said and "in/d.jsonl: not taken: " in said
    assert all_tags(folder) == sorted([*names(0, 3), *names(50, 2)])
    (folder / "in/b.jsonl.gz").write_bytes(whole)
    ended = seqmill("preprocess", config, "--watch", "--windows={interval=0.05, settle=0, damaged='end'}")
    ended.names("in/d.jsonl: ")
    (folder / "in/d.jsonl").unlink()
    seqmill.succeeds("preprocess", config, "--watch")
    assert sorted(all_tags(folder)) == sorted([*names(0, 3), *names(3, 40), *names(50, 2)])


def test_windows_may_wait_for_sequences_and_files_may_go(folder, seqmill):
    limits = {**QUICK, "min_seqs": 4, "max_wait": 60, "max_bytes": 300, "taken": "delete"}
    config = config_of(folder, windows=limits)
    write_jsonl(folder / "in/a.jsonl", records(0, 3))
    assert "1 file waits for more sequences" in seqmill.succeeds("preprocess", config, "--watch").err
    assert all_tags(folder) == []
    write_jsonl(folder / "in/b.jsonl", records(3, 1))
    write_jsonl(folder / "in/c.jsonl", records(4, 40))  # more than one window takes, all the same
    seqmill.succeeds("preprocess", config, "--watch")
    assert [tags(folder, name) for name in windows(f"{folder}/out/epochs/train")] == [
        names(0, 4),
        names(4, 40),
    ]
    assert list((folder / "in").iterdir()) == []


def test_what_cannot_be_watched_is_refused(folder, seqmill):
    config = config_of(folder)
    write_jsonl(folder / "in/a.jsonl", records(0, 3))
    for flags, says in {
        ("--epochs_ahead=1",): "epochs_ahead: found 1; with --watch every window is an epoch",
        ("--partition_epoch=2",): "corpus.train.partition_epoch: found 2",
        ("--windows={settles=1}",): "--windows.settles: unknown option",
        ("--windows={taken='move'}",): "expected one of keep, delete",
    }.items():
        refused = seqmill("preprocess", config, "--watch", *flags)
        assert refused.code == 2
        refused.names(says)
    twice = folder / "twice.toml"
    twice.write_text(config.read_text().replace('["in/*.jsonl*"]', '["in/*.jsonl*", "in/*.jsonl*"]'))
    seqmill("preprocess", twice, "--watch").names("corpus.train.files: ", "is there several times")
    counted = write_config(folder, DATA, {"train": {"format": "jsonl", "files": ["in/*"]}}, "counted.toml")
    seqmill("preprocess", counted, "--watch").names("data.classes.vocab: required with --watch")
    seqmill.succeeds("preprocess", config, "--watch")
    (folder / "labels.txt").write_text("<pad>\n<unk>\nodd\neven\n")
    seqmill("preprocess", config, "--watch").names("labels.txt is not what the windows in")
    (folder / "labels.txt").write_text("<pad>\n<unk>\neven\nodd\n")
    seqmill("preprocess", config).names("out/epochs/train: is a stream of windows")


def test_a_watch_that_is_killed_takes_every_file_once(folder):
    """With SIGKILL at random moments while files arrive."""
    config = config_of(folder, windows={"interval": 0.02, "settle": 0, "taken": "delete"})
    rng, given, kills = random.Random(1), 0, 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "seqmill.pipelines.main", "preprocess", config, "--watch"]
    while kills < 4:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        while not (folder / "out/epochs/train/writer.json").exists() and process.poll() is None:
            time.sleep(0.01)
        until = time.monotonic() + rng.uniform(0, 0.4)
        while time.monotonic() < until or len(windows(f"{folder}/out/epochs/train")) < kills:
            assert process.poll() is None
            arriving = folder / f"in/.{given}"
            write_jsonl(arriving, records(given, 3))
            arriving.rename(folder / f"in/{given}.jsonl")
            given += 3
            time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        (folder / "out/epochs/train/writer.json").unlink(missing_ok=True)
    process = subprocess.Popen([*command, "--windows={idle=0.3, interval=0.02, settle=0}"], env=environment)
    assert process.wait(180) == 0  # machines are shared
    assert sorted(all_tags(folder)) == names(0, given)
    assert not list((folder / "out").rglob(".tmp-*"))
    assert json.loads((folder / "out/watch/arrivals.json").read_text())["format"] == "seqmill.arrivals/1"
