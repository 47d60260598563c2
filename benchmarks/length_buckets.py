"""``length_buckets``: padding against other ways to choose lengths, and what XLA compiles, on this machine.

    python -m benchmarks.length_buckets --folder /dev/shm

The first table pads batches of three distributions of lengths to K lengths: those that seqmill chooses,
percentiles of all lengths, and the next power of two (as many as it takes). The second trains a small model
on a CPU with ``jit_compile=True``; what was compiled is counted in XLA's own dump.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import common
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.entries import Entries
from seqmill.transforms.planning.length_buckets import first_pass, time_axes
from seqmill.transforms.planning.plan import EpochPlan, cut_entries, select

_NUMBERS = (4, 8, 16)
_BATCHES_OF = 40  # sequences of mean length


def main() -> None:
    """Measures both and prints two tables."""
    parser = common.parser(
        __doc__ or "", sequences=(1_000_000, "of each distribution"), trained=(1500, "sequences to train on")
    )
    args = parser.parse_args()
    rows = [
        row
        for name, lengths in distributions(args.sequences).items()
        for ordering in ("random", "laplace:.1000")
        for row in _padding_rows(name, ordering, lengths)
    ]
    common.print_table(
        f"padding of {args.sequences:,} sequences, batches of {_BATCHES_OF} times the mean length",
        (
            "lengths, ordering",
            "K",
            "no buckets",
            "seqmill",
            "percentiles",
            "powers of two",
            "shapes: none",
            "K",
            "filled",
        ),
        rows,
        "powers of two: with as many lengths as it takes; filled: with pad_batch",
    )
    with common.scratch(args.folder) as folder:
        common.print_table(
            f"training on {args.trained:,} sequences on a CPU, two epochs",
            ("", "padding", "shapes", "compiled", "first epoch, s", "second epoch, s"),
            _trainings(Path(folder), args.trained),
        )


def distributions(num: int) -> dict[str, np.ndarray]:
    """Lengths like words of a language, like utterances, and of two kinds, int32 [num] each."""
    rng = np.random.default_rng(1)
    two = np.where(rng.random(num) < 0.7, rng.normal(120, 30, num), rng.normal(900, 200, num))
    found = {
        "gamma": np.clip(rng.gamma(4, 150, num), 20, 2400),
        "log-normal": np.clip(rng.lognormal(3, 0.7, num), 1, 400),
        "bimodal": np.clip(two, 10, 1600),
    }
    return {name: lengths.astype(np.int32) for name, lengths in found.items()}


def _padding_rows(name: str, ordering: str, lengths: np.ndarray) -> Iterator[Sequence[object]]:
    size = int(_BATCHES_OF * lengths.mean())
    options = common.one_epoch(ordering, {"data": size}).options
    whole = first_pass(select({"data": lengths}, options), options)
    limits = BatchLimits({"data": size})
    plain = cut_entries(whole, limits, 1)
    powers = tuple(1 << bits for bits in range(int(lengths.max() - 1).bit_length() + 1))
    for most in _NUMBERS:
        asked = replace(limits, length_buckets={"data": most})
        chosen = replace(asked, padded_lengths=time_axes(whole, asked))
        shares = np.arange(1, most + 1) / most
        percentiles = np.unique(np.quantile(lengths, shares, method="higher")).tolist()
        plans = [plain, cut_entries(whole, chosen, 1)]
        plans += [_padded_to(whole, asked, axes) for axes in (percentiles, powers)]
        filled = cut_entries(whole, replace(chosen, pad_batch=True), 1)
        shapes = [plan.num_shapes for plan in (*plans[:2], filled)]
        yield (f"{name}, {ordering}", most, *(f"{_padding(plan):.1%}" for plan in plans), *shapes)


def _padded_to(whole: Entries, limits: BatchLimits, axes: Sequence[int]) -> EpochPlan:
    return cut_entries(whole, replace(limits, padded_lengths={"data": tuple(axes)}), 1)


def _padding(plan: EpochPlan) -> float:
    return 1 - plan.num_frames["data"] / int(plan.step_frames["data"].sum())


_WAYS: Mapping[str, Sequence[str]] = {
    "no buckets, not compiled": [],
    "no buckets": [],
    "length_buckets = 8": ["--length_buckets=8"],
    "length_buckets = 8, pad_batch": ["--length_buckets=8", "--pad_batch=true"],
    "length_buckets = 8, pad_batch, not compiled": ["--length_buckets=8", "--pad_batch=true"],
}

_CONFIG = """
output = "{output}"
batch_size = 4000
seq_ordering = "laplace:.200"
num_epochs = 2
model = "model.py:build"
[data.data]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["train.jsonl"]
"""

_MODEL = """
import keras
from keras import layers

def build(manifest):
    labels = keras.Input((None,), dtype="int32", name="data")
    x = layers.Embedding(32, 64)(labels)
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = layers.add([x, layers.Conv1D(64, 5, padding="same", activation="relu")(y)])
    model = keras.Model(labels, layers.Dense(32)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(), loss, jit_compile={compiled})
    return model

def batch_to_xy(batch):
    return batch["data"], batch["data"], batch["data_mask"]
"""


def _trainings(folder: Path, num: int) -> Iterator[Sequence[object]]:
    lengths = np.clip(np.random.default_rng(1).gamma(4, 15, num), 2, 240).astype(int)
    with (folder / "train.jsonl").open("w") as file:
        for length in lengths:
            file.write(json.dumps({"data": (np.arange(length) % 32).tolist()}) + "\n")
    for number, (name, flags) in enumerate(_WAYS.items()):
        (folder / "model.py").write_text(_MODEL.replace("{compiled}", str("not compiled" not in name)))
        (folder / "config.toml").write_text(_CONFIG.replace("{output}", f"way-{number}"))
        yield (name, *_train(folder, folder / f"dump-{number}", flags))


def _train(folder: Path, dump: Path, flags: Sequence[str]) -> Sequence[object]:
    """Padding and shapes of the first epoch, XLA's modules of training steps, seconds of both epochs."""
    command = [sys.executable, "-m", "seqmill.pipelines.main"]
    config = str(folder / "config.toml")
    planned = subprocess.run(
        [*command, "plan", config, "--json", *flags], check=True, capture_output=True, text=True
    )
    epoch = json.loads(planned.stdout)[0]["epochs"][0]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_FLAGS": f"--xla_dump_to={dump}"}
    ran = subprocess.run(
        [*command, "run", config, *flags],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    rates = re.findall(r"([\d,]+) seqs/s", ran.stdout + ran.stderr)
    seconds = [f"{epoch['num_seqs'] / int(rate.replace(',', '')):.1f}" for rate in rates]
    compiled = len({path.name.split(".")[0] for path in dump.glob("*one_step_on_data*before_opt*")})
    return (f"{epoch['padding']['data']:.1%}", epoch["num_shapes"], compiled, *seconds)


if __name__ == "__main__":
    main()
