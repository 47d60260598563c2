"""Tasks run twice, at once, late, or for a run that is over: the output is what one attempt gives."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from seqmill_runs import mtimes, tree, write_config, write_jsonl

from seqmill.pipelines.engine import Engine
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
def parts(monkeypatch):
    """The parts of all steps, in order; their tasks are run by the tests as they like."""
    caught = []
    run = Engine.run

    def catch(engine, step, transform=None):
        caught.extend(step.parts)
        run(engine, step, transform)

    monkeypatch.setattr(Engine, "run", catch)
    return caught


def test_every_task_twice_and_at_once_gives_the_same_output(config, parts, seqmill, tmp_path):
    seqmill.succeeds("preprocess", config)
    out = tmp_path / "out"
    whole = tree(out)
    assert [len(part.tasks) for part in parts] == [1, 1, 6]
    # Again, as if nothing had been done: every task by four at once, and the last step twice.
    for left in [*out.rglob("receipts/*receipt.json"), *out.rglob("epoch-*/**/*.json")]:
        left.unlink()
    for part in parts:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(part.work, [task for task in part.tasks for _ in range(4)]))
        for _ in range(2):
            part.finish(len(part.tasks))
    (out / "epochs/train/progress").mkdir(exist_ok=True)
    found = {name: content for name, content in tree(out).items() if "/progress/" not in name}
    assert found == whole
    # Late attempts find all done and touch nothing.
    before = mtimes(out)
    for part in parts:
        for task in part.tasks:
            part.work(task)
    assert {name: mtimes(out)[name] for name in before} == before


def test_what_is_left_of_an_earlier_run_cannot_overwrite_a_later_one(config, parts, seqmill, tmp_path):
    seqmill.succeeds("preprocess", config)
    old = list(parts)
    write_jsonl(
        tmp_path / "a.jsonl", [{"x": [i] * (1 + i % 4), "y": "hgfedcba"[: 1 + i % 5]} for i in range(60)]
    )
    seqmill.succeeds("preprocess", config, "--batch_size=30")
    whole = tree(tmp_path / "out")
    for part in old:
        for task in part.tasks:
            with pytest.raises(SeqmillError, match=r"another run|the store changed|plan"):
                part.work(task)
        with pytest.raises(SeqmillError, match="another run"):
            part.finish(len(part.tasks))
    found = {name: content for name, content in tree(tmp_path / "out").items() if "/progress/" not in name}
    assert found == whole
    seqmill.succeeds("verify", tmp_path / "out")


def test_the_moment_of_publishing_counts(config, parts, seqmill, tmp_path):
    """A task that began while its run was the current one and ends when it is over publishes nothing."""
    seqmill.succeeds("preprocess", config)
    work, task = parts[-1].work, parts[-1].tasks[0]
    seqmill.succeeds("preprocess", config, "--batch_size=30")
    whole = tree(tmp_path / "out")
    other = replace(task, fingerprint="0" * 32)  # so that no receipt fits
    with pytest.raises(SeqmillError):
        work(other)
    found = {name: content for name, content in tree(tmp_path / "out").items() if "/progress/" not in name}
    assert found == whole
