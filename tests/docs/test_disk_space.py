"""The formula in docs/formats.md, compared with what a run really takes."""

import json
import random

import pytest

import seqmill

CONFIG = """
output = "work"
batch_size = { data = 2000 }
seq_ordering = "laplace:.300"
num_epochs = 3
[data.data]
type = "floats"
[data.classes]
type = "words"
[corpus.train]
format = "jsonl"
files = ["sequences.jsonl"]
"""


def test_the_formula_tells_what_a_run_takes(tmp_path):
    draw = random.Random(1)
    records = [
        {"data": [[0.5] * 10] * draw.randint(20, 60), "classes": " ".join("abcdefg"[: draw.randint(2, 7)])}
        for _ in range(2000)
    ]
    (tmp_path / "sequences.jsonl").write_text("\n".join(json.dumps(record) for record in records) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    seqmill.preprocess(seqmill.load_config(str(tmp_path / "config.toml"), {}), [])

    manifest = seqmill.read_manifest(str(tmp_path / "work/epochs/train"))
    bytes_per_frame = {"data": 4 * 10, "classes": 4}
    frames = {
        key: sum(len(record[key].split() if key == "classes" else record[key]) for record in records)
        for key in bytes_per_frame
    }
    store = sum(frames[key] * size for key, size in bytes_per_frame.items()) + 12 * (2 + 1) * 2000
    tag = len("sequences.jsonl:1000")
    epochs = sum(
        sum(epoch.padded_frames[key] * size for key, size in bytes_per_frame.items()) + (tag + 20) * 2000
        for epoch in manifest.epochs
    )
    assert size_of(tmp_path / "work/store") == pytest.approx(store, rel=0.01)
    assert size_of(tmp_path / "work/epochs") == pytest.approx(epochs, rel=0.01)
    assert size_of(tmp_path / "work") == pytest.approx(store + epochs, rel=0.01)


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
