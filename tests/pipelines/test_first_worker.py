"""A step whose workers do not begin ends; one whose workers have begun goes on."""

import pytest

from seqmill.pipelines.first_worker import VARIABLE, seconds_for_workers, watch_first_worker
from seqmill.transforms.beam.step import Part, Step
from seqmill.transforms.storage import output_folder, progress
from seqmill.transforms.storage.errors import SeqmillError, UsageError


@pytest.fixture
def step(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0")
    (tmp_path / "progress").mkdir()
    return Step("ingest", (Part("train", str(tmp_path), (), (), print, print),))


def test_nobody_has_begun(step):
    watch = watch_first_worker(step, "a pool")
    with pytest.raises(SeqmillError, match=r"no worker has begun in 0 s on a pool; .*SEQMILL_WORKER_SECONDS"):
        watch()


def test_a_worker_has_begun_its_first_task(step):
    step.parts[0].attempt("a task", step.run_id)
    watch_first_worker(step, "a pool")()


def test_a_worker_of_another_run_is_none(step):
    progress.begin(output_folder.progress_folder(step.parts[0].folder), "another")
    with pytest.raises(SeqmillError):
        watch_first_worker(step, "a pool")()


def test_seconds_are_a_number(monkeypatch):
    assert seconds_for_workers() == 60
    monkeypatch.setenv(VARIABLE, "soon")
    with pytest.raises(
        UsageError, match="SEQMILL_WORKER_SECONDS: found 'soon'; expected a number of seconds"
    ):
        seconds_for_workers()
