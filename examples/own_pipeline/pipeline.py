"""A pipeline of one's own: Parquet files of a speech team, cleaned by a DoFn of theirs, to epochs.

    python examples/own_pipeline/pipeline.py [FOLDER] [Beam's flags]

Makes a small table first where FOLDER (by default ``work`` beside this file) has none.
"""

import sys
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

from seqmill.transforms.beam import DropByLength, EncodeSequences, PreBatch

KEYS = {"data": {"type": "floats"}, "classes": {"type": "bytes", "field": "text"}}
OPTIONS = {"batch_size": {"data": 2000}, "seq_ordering": "laplace:.100", "num_epochs": 3, "seed": 1}
NUM_BINS = 8


class Normalise(beam.DoFn):
    """What this team does to a recording: no silence at its ends, zero mean, lower case."""

    def process(self, row):
        """Yields the recording, unless it is silent."""
        frames = np.asarray(row["features"], np.float32).reshape(-1, NUM_BINS)
        loud = np.flatnonzero(np.abs(frames).max(axis=1) > 0.01)
        if len(loud):
            frames = frames[loud[0] : loud[-1] + 1]
            yield {"id": row["id"], "data": frames - frames.mean(axis=0), "text": row["text"].lower()}


def epochs_of(rows, folder):
    """The epochs of a collection of rows: one element, their manifest."""
    return (
        rows
        | "Normalise" >> beam.ParDo(Normalise())
        | EncodeSequences(KEYS, order_by="id", feature_shapes={"data": (NUM_BINS,)})
        | DropByLength(max_seq_length={"data": 500})
        | PreBatch(folder, OPTIONS)
    )


def make_table(path):
    """A table such as the team has: features flat, some recordings silent."""
    rng = np.random.default_rng(1)
    words = ["Yes", "No", "Left", "Right"]
    rows = []
    for number in range(1000):
        frames = rng.normal(size=(rng.integers(5, 300), NUM_BINS)).astype(np.float32)
        frames[:3] = 0
        rows.append({"id": f"rec-{number:05}", "features": frames.ravel(), "text": words[number % 4]})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def main(arguments):
    """Runs the pipeline."""
    given, *flags = arguments if arguments and not arguments[0].startswith("--") else ["", *arguments]
    folder = Path(given or Path(__file__).parent / "work").absolute()
    if not (table := folder / "recordings.parquet").exists():
        make_table(table)
    with beam.Pipeline(options=PipelineOptions(flags or ["--runner=FnApiRunner"])) as pipeline:
        rows = pipeline | beam.io.ReadFromParquet(str(table))
        epochs_of(rows, str(folder / "epochs/train")) | beam.Map(show)


def show(manifest):
    """Prints what was written."""
    for epoch in manifest.epochs:
        frames, padded = epoch.num_frames["data"], epoch.padded_frames["data"]
        print(f"epoch {epoch.epoch}: {epoch.num_batches} batches, {1 - frames / padded:.1%} padding")


if __name__ == "__main__":
    main(sys.argv[1:])
