"""Workers that were asleep when their run was interrupted, and wake up after another one has finished."""

import fcntl
import time
from contextlib import suppress

import clusters
import corpora
import psutil
import pytest
from seqmill_runs import tree
from started_run import Run, is_alive, wait_for


@pytest.fixture
def cluster(request, tmp_path_factory):
    """Not that of other tests, whose work would wait for what is left over here."""
    with getattr(clusters, request.param)(tmp_path_factory.mktemp(request.param)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def other_options(many_tasks):
    return corpora.write_options(many_tasks.parent, "floats", "other.toml", num_epochs=1, num_shards=7)


@pytest.fixture(scope="module")
def expected(other_options, silent_seqmill):
    output = other_options.parent / "other"
    silent_seqmill.succeeds("preprocess", other_options, f"--output={output}")
    return tree(output)


@pytest.mark.parametrize(
    ("cluster", "step"),
    [
        ("dask", "store"),
        ("job_service", "epochs"),
        pytest.param("dask", "epochs", marks=pytest.mark.long),
        pytest.param("job_service", "store", marks=pytest.mark.long),
    ],
    indirect=["cluster"],
)
def test_job_left_over_changes_nothing(many_tasks, other_options, expected, cluster, seqmill, tmp_path, step):
    run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
    asleep = wait_for(run, lambda: _fall_asleep(cluster, run.output / step / "train"))
    run.process.kill()
    run.process.wait()
    seqmill.succeeds("preprocess", other_options, f"--output={run.output}")
    _wake(asleep)
    _wait_until(cluster.is_idle)
    assert tree(run.output) == expected
    seqmill.succeeds("verify", run.output)


def _fall_asleep(cluster, folder):
    """Stops all workers, at a moment at which one has written half a file and none is publishing one."""
    if not _half_written(folder):
        return []
    workers = cluster.at_work()
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.suspend()
    _wait_until(lambda: all(not is_alive(w) or w.status() == psutil.STATUS_STOPPED for w in workers))
    if _half_written(folder) and not _is_locked(folder):
        return workers
    _wake(workers)
    return []


def _wake(workers):
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.resume()


def _half_written(folder):
    return [path for path in folder.rglob(".tmp-*") if path.name.endswith((".arrow", ".tfrecord"))]


def _is_locked(folder):
    with (folder / "receipts/.lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _wait_until(condition):
    deadline = time.monotonic() + 180  # machines are shared
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
