"""What is taken as up to date: by content, of everything that decides the bytes."""

import os

import numpy as np
import pytest
import soundfile
from seqmill_runs import read_epochs, sequences, write_config, write_jsonl

from seqmill.transforms.features.vocab import decode_labels, read_vocab

CHARS = {"x": {"type": "chars"}}


def texts(folder):
    labels = read_vocab(str(folder / "out/epochs/train/vocab/x.txt")).labels
    return [
        decode_labels(labels, ids, "chars") for _, _, ids in sequences(read_epochs(folder / "out")[0], "x")
    ]


def same_times(*paths):
    for path in paths:
        os.utime(path, (1_700_000_000, 1_700_000_000))


@pytest.fixture
def first_run(tmp_path, seqmill):
    """A corpus that has been preprocessed: its configuration and its input."""
    source = write_jsonl(tmp_path / "a.jsonl", [{"x": "abc"}])
    same_times(source)
    config = write_config(tmp_path, CHARS, {"train": {"format": "jsonl", "files": ["a.jsonl"]}})
    seqmill.succeeds("preprocess", config)
    return config, source


def test_touched_input_is_up_to_date(first_run, seqmill):
    config, source = first_run
    os.utime(source)
    source.write_bytes(source.read_bytes())
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err


def test_other_content_of_the_same_size_and_time_is_noticed(first_run, seqmill):
    config, source = first_run
    other = write_jsonl(source.parent / "b.jsonl", [{"x": "xyz"}])
    same_times(other)
    other.replace(source)
    seqmill.succeeds("preprocess", config)
    assert texts(source.parent) == ["xyz"]
    folder = source.parent / "v2"
    folder.mkdir()
    same_times(write_jsonl(folder / "a.jsonl", [{"x": "uvw"}]))
    config.write_text(config.read_text().replace('"a.jsonl"', '"v2/a.jsonl"'))
    seqmill.succeeds("preprocess", config)
    assert texts(source.parent) == ["uvw"]


def test_an_edited_counted_vocabulary_is_made_again(first_run, seqmill):
    config, source = first_run
    vocab = source.parent / "out/vocab/x.txt"
    content = vocab.read_bytes()
    vocab.write_bytes(content.replace(b"a\nb\n", b"b\na\n"))
    assert vocab.read_bytes() != content
    seqmill.succeeds("preprocess", config)
    assert vocab.read_bytes() == content
    assert texts(source.parent) == ["abc"]


@pytest.fixture
def audio_run(tmp_path, seqmill):
    """A corpus of three sound files, one of them missing: its configuration, its folder."""
    for name, value in (("a", 1), ("b", 2)):
        same_times(write_wav(tmp_path / f"{name}.wav", value))
    write_jsonl(tmp_path / "a.jsonl", [{"x": f"{name}.wav"} for name in "abc"])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    config = write_config(tmp_path, {"x": {"type": "audio"}}, corpora, max_seqs=9, max_rejected=0.7)
    assert "1 rejected" in seqmill.succeeds("preprocess", config).err
    return config, tmp_path


def write_wav(path, value):
    soundfile.write(path, np.full(1600, value / 100, "f4"), 16000, subtype="PCM_16")
    return path


def first_samples(folder):
    return [round(float(array[0]) * 100) for _, _, array in sequences(read_epochs(folder / "out")[0], "x")]


def test_a_recording_that_changed_behind_its_manifest_is_noticed(audio_run, seqmill):
    config, folder = audio_run
    os.utime(folder / "a.wav")
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err
    same_times(write_wav(folder / "a.wav", 5))
    seqmill.succeeds("preprocess", config)
    assert first_samples(folder) == [5, 2]
    write_wav(folder / "c.wav", 3)
    seqmill.succeeds("preprocess", config)
    assert first_samples(folder) == [5, 2, 3]
    (folder / "b.wav").unlink()
    os.mkfifo(folder / "b.wav")  # which must not be waited for
    seqmill.succeeds("preprocess", config)
    assert first_samples(folder) == [5, 3]
    assert "ingest train: up to date" in seqmill.succeeds("preprocess", config).err


def test_another_version_of_a_library_redoes_what_it_decides_alone(audio_run, seqmill, monkeypatch):
    config, folder = audio_run
    write_jsonl(folder / "t.jsonl", [{"x": "abc"}])
    text = write_config(folder, CHARS, {"train": {"format": "jsonl", "files": ["t.jsonl"]}}, "t.toml")
    seqmill.succeeds("ingest", text, f"--output={folder / 'text'}")
    metadata = folder / "site" / "soxr-99.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: soxr\nVersion: 99.0\n")
    monkeypatch.syspath_prepend(folder / "site")
    assert "up to date" not in seqmill.succeeds("ingest", config).err
    assert "up to date" in seqmill.succeeds("ingest", text, f"--output={folder / 'text'}").err


def test_names_that_hold_wildcards_are_meant_as_they_stand(tmp_path, seqmill):
    folder = tmp_path / "exp[1]"
    for name, text in (
        ("exp[1]/data[1].jsonl", "ab"),
        ("exp[1]/data1.jsonl", "x"),
        ("exp1/data1.jsonl", "y"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_jsonl(path, [{"x": text}])
    config = write_config(folder, CHARS, {"train": {"format": "jsonl", "files": ["data[1].jsonl"]}})
    seqmill.succeeds("preprocess", config)
    assert texts(folder) == ["ab"]


def test_what_has_changed_and_which_epochs_go_is_said(tmp_path, seqmill):
    write_jsonl(tmp_path / "a.jsonl", [{"x": "abc"}, {"x": "d"}])
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    config = write_config(tmp_path, CHARS, corpora, seq_ordering="random", num_epochs=3)
    assert "was" not in seqmill.succeeds("preprocess", config).err
    changed = seqmill.succeeds("preprocess", config, "--seed=7", "--max_seq_length=9").err
    assert "preprocess train: max_seq_length was none, is { x = 9 }; seed was 1, is 7\n" in changed
    fewer = seqmill.succeeds("preprocess", config, "--seed=7", "--max_seq_length=9", "--num_epochs=1").err
    assert "preprocess train: num_epochs was 3, is 1; deletes epochs 2 to 3\n" in fewer
    write_jsonl(tmp_path / "a.jsonl", [{"x": "abc"}])
    assert (
        "its data"
        in seqmill.succeeds("preprocess", config, "--seed=7", "--max_seq_length=9", "--num_epochs=1").err
    )
