"""Packed against padded batches: frames a second of training steps, and the loss of the same sequences.

    python -m benchmarks.packed

The model is the transformer of ``examples/packed``. Lengths are like those of sentences: log-normal, of
about 30 words, at most 200. Each way of batching has the same limit of frames.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import seqmill
from benchmarks import common
from seqmill.trainer.corpus import Corpus

_LABELS = 2000
_WAYS = {
    "padded, random": {"seq_ordering": "random", "packed": "false"},
    "padded, laplace:.200": {"seq_ordering": "laplace:.200", "packed": "false"},
    "packed, random": {"seq_ordering": "random", "packed": "true"},
    "packed, laplace:.200": {"seq_ordering": "laplace:.200", "packed": "true"},
}
_CONFIG = """
output = "{output}"
batch_size = {batch_size}
[data.data]
type = "words"
[corpus.train]
format = "jsonl"
files = ["sentences.jsonl"]
"""


def main() -> None:
    """Prints the table."""
    arguments = common.parser(
        __doc__ or "",
        sequences=(3000, "sequences"),
        batch_size=(4000, "frames of a batch"),
        rounds=(3, "rounds of timed epochs, the ways alternating"),
    ).parse_args()
    model_file = _example()
    with common.scratch(arguments.folder) as folder:
        _write_sentences(Path(folder) / "sentences.jsonl", arguments.sequences)
        corpora = {name: _corpus(folder, name, arguments.batch_size) for name in _WAYS}
        keras.utils.set_random_seed(1)
        manifest = SimpleNamespace(
            data_keys={"data": SimpleNamespace(num_labels=_LABELS + 2)}, num_steps=10_000
        )
        model = model_file.build(manifest, dropout=0.0)
        losses = {name: _loss(model, model_file, corpus) for name, corpus in corpora.items()}
        seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
        for number in range(1 + arguments.rounds):
            for name, corpus in corpora.items():
                taken = _train(model, model_file, corpus)
                if number:  # the first compiles and warms up
                    seconds[name].append(taken)
        rows = [_row(name, corpora[name], min(seconds[name]), losses[name]) for name in _WAYS]
    columns = ["batches of", "padding", "batches", "true frames a second", "loss before training"]
    common.print_table(f"{arguments.sequences:,} sentences", columns, rows, "best of the rounds")


def _example() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "packed" / "model.py"
    spec = importlib.util.spec_from_file_location("packed_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _write_sentences(path: Path, number: int) -> None:
    random = np.random.default_rng(1)
    lengths = np.clip(random.lognormal(3.2, 0.6, number), 3, 200).astype(int)
    with path.open("w") as file:
        for length in lengths.tolist():
            words = np.minimum(random.zipf(1.3, length), _LABELS) - 1
            file.write(json.dumps({"data": " ".join(f"w{word}" for word in words)}) + "\n")


def _corpus(folder: str, name: str, batch_size: int) -> Corpus:
    path = Path(folder) / "config.toml"
    output = name.replace(" ", "").replace(",", "-").replace(":", "")
    path.write_text(_CONFIG.format(output=output, batch_size=batch_size))
    seqmill.preprocess(seqmill.load_config(str(path), _WAYS[name]), ["--direct_running_mode=in_memory"])
    return seqmill.open_corpus(Path(folder) / output / "epochs" / "train")


def _batches(model_file: ModuleType, corpus: Corpus) -> tf.data.Dataset:
    return seqmill.dataset(corpus, 1, masks=True, transform=model_file.batch_to_xy)


def _loss(model: keras.Model, model_file: ModuleType, corpus: Corpus) -> float:
    """The mean loss of all labels of an epoch."""

    def sums() -> Iterator[tuple[Any, Any]]:
        for x, y, weights in _batches(model_file, corpus):
            number = keras.ops.sum(weights)
            yield model.compute_loss(x, y, model(x), weights) * number, number

    total, number = (float(sum(column)) for column in zip(*sums(), strict=True))
    return total / number


def _train(model: keras.Model, model_file: ModuleType, corpus: Corpus) -> float:
    """Seconds of an epoch of training."""
    start = time.perf_counter()
    model.fit(_batches(model_file, corpus), verbose=0, shuffle=False)
    return time.perf_counter() - start


def _row(name: str, corpus: Corpus, seconds: float, loss: float) -> list[str]:
    epoch = corpus.epoch(1)
    frames, padded = epoch.num_frames["data"], epoch.padded_frames["data"]
    return [
        name,
        f"{1 - frames / padded:.1%}",
        f"{epoch.num_batches:,}",
        f"{frames / seconds:,.0f}",
        f"{loss:.6f}",
    ]


if __name__ == "__main__":
    main()
