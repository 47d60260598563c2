"""Both ways of bringing sequences to shards write the same bytes."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from opens import counted_opens

from seqmill.pipelines.main import main

CONFIG = """
output = "out"
batch_size = {{ data = 60 }}
seq_ordering = "random"
num_epochs = 2
num_shards = 3
chunking = {chunking}

[data.data]
type = "floats"
[data.classes]
type = "words"

[corpus.train]
format = "jsonl"
files = ["*.jsonl"]
{tag}
"""


NUM_FILES, NUM_EPOCHS, NUM_SHARDS = 8, 2, 3


@pytest.mark.parametrize(
    ("chunking", "tag"),
    [("0", ""), ('{ data = "5:3" }', 'seq_tag = "name"')],
    ids=["whole", "chunked-tagged"],
)
def test_shuffle_writes_what_gather_writes_and_reads_plans_once(tmp_path, chunking, tag):
    rng = np.random.default_rng(1)
    for part in range(NUM_FILES):
        with (tmp_path / f"{part}.jsonl").open("w") as file:
            for i in range(15):
                frames = rng.normal(size=(int(rng.integers(1, 20)), 3)).round(3).tolist()
                words = " ".join(rng.choice(["a", "b", "ç"], size=int(rng.integers(1, 5))))
                record = {"data": frames, "classes": words, "name": f"ü{part}-{i}"}
                file.write(json.dumps(record) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG.format(chunking=chunking, tag=tag))
    config, epochs = str(tmp_path / "config.toml"), tmp_path / "out/epochs"
    main(["preprocess", config])
    gathered = _content(epochs)

    for shard in epochs.rglob("*.tfrecord"):
        shard.unlink()
    with counted_opens(epochs / "train/epoch-0001") as opens, _audited("/epoch-0001.i32") as reads_of_routes:
        main(["preprocess", config, "--exchange=shuffle", "--runner=FnApiRunner"])

    assert _content(epochs) == gathered
    # That of each shard, for the routes once, and twice to know that it is there: not one for each file.
    assert NUM_SHARDS < opens["plan.arrow"] <= NUM_SHARDS + 3
    assert len(reads_of_routes) == NUM_FILES
    main(["verify", str(tmp_path / "out")])


@contextmanager
def _audited(name: str) -> Iterator[list[str]]:
    """Notes the paths that Python opens for reading in the block and that end with ``name``."""
    found: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and is_on and str(arguments[0]).endswith(name):
            found.append(str(arguments[0]))

    is_on = True
    sys.addaudithook(hook)
    try:
        yield found
    finally:
        is_on = False


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
