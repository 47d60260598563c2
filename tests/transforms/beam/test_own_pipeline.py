"""The example of a pipeline that is not ours."""

import runpy
from pathlib import Path

import apache_beam as beam
import numpy as np

import seqmill

EXAMPLE = Path(__file__).parents[3] / "examples/own_pipeline/pipeline.py"
OURS = runpy.run_path(str(EXAMPLE))


class Epochs(beam.PTransform):
    """The example, between source and end."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def expand(self, rows):
        return OURS["epochs_of"](rows, self.folder)


def row(name, *loudness):
    return {"id": name, "features": np.repeat(np.float32(loudness), 8), "text": name.upper()}


def test_rows_become_batches(tmp_path):
    folder = str(tmp_path / "epochs/train")
    rows = [row("b", 0, 1, 3, 0), row("a", 2, 4, 6), row("silent", 0, 0)]
    described = rows | Epochs(folder) | beam.Map(lambda m: (m.counts.kept, len(m.epochs)))
    assert described == [(2, 3)]
    manifest = seqmill.read_manifest(folder)
    (batch,) = seqmill.read_epoch(folder, manifest, manifest.epochs[0])
    frames = [batch.arrays["data"][row, :length, 0] for row, length in enumerate(batch.lengths["data"])]
    assert dict(zip(batch.seq_tags, map(np.ndarray.tolist, frames), strict=True)) == {
        b"a": [-2, 0, 2],
        b"b": [-1, 1],
    }


def test_the_script_makes_epochs_of_a_table(tmp_path, capsys):
    OURS["main"]([str(tmp_path)])
    assert capsys.readouterr().out.startswith("epoch 1: ")
    assert seqmill.open_corpus(str(tmp_path / "epochs/train")).manifest.counts.kept == 1000
