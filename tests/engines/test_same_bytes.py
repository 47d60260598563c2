"""Every engine writes what one process writes, byte for byte, and says the same of it."""

import json
import re

import corpora
import pytest
from object_store import BUCKET
from seqmill_runs import tree

PROCESSES = {  # of seqmill's own, which have no need of a shuffle
    "1-process": ("--direct_running_mode=multi_processing", "--direct_num_workers=1"),
    "2-processes": ("--direct_num_workers=2",),
    "4-processes": ("--direct_num_workers=4",),
}
LOCAL = {
    **PROCESSES,
    "beam-in-memory": ("--runner=FnApiRunner",),
    "beam-threads": ("--direct_running_mode=multi_threading", "--direct_num_workers=2"),
}
CLUSTERS = ("prism", "prism_server", "job_service", "dask")
CASES = [
    (engine, exchange)
    for engine in (*LOCAL, *CLUSTERS)
    for exchange in ("gather", "shuffle")
    if exchange == "gather" or engine not in PROCESSES
] + [pytest.param("flink", exchange, marks=pytest.mark.long) for exchange in ("gather", "shuffle")]
# Where and how a step runs, and how long; how far it is, where that takes 10 s on a machine that is shared.
STEP = re.compile(r": (\d+ tasks (on|in) \S|done in \d|\d+%, )|shuffle|waiting for workers")
COUNTS = [
    "ingest train: 180 sequences read, 2 rejected",
    "  rejected: 2 data: expected floats, found str",
    "ingest dev: 60 sequences read, 1 rejected",
    "  rejected: 1 data: expected floats, found str",
    "plan train: epochs 1 to 2 of 157 sequences",
    "plan dev: epoch 1 of 52 sequences",
    "preprocess train: 2 epochs, 70,958 bytes in …; 180 read = 157 kept + 21 dropped + 2 rejected",
    "preprocess dev: 1 epoch, 9,376 bytes in …; 60 read = 52 kept + 7 dropped + 1 rejected",
]


OF_OBJECT_STORES = [("dask", "gather"), ("job_service", "shuffle")]


@pytest.fixture(scope="module")
def in_memory(two_corpora, silent_seqmill):
    """What one process writes."""
    output = two_corpora.parent / "in-memory"
    silent_seqmill.succeeds("preprocess", two_corpora, f"--output={output}", "--direct_num_workers=1")
    silent_seqmill.succeeds("verify", output)
    return tree(output)


@pytest.mark.parametrize(("engine", "exchange"), CASES)
def test_bytes_and_counts_are_those_of_one_process(
    request, tmp_path, two_corpora, in_memory, seqmill, engine, exchange
):
    flags = LOCAL.get(engine) or request.getfixturevalue(engine).flags
    run = seqmill.succeeds(
        "preprocess", two_corpora, f"--output={tmp_path}", *flags, f"--exchange={exchange}"
    )
    assert tree(tmp_path) == in_memory
    lines = [line for line in run.err.splitlines() if not STEP.search(line)]
    assert [re.sub(r" /\S*;", " …;", line) for line in lines] == COUNTS


@pytest.mark.parametrize(("engine", "exchange"), OF_OBJECT_STORES)
def test_bytes_in_an_object_store_are_those_of_a_local_disk(
    request, tmp_path, two_corpora, in_memory, store, seqmill, engine, exchange
):
    """Input, store, epochs and manifests, read and written by the workers themselves."""
    store.url = f"s3://{BUCKET}/{engine}-{exchange}"
    for path in two_corpora.parent.glob("*.jsonl"):
        store.fs.pipe_file(f"{store.url}/in/{path.name}", path.read_bytes())
    config = corpora.configure_two_corpora(tmp_path, f"{store.url}/in")
    flags = request.getfixturevalue(engine).flags
    seqmill.succeeds("preprocess", config, f"--output={store.url}/out", *flags, f"--exchange={exchange}")
    assert store.tree(f"{store.url}/out") == in_memory


def test_dask_scheduler_is_found_by_its_file(two_corpora, in_memory, dask, seqmill, tmp_path):
    path = tmp_path / "scheduler.json"
    command = ("preprocess", two_corpora, f"--output={tmp_path / 'out'}", "--runner=dask")
    missing = seqmill(*command, f"--dask_scheduler_file={path}")
    assert missing.code == 1 and f"--dask_scheduler_file={path}: no such file" in missing.err
    path.write_text(json.dumps({"address": dask.flags[1].partition("=")[2]}))
    seqmill.succeeds(*command, f"--dask_scheduler_file={path}")
    assert tree(tmp_path / "out") == in_memory
