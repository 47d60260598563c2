"""However many files a store has, a process maps a limited number of them at once."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import seqmill
from seqmill.pipelines.main import main

CONFIG = """
output = "out"
max_seqs = 9
[data.data]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["*.jsonl"]
"""
NUM_FILES, ROWS, MOST = 20, 5, 3


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is mapped")
def test_a_store_keeps_few_files_mapped(tmp_path):
    for number in range(NUM_FILES):
        lines = [json.dumps({"data": [number, row]}) for row in range(ROWS)]
        (tmp_path / f"{number:02d}.jsonl").write_text("\n".join(lines) + "\n")
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    main(["ingest", str(config)])
    store = seqmill.Store(str(tmp_path / "out/store/train"))
    store.most_mapped = MOST

    for row in np.random.default_rng(1).permutation(NUM_FILES * ROWS).tolist():
        assert store.sequence("data", row).tolist() == [row // ROWS, row % ROWS]
        maps = Path("/proc/self/maps").read_text()
        assert sum(str(tmp_path) in line and "sequences-" in line for line in maps.splitlines()) <= MOST
