"""Workers and the scheduler of a Dask cluster, killed in the middle of a run."""

import re
from contextlib import contextmanager, suppress

import clusters
import psutil
import pytest
from corpora import NUM_TASKS
from seqmill_runs import tree
from started_run import Run, is_alive, wait_for

RECEIPT = re.compile(r"(\d{5})(-receipt)?\.json")


@pytest.fixture
def cluster(tmp_path_factory):
    """Of this test alone, which breaks it."""
    with clusters.dask(tmp_path_factory.mktemp("dask"), {}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def expected(many_tasks, silent_seqmill):
    silent_seqmill.succeeds("preprocess", many_tasks)
    silent_seqmill.succeeds("verify", many_tasks.parent / "out")
    return tree(many_tasks.parent / "out")


def test_run_goes_on_without_a_killed_worker_and_does_nothing_twice(many_tasks, expected, cluster, tmp_path):
    run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
    done = {}
    for step, worker in (("store", 0), ("epochs", 1)):
        wait_for(run, lambda step=step: _num_receipts(run.output / step) > 8)
        with _paused(cluster.workers):
            there = _finished(run.output / step)
            cluster.workers[worker].kill()
        assert len(there) < 2 * NUM_TASKS[step]
        done |= there
        cluster.add_worker()
    run.ends(within=180)
    assert run.process.returncode == 0
    assert tree(run.output) == expected
    assert {path: _version(path) for path in done} == done


def test_run_ends_with_one_line_where_the_scheduler_is_killed(many_tasks, expected, cluster, dask, tmp_path):
    run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
    wait_for(run, lambda: _num_receipts(run.output / "epochs") > 8)
    with _paused(cluster.workers):
        cluster.head.kill()
        done = _finished(run.output)
    said = run.ends(within=180)
    assert run.process.returncode == 1
    assert said.count("seqmill: ") == 1
    last = said.splitlines()[-1]
    assert last.startswith("seqmill: preprocess train: the Dask scheduler at tcp://127.0.0.1:"), said
    assert last.endswith("does not answer any more (Connection refused); what is done is kept")
    again = Run(many_tasks, output=tmp_path / "out", flags=dask.flags)
    again.ends(within=180)
    assert again.process.returncode == 0
    assert tree(run.output) == expected
    assert {path: _version(path) for path in done} == done


@contextmanager
def _paused(workers):
    """While what they have done is looked at, they do no more."""
    stopped = [worker for worker in workers if is_alive(worker)]
    for worker in stopped:
        worker.suspend()
    yield
    for worker in stopped:
        with suppress(psutil.NoSuchProcess):  # killed meanwhile
            worker.resume()


def _num_receipts(folder):
    return sum(bool(RECEIPT.fullmatch(path.name)) for path in folder.rglob("receipts/*.json"))


def _finished(folder):
    """The files of tasks that have left a receipt, and which version each is."""
    files = []
    for receipt in folder.rglob("receipts/*.json"):
        if number := RECEIPT.fullmatch(receipt.name):
            files += [*receipt.parent.glob(f"{number[1]}*"), *receipt.parent.parent.glob(f"*s-{number[1]}*")]
    return {path: _version(path) for path in files}


def _version(path):
    return path.stat().st_ino, path.stat().st_mtime_ns
