"""The code of docs/beam.md does what the page says."""

import re
import sys
from pathlib import Path

import apache_beam as beam

import seqmill

PAGE = Path(__file__).parents[2] / "docs" / "beam.md"


def test_its_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv[:1])  # which Beam takes for its own
    pipeline, own_step = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code: dict = {}
    exec(pipeline, code)
    counts = seqmill.read_manifest("work/epochs/train").counts
    assert (counts.kept, counts.dropped) == (2, {"max_seq_length:data": 1})

    exec(own_step, code)
    encode = code["EncodeSequences"](code["keys"], order_by="id")
    (block,) = code["records"] | encode | beam.Map(code["without_short_words"])
    assert (block.num_seqs, block.dropped) == (2, {"short words": 1})
