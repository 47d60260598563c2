"""Tasks run twice, at once, late, or for a run that is over: the output is what one attempt gives."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from seqmill_runs import mtimes, tree, write_config, write_jsonl

from seqmill.pipelines import beam_runner
from seqmill.transforms.storage.errors import SeqmillError

DATA = {"x": {"type": "ints"}, "y": {"type": "chars"}}


@pytest.fixture
def config(tmp_path):
    write_jsonl(
        tmp_path / "a.jsonl", [{"x": list(range(1 + i % 7)), "y": "abcdefg"[: 1 + i % 5]} for i in range(60)]
    )
    corpora = {"train": {"format": "jsonl", "files": ["a.jsonl"]}}
    return write_config(
        tmp_path, DATA, corpora, batch_size=20, seq_ordering="random", num_epochs=2, num_shards=3
    )


@pytest.fixture
def jobs(monkeypatch):
    """The jobs of all runs, in order; their tasks are run by the tests as they like."""
    caught = []
    run = beam_runner.run

    def catch(job, flags):
        caught.append(job)
        run(job, flags)

    monkeypatch.setattr(beam_runner, "run", catch)
    return caught


def test_every_task_twice_and_at_once_gives_the_same_output(config, jobs, seqmill, tmp_path):
    seqmill.succeeds("preprocess", config)
    out = tmp_path / "out"
    whole = tree(out)
    assert [len(job.transform.tasks) for job in jobs] == [1, 1, 6]
    # Again, as if nothing had been done: every task by four at once, and the last step twice.
    for receipt in [*out.rglob("receipts/*receipt.json"), *out.rglob("receipts/epoch-*.json")]:
        receipt.unlink()
    for job in jobs:
        transform = job.transform
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(transform.work, [task for task in transform.tasks for _ in range(4)]))
        for _ in range(2):
            transform.finish(len(transform.tasks))
    (out / "epochs/train/progress").mkdir(exist_ok=True)
    found = {name: content for name, content in tree(out).items() if "/progress/" not in name}
    assert found == whole
    # Late attempts find all done and touch nothing.
    before = mtimes(out)
    for job in jobs:
        for task in job.transform.tasks:
            job.transform.work(task)
    assert {name: mtimes(out)[name] for name in before} == before


def test_what_is_left_of_an_earlier_run_cannot_overwrite_a_later_one(config, jobs, seqmill, tmp_path):
    seqmill.succeeds("preprocess", config)
    old = list(jobs)
    write_jsonl(
        tmp_path / "a.jsonl", [{"x": [i] * (1 + i % 4), "y": "hgfedcba"[: 1 + i % 5]} for i in range(60)]
    )
    seqmill.succeeds("preprocess", config, "--batch_size=30")
    whole = tree(tmp_path / "out")
    for job in old:
        for task in job.transform.tasks:
            with pytest.raises(SeqmillError, match=r"another run|the store changed|plan"):
                job.transform.work(task)
        with pytest.raises(SeqmillError, match="another run"):
            job.transform.finish(len(job.transform.tasks))
    found = {name: content for name, content in tree(tmp_path / "out").items() if "/progress/" not in name}
    assert found == whole
    seqmill.succeeds("verify", tmp_path / "out")


def test_the_moment_of_publishing_counts(config, jobs, seqmill, tmp_path):
    """A task that began while its run was the current one and ends when it is over publishes nothing."""
    seqmill.succeeds("preprocess", config)
    work, task = jobs[-1].transform.work, jobs[-1].transform.tasks[0]
    seqmill.succeeds("preprocess", config, "--batch_size=30")
    whole = tree(tmp_path / "out")
    other = replace(task, fingerprint="0" * 32)  # so that no receipt fits
    with pytest.raises(SeqmillError):
        work(other)
    found = {name: content for name, content in tree(tmp_path / "out").items() if "/progress/" not in name}
    assert found == whole
