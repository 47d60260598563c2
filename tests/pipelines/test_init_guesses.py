"""What ``seqmill init`` makes of the values and names of fields, and of the names of files."""

import io
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmill.pipelines.init.corpus_table import as_patterns
from seqmill.pipelines.init.field_kinds import kinds_of
from seqmill.pipelines.init.find_sources import Found, find_sources
from seqmill.pipelines.init.guess_keys import guess_keys
from seqmill.pipelines.init.recordings import choose_recordings
from seqmill.pipelines.init.sample_records import sample_of
from seqmill.pipelines.init.split_names import corpus_of
from seqmill.pipelines.init.write_config import Line, Table, config_text
from seqmill.transforms.storage import files


def npy(values):
    file = io.BytesIO()
    np.save(file, np.array(values))
    return file.getvalue()


def kinds(records, format="jsonl"):
    sample = sample_of(format, "", records)
    return kinds_of(sample, lambda names: None if names[0].startswith("nowhere") else "")


def guessed(records, format="jsonl"):
    guesses = guess_keys(kinds(records, format), format)
    return {guess.key: (guess.kind.field, guess.kind.type) for guess in guesses.keys}, guesses.seq_tag


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["a.wav", "b/c.WAV"], "log_mel"),
        (["nowhere.wav", "nowhere2.wav"], ""),
        ([{"bytes": b"RIFF....", "path": None}], "log_mel"),
        ([b"fLaC\x80"], "log_mel"),
        ([b"\x80\x81"], ""),
        ([npy([[1.0, 2.0]])], "floats"),
        ([npy([3, 4])], "ints"),
        ([[1, 2], [3]], "ints"),
        ([[1.5], [2, 3]], "floats"),
        ([[[1, 2], [3, 4]], [[5, 6]]], "floats"),
        ([[[1, 2]], [[1, 2, 3]]], ""),
        ([["a", "b"], ["c"]], "words"),
        (["once upon a time", "there was"], "chars"),
        (["a b a b", "b a b a"], "words"),
        (["yes", "no", "no", "yes"], "words"),
        (["at 10:30", "at 11:15"], "chars"),
        ([True, False], ""),
        ([1, 1, 0], "ints"),
        ([*range(10)], ""),
        ([0.5, 1], "floats"),
        (["", " "], ""),
    ],
)
def test_values_tell_the_type(values, type):
    (kind,) = kinds([{"x": value} for value in values])
    assert kind.type == type
    assert kind.why


def test_a_field_that_some_records_lack_is_left_out():
    by_field = {kind.field: kind for kind in kinds([{"x": "a b"}, {"x": "b", "y": "c"}, {"x": None}])}
    assert by_field["x"].why == "missing in 1 of 3 records"
    assert by_field["y"].why == "missing in 2 of 3 records"


@pytest.mark.parametrize(
    ("record", "keys", "tag"),
    [
        (
            {"text": "say {}", "speaker": "x", "audio": "{}.wav", "utt_id": "u{}"},
            {"data": ("audio", "log_mel"), "classes": ("text", "chars")},
            "utt_id",
        ),
        (
            {"phones": "say it {}", "entry": "it{}x"},
            {"data": ("phones", "chars")},
            "entry",
        ),
        (
            {"audio": "{}.wav", "text": "123{}"},
            {"data": ("audio", "log_mel"), "classes": ("text", "chars")},
            "audio",
        ),
        (
            {"target": "be {}", "source": "so {}"},
            {"data": ("source", "chars"), "classes": ("target", "chars")},
            None,
        ),
        ({"a.wav": {"text": "is {} so"}}, {"data": ("a.wav.text", "chars")}, None),
        ({"audio": "{}.flac", "duration": 1.5}, {"data": ("audio", "log_mel")}, "audio"),
    ],
)
def test_names_tell_input_target_and_tag(record, keys, tag):
    def filled(value, n):
        if isinstance(value, dict):
            return {name: filled(inner, n) for name, inner in value.items()}
        return value.format(n) if isinstance(value, str) else value

    assert guessed([filled(record, n) for n in range(12)]) == (keys, tag)


def test_what_is_said_does_not_name_a_recording():
    records = [{"path": f"{i}.wav", "sentence_id": f"s{i}", "sentence": f"one more {i}"} for i in range(9)]
    assert guessed(records)[1] == "path"
    texts = [{"sentence_id": f"s{i}", "sentence": f"one more {i}"} for i in range(9)]
    assert guessed(texts)[1] == "sentence_id"


@pytest.mark.parametrize(
    ("path", "corpus"),
    [
        ("in/train.tsv", "train"),
        ("in/validation-00000-of-00001.parquet", "dev"),
        ("in/validated.tsv", None),
        ("in/dev/part/1.wav", "dev"),
        ("in/train/test.jsonl", "test"),
        ("in/devices.jsonl", None),
    ],
)
def test_names_tell_the_corpus(path, corpus):
    assert corpus_of(path, "in") == corpus


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        (["a/b/1.wav", "a/bc/2.wav"], "a"),
        (["a/1.wav", "b/2.wav"], "."),
        (["/a/1.wav", "/b/2.wav"], "/"),
        (["/a/1.wav", "b/2.wav"], "."),
        (["s3://k/a/long/1.wav", "s3://k/a/b/2.wav"], "s3://k/a"),
        (["s3://k/a/1.wav", "s3://l/a/2.wav"], "."),
        (["s3://k/a/1.wav", "/b/2.wav", "z/3.wav"], "."),
    ],
)
def test_recordings_start_from_the_folder_that_all_are_in(paths, root):
    found = choose_recordings(Found(recordings={path: path[:-6] for path in paths}))
    assert found.root == root
    names = [record["audio"] for record in found.records["train"]]
    assert sorted(files.join(root, name) for name in names) == sorted(paths)


def test_a_file_that_is_given_in_two_ways_is_found_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/b/train.jsonl", "a/dev.jsonl", "a/link.jsonl"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text('{"x": 1}\n' * 2)
    paths = ["a", "./a/b/train.jsonl", "a/b/train.jsonl", "a/b/../b", f"{tmp_path}/a/link.jsonl"]
    found = find_sources(paths, lambda path: False).sources["jsonl"]
    assert sorted(found) == sorted(["./a/b/train.jsonl", "a/dev.jsonl", f"{tmp_path}/a/link.jsonl"])


def test_many_files_become_a_pattern_that_means_just_them(tmp_path):
    names = [f"train-{n}.jsonl" for n in range(5)]
    for name in names:
        (tmp_path / name).touch()
    assert as_patterns(names, str(tmp_path)) == ["train-*.jsonl"]
    (tmp_path / "train-x.jsonl").touch()
    assert as_patterns(names, str(tmp_path)) == names


@settings(max_examples=30)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_value_and_a_comment(value, why):
    text = config_text([Table("", [Line("a", {value: [value]}, why), Line("", why=why)])])
    try:
        value.encode()
    except UnicodeEncodeError:
        return  # no file and no field has such a name
    assert tomllib.loads(text) == {"a": {value: [value]}}


def test_a_field_that_few_records_lack_is_taken():
    (kind,) = kinds([*({"x": "a b"} for _ in range(20)), {}])
    assert kind.type == "words"
