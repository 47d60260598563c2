"""The small example of a mix in docs/configuration.md against what a plan of it says."""

import json
import re
from collections import Counter
from pathlib import Path

from seqmill_runs import Seqmill, write_jsonl

from seqmill.transforms.planning.mix import mixed

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
CONFIG = """
output = "out"
max_seqs = 4
num_epochs = 4
partition_epoch = 2
[data.x]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["train.jsonl"]
share = 3
[corpus.train.mix.noisy]
format = "jsonl"
files = ["noisy.jsonl"]
share = 2
[corpus.train.mix.names]
format = "jsonl"
files = ["names.jsonl"]
share = 1
"""
SIZES, SHARES = {"train": 9, "noisy": 30, "names": 2}, {"train": 3, "noisy": 2, "names": 1}


def test_the_figures_are_those_of_the_plan_and_hold_for_ten_passes(tmp_path, capsys):
    said = " ".join(PAGE.split("A small example: ")[1].split("- Shares are")[0].split())
    assert said.startswith("9 clean sequences with `share = 3`, 30 noisy ones with `share = 2`, 2 recordings")
    rows = re.findall(r"\| (\d) \| (\d) \| (\d) \| (\d) \|", said.replace("| |", "|\n|"))
    for name, size in SIZES.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [{"x": n} for n in range(size)])
    (tmp_path / "config.toml").write_text(CONFIG)
    (report,) = json.loads(Seqmill(capsys).succeeds("plan", tmp_path / "config.toml", "--json").out)
    assert [[*map(int, row)] for row in rows] == [
        [epoch["epoch"], *epoch["sources"].values()] for epoch in report["epochs"]
    ]
    passes = [
        Counter(row for half in (0, 1) for row in mixed(SIZES, SHARES, 2, 2 * number + half, 1).tolist())
        for number in range(10)
    ]
    assert [{one[39], one[40]} for one in passes] == [{1, 2}] * 10
    assert all(a[39] + b[39] == 3 for a, b in zip(passes[::2], passes[1::2], strict=True))
    times = sum(passes, Counter())
    assert {times[row] for row in range(9, 39)} == {2}
    assert (times[39], times[40]) == (15, 15)
    assert "each noisy sequence was there twice, and each name 15 times" in said
