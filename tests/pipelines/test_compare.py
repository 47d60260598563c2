"""`seqmill plan --compare`: lists of values, what combinations come to, the table."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqmill_runs import write_config, write_jsonl

from seqmill.pipelines.pareto import front
from seqmill.pipelines.value_lists import split_values

DATA = {"x": {"type": "ints"}, "y": {"type": "floats"}}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    write_jsonl(
        folder / "a.jsonl",
        [{"x": [1] * (7 * i % 40 + 1), "y": [[0.5, 1.0]] * (i % 9 + 1)} for i in range(200)],
    )
    corpora = {
        "train": {"format": "jsonl", "files": ["a.jsonl"], "max_seqs": 50},
        "dev": {"format": "jsonl", "files": ["a.jsonl"], "max_seq_length": 30},
    }
    return write_config(folder, DATA, corpora, partition_epoch=2, num_epochs=2)


def test_figures_are_those_of_the_plan(config, seqmill):
    flags = ["--batch_size=100,300", "--seq_ordering=random,laplace:.40,sorted", '--chunking={x = "9:5"},0']
    flags.append("--length_buckets=0,{x = 3}")
    rows = json.loads(seqmill.succeeds("plan", config, "--compare", "--json", *flags).out)
    assert len(rows) == 24 and not (config.parent / "out/epochs").exists()
    for row in rows[::7]:
        own = [f"--{name}={value}" for name, value in row["options"].items()]
        train = json.loads(seqmill.succeeds("plan", config, "--json", *own).out)[0]
        figures, epochs = row["figures"], train["epochs"]
        assert figures["num_batches"] == sum(epoch["num_batches"] for epoch in epochs)
        assert figures["steps_per_epoch"] == figures["num_batches"] / 2
        assert figures["bytes"] == sum(epoch["bytes"] for epoch in epochs) // 2
        assert figures["kept"] == train["kept"]
        for key in DATA:
            true, padded = (sum(e[what][key] for e in epochs) for what in ("num_frames", "padded_frames"))
            assert figures["padding"][key] == pytest.approx(1 - true / padded)
        assert max(e["num_shapes"] for e in epochs) <= figures["num_shapes"]
    assert {row["options"]["seq_ordering"] for row in rows if row["is_best"]} == {
        "random",
        "laplace:.40",
        "sorted",
    }
    mixed = {row["options"]["seq_ordering"]: row["figures"]["randomness"] for row in rows}
    assert mixed["random"] > 0.8 > mixed["laplace:.40"] > mixed["sorted"]


def test_the_table_fits_80_columns_and_says_what_is_best(config, seqmill):
    out = seqmill.succeeds(
        "plan", config, "--compare", "--batch_size=100,300", "--seq_ordering=random,sorted"
    ).out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:6]] == ["*", "*", "+", "+"]
    assert "(2 of which are a pass over the corpus)" in " ".join(out.split())
    wide = seqmill.succeeds(
        "plan",
        config,
        "--compare",
        "--batch_size={x = 100000000, y = 100000000},{x = 100}",
        "--partition_epoch=1,2",
    ).out
    assert max(map(len, wide.splitlines())) <= 80 and wide.count("partition_") == 2
    dev = seqmill.succeeds("plan", config, "--compare", "--corpus.dev.max_seqs=5,9").out
    assert dev.splitlines()[2].split()[:2] == ["*", "5"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size=100"], "--compare: nothing to compare; expected several values"),
        (["--batch_size=100,,3"], "--batch_size=100,,3: a value between commas is empty"),
        (["--batch_size=100,100"], "--batch_size=100,100: 100 is there twice"),
        (["--chunking=100,75"], "--chunking=100,75: one chunking or two? Expected 100:75"),
        (["--seq_ordering=random,foo"], "--seq_ordering: found 'foo'; 'foo' is no ordering"),
        (["--max_seqs=5,9"], "--max_seqs: its values change nothing of corpus.train"),
        (
            ["--corpus.train.max_seqs=5,9", "--corpus.dev.max_seqs=5,9"],
            "options of dev, train; expected those of one",
        ),
        (["--min_seq_length=5,99"], "corpus train: no sequence is left of 200 (min_seq_length:x: 200)"),
        (["--partition_epoch=1,201"], "partition_epoch = 201, but only 200 sequences"),
        (
            [f"--batch_size={','.join(map(str, range(1, 1002)))}"],
            "1,001 combinations; expected at most 1,000",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(config, seqmill, flags, message):
    seqmill("plan", config, "--compare", *flags).names(message)
    seqmill("preprocess", config, "--compare").names("--compare: an option of plan, not of preprocess")


@given(st.lists(st.sampled_from(["5", "{a = 1, b = [2, 3]}", '"100,75"', "'a,]'", "laplace:.3"]), min_size=1))
def test_values_are_split_at_commas_outside_of_brackets_and_quotes(values):
    assert split_values(", ".join(values)) == values
    assert split_values(",".join(values)) == values


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_the_front_is_what_nothing_beats(choices):
    best = front(choices)
    for number, (cost, worth) in enumerate(choices):
        beaten = [o for o in choices if (o[0] < cost and o[1] >= worth) or (o[0] <= cost and o[1] > worth)]
        assert (number in best) == (not beaten)
