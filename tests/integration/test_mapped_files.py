"""However many files a store has, a process maps a limited number of them at once."""

import sys
from pathlib import Path

import numpy as np
import pytest
from seqmill_runs import write_config, write_jsonl

from seqmill.transforms.store.sequence_store import Store

NUM_FILES, ROWS, MOST = 20, 5, 3


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is mapped")
def test_a_store_keeps_few_files_mapped(tmp_path, seqmill):
    for number in range(NUM_FILES):
        write_jsonl(tmp_path / f"{number:02d}.jsonl", [{"data": [number, row]} for row in range(ROWS)])
    corpora = {"train": {"format": "jsonl", "files": ["*.jsonl"]}}
    seqmill.succeeds("ingest", write_config(tmp_path, {"data": {"type": "ints"}}, corpora))
    store = Store(str(tmp_path / "out/store/train"))
    store.most_mapped = MOST

    for row in np.random.default_rng(1).permutation(NUM_FILES * ROWS).tolist():
        assert store.sequence("data", row).tolist() == [row // ROWS, row % ROWS]
        maps = Path("/proc/self/maps").read_text()
        assert sum(str(tmp_path) in line and "sequences-" in line for line in maps.splitlines()) <= MOST
