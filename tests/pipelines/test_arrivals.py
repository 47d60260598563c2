"""Which files that arrive are new and complete, and what is remembered of those that were taken."""

from pathlib import Path

import pytest

from seqmill.pipelines import taken_files
from seqmill.pipelines.arrivals import Arrivals
from seqmill.pipelines.taken_files import TakenFiles
from seqmill.transforms.storage.errors import SeqmillError, UsageError


class Watch:
    """Looks every second, and takes what it finds."""

    def __init__(self, folder, settle=2.0):
        self.folder, self.said, self.now = folder, [], 0.0
        self.stream = str(folder / "out/epochs/train")
        self.taken = TakenFiles(str(folder / "arrivals.json"), self.stream)
        pattern = (str(folder / "*.jsonl"),)
        output = str(folder / "out")
        self.arrivals = Arrivals(pattern, output, settle, self.taken, self.said.append, lambda: self.now)

    def looks(self, times=1):
        found = {}
        for _ in range(times):
            found = self.arrivals.look()
            self.now += 1.0
        return [Path(path).name for path in found], found

    def take(self, found, appears=True):
        name = self.taken.next_name(0)
        self.taken.begin(name, found)
        if appears:
            window = Path(self.stream, name)
            window.mkdir(parents=True)
            (window / "manifest.json").touch()
            self.taken.appeared()
        return name


def test_a_file_is_taken_once_it_stands_still(tmp_path):
    watch, path = Watch(tmp_path), tmp_path / "a.jsonl"
    path.write_text("1\n")
    assert watch.looks(2)[0] == []
    with path.open("a") as file:  # half of it was written
        file.write("2\n")
    (tmp_path / "empty.jsonl").touch()
    assert watch.looks(2)[0] == []
    names, found = watch.looks()
    assert names == ["a.jsonl"]
    watch.take(found)
    assert watch.looks(5)[0] == []
    assert Watch(tmp_path, settle=None).looks()[0] == []


def test_what_was_taken_is_known_by_its_content_whatever_it_is_called(tmp_path):
    watch, path = Watch(tmp_path, settle=None), tmp_path / "a.jsonl"
    path.write_text("1\n")
    watch.take(watch.looks()[1])
    path.rename(tmp_path / "b.jsonl")
    assert watch.looks(2)[0] == [] and "b.jsonl: not taken: what it holds was taken before" in watch.said[0]
    (tmp_path / "b.jsonl").unlink()
    watch.looks()
    path.write_text("1\n")
    assert Watch(tmp_path, settle=None).looks()[0] == []
    path.write_text("other\n")  # a new file of the same name
    assert watch.looks()[0] == ["a.jsonl"]


def test_a_file_that_grows_after_it_was_taken_is_named(tmp_path):
    watch, path = Watch(tmp_path, settle=None), tmp_path / "a.jsonl"
    path.write_text("1\n")
    watch.take(watch.looks()[1])
    path.write_text("1\n2\n")
    assert watch.looks(2)[0] == []
    assert watch.said == [
        f"{path}: not taken: it has grown since it was taken (2 bytes then); put what is new into a new file"
    ]


def test_equal_files_are_taken_once_and_a_refused_one_is_tried_again_later(tmp_path):
    watch = Watch(tmp_path, settle=None)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("1\n")
    assert watch.looks()[0] == ["a.jsonl"]
    path = str(tmp_path / "a.jsonl")
    watch.arrivals.refuse(path, "bad")
    assert "a.jsonl" not in watch.looks(60)[0]
    assert watch.looks(2)[0] == ["a.jsonl"]
    watch.arrivals.refuse(path, "bad")
    assert watch.said == [f"{path}: not taken: bad"]
    (tmp_path / "a.jsonl").write_text("mended\n")
    assert "a.jsonl" in watch.looks()[0]


@pytest.mark.parametrize("appears", [True, False])
def test_files_are_taken_when_their_window_is_there(tmp_path, appears):
    watch = Watch(tmp_path, settle=None)
    (tmp_path / "a.jsonl").write_text("1\n")
    name = watch.take(watch.looks()[1], appears=False)
    if appears:  # and is consumed at once
        Path(watch.stream).mkdir(parents=True)
        Path(watch.stream, f"{name}.consumed").touch()
    assert Watch(tmp_path, settle=None).looks()[0] == ([] if appears else ["a.jsonl"])


def test_what_is_remembered_has_a_bound_and_no_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr(taken_files, "MOST_GONE", 3)
    watch = Watch(tmp_path, settle=None)
    for number in range(6):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(f"{number}\n")
        watch.take(watch.looks()[1])
        path.unlink()
    watch.looks()
    (tmp_path / "5.jsonl").write_text("5\n")
    (tmp_path / "0.jsonl").write_text("0\n")
    assert watch.looks()[0] == ["0.jsonl"]
    state = tmp_path / "arrivals.json"
    state.write_bytes(state.read_bytes().replace(b'"bytes": 2', b'"bytes": 3'))
    with pytest.raises(SeqmillError, match="it was changed"):
        Watch(tmp_path)
    state.unlink()
    with pytest.raises(UsageError, match="6 windows are there, and nothing says which files"):
        Watch(tmp_path)
