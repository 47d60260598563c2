"""What RETURNN takes of each data set by ``sampling_sizes`` is what the mix has that is imported for it."""

import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from public_corpora import write_hdf
from returnn.datasets.meta import CombinedDataset

from seqmill.pipelines.import_returnn.command import imported
from seqmill.transforms.planning.mix import windows

SIZES = {"a": 12, "b": 5}
COMBINED = {
    "class": "CombinedDataset",
    "datasets": {name: {"class": "HDFDataset", "files": [f"{name}.hdf"]} for name in ("b", "a")},
    "data_map": {("a", "data"): "data", ("b", "data"): "data"},
    "sampling_sizes": {"b": 6, "a": 4},
    "seq_ordering": "random",
}


def test_an_epoch_has_as_many_of_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tree", SimpleNamespace(map_structure=lambda _, options: options))
    for name, size in SIZES.items():
        write_hdf(tmp_path / f"{name}.hdf", [3] * size, tag=name)
    Path("returnn.config").write_text(f"#!rnn.py\ntrain = {COMBINED}\n")
    text = imported("returnn.config")
    assert "partition_epoch = (sequences of a) / 4" in text
    train = tomllib.loads(text)["corpus"]["train"]
    shares = {"a": train["share"], **{name: source["share"] for name, source in train["mix"].items()}}
    options = {name: value for name, value in COMBINED.items() if name != "class"}
    dataset = CombinedDataset(**options)  # init_dataset asks for an epoch of it that has no number, and fails
    for epoch in range(1, 8):
        dataset.init_seq_order(epoch=epoch)
        found = Counter()
        for number in range(dataset.num_seqs):
            dataset.load_seqs(number, number + 1)
            found[dataset.get_tag(number)[0]] += 1
        ours = windows(SIZES, shares, SIZES["a"] // 4, epoch - 1)
        assert found == {name: end - start for name, (start, end) in ours.items()} == {"a": 4, "b": 6}
