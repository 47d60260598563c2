"""Progress is a file per process, and nothing that goes wrong with it is anybody's trouble."""

import shutil

import pytest

from seqmill.transforms.storage import progress
from seqmill.transforms.storage.progress import Reporter, totals


def report(folder, run_id, done, num_seqs):
    progress.begin(str(folder), run_id)
    reporter = Reporter(str(folder))
    reporter.add(done, num_seqs)
    reporter.flush()


def test_tasks_of_one_process_share_a_file(tmp_path):
    for _ in range(50):
        report(tmp_path, "run", 10, 2)
    assert totals(str(tmp_path), "run") == (500, 100)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_new_run_counts_from_0_and_sees_nothing_of_others(tmp_path):
    report(tmp_path, "first", 10, 1)
    report(tmp_path, "second", 3, 1)
    assert totals(str(tmp_path), "second") == (3, 1)
    assert totals(str(tmp_path), "first") == (10, 1)


def test_what_cannot_be_read_counts_nothing(tmp_path):
    report(tmp_path, "run", 10, 1)
    (tmp_path / "run-1.json").write_bytes(b'{"done": 1')
    (tmp_path / "run-2.json").write_bytes(b"[]")
    (tmp_path / "run-3.json").mkdir()
    assert totals(str(tmp_path), "run") == (10, 1)
    assert totals(str(tmp_path / "away"), "run") == (0, 0)
    assert totals("nosuch://bucket", "run") == (0, 0)


@pytest.mark.parametrize("folder", ["removed", "a file", "nosuch://bucket/progress"])
def test_what_cannot_be_written_fails_nothing_and_makes_nothing(tmp_path, folder):
    (tmp_path / "a file").touch()
    where = folder if "://" in folder else str(tmp_path / folder)
    report(where, "run", 10, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_late_report_does_not_bring_a_folder_back(tmp_path):
    folder = tmp_path / "progress"
    folder.mkdir()
    report(folder, "run", 10, 1)
    shutil.rmtree(folder)
    report(folder, "run", 10, 1)
    assert not folder.exists()
