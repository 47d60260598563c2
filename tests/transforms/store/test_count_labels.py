"""Counting the labels of a split."""

from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.readers.split import ReadOptions, single_file_split
from seqmill.transforms.storage import files, output_folder, progress
from seqmill.transforms.storage.current_run import begin_run
from seqmill.transforms.store.count_labels import CountLabels, label_counts
from seqmill.transforms.store.ingest import IngestTask


def test_every_record_is_reported(tmp_path):
    folder = str(tmp_path / "vocab")
    (tmp_path / "a.jsonl").write_text('{"x": "a b"}\n' * 1003)
    task = IngestTask(0, single_file_split("jsonl", str(tmp_path / "a.jsonl"), ReadOptions()), "print", 50)
    begin_run(folder, "run")
    reports = output_folder.progress_folder(folder)
    files.make_folder(reports)
    progress.begin(reports, "id")
    CountLabels(folder, (DataKey("x", "x", "words"),), "run")(task)
    assert label_counts(folder).is_counted(task.index, task.fingerprint)
    assert progress.totals(reports, "id") == (50, 1003)
