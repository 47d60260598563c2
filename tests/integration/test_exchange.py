"""Both ways of bringing sequences to shards write the same bytes."""

import json
from pathlib import Path

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("chunking", "tag"),
    [("0", ""), ('{ data = "5:3" }', 'seq_tag = "name"')],
    ids=["whole", "chunked-tagged"],
)
def test_shuffle_writes_what_gather_writes(tmp_path, chunking, tag):
    rng = np.random.default_rng(1)
    for part in range(3):
        with (tmp_path / f"{part}.jsonl").open("w") as file:
            for i in range(40):
                frames = rng.normal(size=(int(rng.integers(1, 20)), 3)).round(3).tolist()
                words = " ".join(rng.choice(["a", "b", "ç"], size=int(rng.integers(1, 5))))
                record = {"data": frames, "classes": words, "name": f"ü{part}-{i}"}
                file.write(json.dumps(record) + "\n")
    (tmp_path / "config.toml").write_text(CONFIG.format(chunking=chunking, tag=tag))
    config = str(tmp_path / "config.toml")

    main(["preprocess", config])
    main(["preprocess", config, "--exchange=shuffle", f"--output={tmp_path / 'shuffled'}"])

    assert _content(tmp_path / "shuffled/epochs") == _content(tmp_path / "out/epochs")
    main(["verify", str(tmp_path / "shuffled")])


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
