import contextlib
import json

import pytest

from seqmill.pipelines.main import main

CONFIG = """
output = "work"
max_seqs = 3
num_epochs = 2
seq_ordering = "random"

[data.data]
field = "word"
type = "chars"
[data.classes]
field = "shouted"
type = "chars"

[corpus.train]
format = "jsonl"
files = ["words.jsonl"]
"""
WORDS = ("a", "be", "sea", "deed", "eagle", "flower", "garnish", "handsome")


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory):
    """A folder with config.toml, words.jsonl and what `seqmill preprocess` makes of them in work/."""
    folder = tmp_path_factory.mktemp("example")
    lines = [json.dumps({"word": word, "shouted": word.upper()}) for word in WORDS]
    (folder / "words.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "config.toml").write_text(CONFIG)
    with contextlib.suppress(SystemExit):
        main(["preprocess", str(folder / "config.toml")])
    return folder
