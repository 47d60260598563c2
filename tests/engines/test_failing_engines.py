"""What is missing, fails or is killed on an engine ends a run soon, with one line that names it."""

import os
import socket
import time
from pathlib import Path

import clusters
import corpora
import pytest
from servers import built_engine, deaf_port
from started_run import Run, wait_for

NOWHERE = {
    "portable": ("--runner=portable", "--job_endpoint={}"),
    "prism": ("--runner=prism", "--job_endpoint={}"),
    "dask": ("--runner=dask", "--dask_client_address=tcp://{}"),
    "flink": (
        "--runner=flink",
        "--flink_master={}",
        "--environment_type=EXTERNAL",
        "--environment_config=h:1",
    ),
}

LACKING = """
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{0}":
            raise ModuleNotFoundError("No module named '{0}'", name=name)

sys.meta_path.insert(0, Lacking())
"""


@pytest.fixture(scope="module")
def many_tasks(tmp_path_factory):
    return corpora.write_many_tasks(tmp_path_factory.mktemp("many"))


def python_without(module, tmp_path):
    """Variables of a python that does not find a module."""
    folder = tmp_path / "lacking"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LACKING.format(module))
    return {"PYTHONPATH": os.pathsep.join([str(folder), clusters.environment()["PYTHONPATH"]])}


@pytest.mark.parametrize("flags", NOWHERE.values(), ids=NOWHERE)
def test_nobody_listens(many_tasks, tmp_path, seqmill, flags):
    with deaf_port() as port:
        address = f"127.0.0.1:{port}"
        to_nobody = (flag.format(address) for flag in flags)
        run = seqmill("preprocess", many_tasks, f"--output={tmp_path}", *to_nobody)
    run.names(address, "Connection refused", "what is done is kept")
    assert run.code == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            ("--runner=portable", "--job_endpoint={}", "--job_server_timeout=1"),
            "no answer from PortableRunner at {}, workers in this process (no job server in 1 s)",
        ),
        (
            ("--runner=dask", "--dask_client_address=tcp://{}", "--dask_connection_timeout=1"),
            "tcp://{}: no Dask scheduler listens there (no answer that Dask understands)",
        ),
    ],
)
def test_who_listens_is_another_server(many_tasks, tmp_path, seqmill, flags, says):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        to_other = (flag.format(address) for flag in flags)
        run = seqmill("preprocess", many_tasks, f"--output={tmp_path}", *to_other)
    run.names(says.format(address), "what is done is kept")
    assert run.code == 1


@pytest.mark.slow
def test_prism_is_killed(many_tasks, tmp_path):
    flags = ("--runner=prism", f"--prism_location={built_engine('prism')}")
    run = Run(many_tasks, output=tmp_path / "out", flags=flags)
    wait_for(run, lambda: list(run.output.glob("store/train/sequences-*")))
    prism = [child for child in run.process.children() if "prism" in child.name()]
    prism[0].kill()
    assert "Prism was killed by signal 9" in ends_with_a_line(run, within=20)


@pytest.mark.long
def test_a_job_server_that_the_command_started_is_killed(many_tasks, tmp_path):
    with clusters.flink(tmp_path) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        wait_for(run, lambda: list(run.output.glob("store/train/sequences-*")))
        (server,) = [
            child for child in run.process.children() if "local_job_service_main" in child.cmdline()[2]
        ]
        server.kill()
        assert "the job server of FlinkRunner was killed by signal 9" in ends_with_a_line(run, within=20)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["job_service", "dask"])
def test_workers_lack_seqmill(many_tasks, tmp_path, engine):
    with getattr(clusters, engine)(tmp_path, python_without("seqmill", tmp_path)) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        assert "No module named 'seqmill' (workers need seqmill" in ends_with_a_line(run)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["job_service", "dask"])
def test_a_job_fails(many_tasks, tmp_path, engine):
    with getattr(clusters, engine)(tmp_path, python_without("orjson", tmp_path)) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        last = ends_with_a_line(run)
    assert "ingest train: ModuleNotFoundError: No module named 'orjson'; what is done is kept" in last
    assert "Traceback" in Path(last.rpartition(" ")[2]).read_text()


@pytest.mark.long
def test_no_dask_worker_comes(many_tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_WORKER_SECONDS", "5")
    with clusters.dask(tmp_path, {}, num_workers=0) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        assert "no worker has come to the Dask scheduler at tcp://127.0.0.1:" in ends_with_a_line(run)


@pytest.mark.long
def test_workers_are_killed_as_they_start(many_tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQMILL_WORKER_SECONDS", "5")
    with clusters.job_service(tmp_path, {}, num_pools=1) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        wait_for(run, cluster.at_work)[0].kill()
        assert "no worker has begun in 5 s on PortableRunner" in ends_with_a_line(run)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["prism", "job_service", "dask"])
def test_the_server_is_killed(many_tasks, tmp_path, engine):
    with getattr(clusters, engine)(tmp_path) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        wait_for(run, lambda: list(run.output.glob("store/train/sequences-*")))
        cluster.head.kill()
        assert "does not answer any more" in ends_with_a_line(run)


@pytest.mark.long
@pytest.mark.parametrize("engine", ["prism", "flink", "job_service", "dask"])
def test_ctrl_c_cancels_the_job_and_names_it(many_tasks, tmp_path, engine):
    with getattr(clusters, engine)(tmp_path) as cluster:
        run = Run(many_tasks, output=tmp_path / "out", flags=cluster.flags)
        wait_for(run, lambda: list(run.output.glob("store/train/sequences-*")))
        begun = time.monotonic()
        run.process.send_signal(2)
        said = run.ends()
        print(f"{engine}: {time.monotonic() - begun:.1f} s")
    assert run.process.returncode == 130, said
    *_, job, last = said.splitlines()
    assert job.endswith("was cancelled"), said
    assert last.startswith("seqmill: interrupted; what is done is kept")


def ends_with_a_line(run, within=60):
    """The last line of a run that fails; its only one with our name, and without a trace."""
    begun = time.monotonic()
    said = run.ends(within=within)
    print(f"{time.monotonic() - begun:.1f} s until: {said.splitlines()[-1]}")
    assert run.process.returncode == 1, said
    assert said.count("seqmill: ") == 1 and "Traceback" not in said, said
    last = said.splitlines()[-1]
    assert last.startswith("seqmill: ") and "what is done is kept" in last, said
    return last
