from pathlib import Path

import pytest

from seqmill.transforms.readers import FORMATS, Split, get_field, open_split, split_corpus
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError, UsageError


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("remote", [False, True])
def test_missing_files_are_named(tmp_path, format, suffix, remote):
    path = "memory://readers/none" + suffix if remote else str(tmp_path / f"none{suffix}")
    files = {"data": [path]} if format == "text" else [path]
    with pytest.raises(SeqmillError, match=r"none.*no such file"):
        split_corpus(format, files, 100)


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_is_no_file(tmp_path, format):
    files = {"data": [str(tmp_path)]} if format == "text" else [str(tmp_path)]
    with pytest.raises(SeqmillError, match="cannot be read"):
        split_corpus(format, files, 100)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_a_failing_disk_is_an_error_and_no_reject(tmp_path, suffix):
    path = tmp_path / f"corpus{suffix}"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(SeqmillError, match="cannot be read") as caught:
        list(open_split(Split("jsonl", (("", str(path)),), (0,), (None,)), []))
    assert str(path) in str(caught.value)


def test_wrong_use():
    with pytest.raises(UsageError, match=r"'xml'.*jsonl, text"):
        split_corpus("xml", [], 100)
    with pytest.raises(UsageError, match="data key"):
        split_corpus("text", ["a"], 100)
    with pytest.raises(UsageError, match="list of files"):
        split_corpus("jsonl", {"data": ["a"]}, 100)


def test_files_follow_each_other(tmp_path, read_corpus):
    paths = [tmp_path / name for name in ("b.jsonl", "a.jsonl")]
    for path in paths:
        path.write_text(f'{{"file": "{path.name}"}}\n\n')
    found = read_corpus("jsonl", [str(path) for path in paths])
    assert found == [(0, {"file": "b.jsonl"}), (2, {"file": "a.jsonl"})]


def test_get_field_follows_dots():
    record = {"a": {"b": {"c": 1}, "n": None}, "a.b": 2}
    assert get_field(record, "a.b") == 2
    assert get_field(record, "a.b.c") == 1
    assert get_field(record, "a.n") is None
    for missing in ("x", "a.x", "a.n.x", "a.b.c.d"):
        with pytest.raises(RejectedSequence) as caught:
            get_field(record, missing)
        assert caught.value.reason == "missing field"
        assert caught.value.detail == f"{missing}; there are a, a.b"
