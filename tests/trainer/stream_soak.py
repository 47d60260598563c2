"""A producer, ``preprocess --watch`` and ``train --follow``, each killed with SIGKILL again and again.

    python tests/trainer/stream_soak.py [MINUTES] [FOLDER]

prints how many records were trained on never, once or more often, and what memory and disk came to. The model
counts every record that it is trained on in a variable, which its checkpoints hold: what was trained on and
lost by a kill does not count, what a checkpoint has twice does. Kills end after two thirds of the time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil

FEWEST_RECORDS, MOST_RECORDS = 100, 400_000
_SECONDS_TO_DRAIN = 120.0
CONFIG = """
output = "out"
batch_size = 64
seq_ordering = "laplace:.8"
model = "model.py:build"
save_minutes = 0.02
remove_windows = true
cleanup_old_models = {{ keep_last_n = 2, keep_best_n = 0, keep = [] }}
windows = {{ interval = {interval}, settle = 0, taken = "delete" }}
[data.data]
type = "floats"
[data.number]
type = "ints"
[corpus.train]
format = "jsonl"
files = ["in/*.jsonl"]
[corpus.dev]
format = "jsonl"
files = ["dev.jsonl"]
"""
MODEL = f"""
import keras
import tensorflow as tf

class Seen(keras.layers.Layer):
    def build(self, shape):
        self.seen = self.add_weight(
            shape=({MOST_RECORDS},), dtype="int32", initializer="zeros", trainable=False, name="seen"
        )

    def call(self, numbers, training=False):
        if training:
            numbers = tf.cast(tf.reshape(numbers, (-1, 1)), tf.int32)
            ones = tf.ones_like(numbers[:, 0])
            self.seen.assign(tf.tensor_scatter_nd_add(self.seen.value, numbers, ones))
        return tf.zeros((1,))

def build(manifest):
    data, number = keras.Input((None, 2), name="data"), keras.Input((None,), name="number", dtype="int32")
    out = keras.layers.Dense(2)(keras.layers.Dropout(0.1)(data)) + Seen()(number)
    model = keras.Model([data, number], out)
    model.compile("adam", keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    return model

def batch_to_xy(batch):
    mask = tf.cast(batch["data_mask"], tf.float32)
    return (batch["data"], batch["number"]), batch["data"], mask
"""


@dataclass
class Figures:
    """What a soak came to.

    Attributes:
        produced: Records that were given.
        lost: Those that are not in the last checkpoint.
        twice: Those that are in it more than once.
        kills: By role.
        windows: Windows that were trained on.
        samples: Seconds, and what was measured then.
    """

    produced: int = 0
    lost: int = 0
    twice: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    windows: int = 0
    samples: list[dict[str, float]] = field(default_factory=list)


def prepare(folder: Path, interval: float = 0.2) -> Path:
    """Writes a configuration, a model and a dev corpus; the configuration."""
    (folder / "in").mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "dev.jsonl").write_bytes(lines(MOST_RECORDS - 5, 5))
    config = folder / "config.toml"
    config.write_text(CONFIG.format(interval=interval))
    return config


def lines(first: int, number: int) -> bytes:
    """Records, which their numbers decide."""
    records = (
        {"data": [[n % 11, t] for t in range(2 + n % 9)], "number": n} for n in range(first, first + number)
    )
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def produce(folder: str, pause: float) -> None:
    """Gives files for ever, and remembers how far it is only after each: after a kill it gives one again."""
    rng, counter = random.Random(), Path(folder, "produced")
    first = int(counter.read_text()) if counter.exists() else 0
    while True:
        number = 5 + first % 50
        if first + number > MOST_RECORDS - 5:
            time.sleep(1)
            continue
        hidden = Path(folder, f"in/.{first:07d}.jsonl")
        hidden.write_bytes(lines(first, number))
        hidden.rename(Path(folder, f"in/{first:07d}.jsonl"))
        first += number
        partial = Path(folder, ".produced")
        partial.write_text(str(first))
        partial.rename(counter)
        time.sleep(rng.uniform(0, 2 * pause))


class Soak:
    """Keeps the three at work, kills them, and measures.

    Args:
        folder: To work in.
        start_training: function(arguments) → a process (``pid``, ``kill()``, ``is_alive()``) of the command.
        pause: Seconds between two files.
        interval: Seconds between two looks.
    """

    def __init__(
        self,
        folder: Path,
        start_training: Callable[[list[str]], Any],
        pause: float = 0.3,
        interval: float = 0.2,
    ):
        self.folder, self._pause = folder, pause
        self._config = str(prepare(folder, interval))
        self._start_training = start_training
        self._rng = random.Random(7)
        self._processes: dict[str, Any] = {}
        self._begun = time.monotonic()
        self.figures = Figures(kills=dict.fromkeys(("producer", "watch", "training"), 0))

    def run(
        self, seconds: float, every: dict[str, float], quiet_share: float = 1 / 3, sample: float = 10
    ) -> Figures:
        """Works for so many seconds; on a busy machine until there was something to do and each was killed.

        Args:
            seconds: How long, until all that was given is trained on.
            every: By role the mean seconds between kills.
            quiet_share: Share of the time, at its end, in which nothing is killed.
            sample: Seconds between measurements.
        """
        for role in self.figures.kills:
            self._keep(role)
        end = time.monotonic() + seconds
        due = {role: time.monotonic() + self._rng.uniform(0.3, 1.7) * mean for role, mean in every.items()}
        next_sample = time.monotonic()
        try:
            while (now := time.monotonic()) < end or not self._was_at_work():
                for role in self.figures.kills:
                    self._keep(role)
                    is_quiet = self.figures.kills[role] and now >= end - quiet_share * seconds
                    if role in due and now >= due[role] and not is_quiet:
                        self._kill(role)
                        due[role] = now + self._rng.uniform(0.3, 1.7) * every[role]
                if now >= next_sample:
                    next_sample += sample
                    self.figures.samples.append(self._measure())
                time.sleep(0.05)
            self._kill("producer", counts=False)
            self._drain()
        finally:
            for role in [*self._processes]:
                self._kill(role, counts=False)
        self._count()
        return self.figures

    def _was_at_work(self) -> bool:
        produced = self.folder / "produced"
        is_enough = produced.exists() and int(produced.read_text()) > FEWEST_RECORDS
        return is_enough and self._stream.exists() and all(self.figures.kills.values())

    def _keep(self, role: str) -> None:
        process = self._processes.get(role)
        if process is None or not process.is_alive():
            self._processes[role] = self._start(role)

    def _start(self, role: str) -> Any:
        if role == "producer":
            return Started([sys.executable, __file__, "produce", str(self.folder), str(self._pause)])
        if role == "watch":
            command = [sys.executable, "-m", "seqmill.pipelines.main", "preprocess", self._config, "--watch"]
            return Started(command, self.folder / "watch.log")
        return self._start_training(["train", self._config, "--follow"])

    def _kill(self, role: str, counts: bool = True) -> None:
        process = self._processes.pop(role, None)
        if process is not None:
            process.kill()
            process.join()
            self.figures.kills[role] += counts

    def _drain(self) -> None:
        """Until every file is in a window and every window is trained on, at two looks after each other."""
        quiet, end = 0, time.monotonic() + _SECONDS_TO_DRAIN
        while quiet < 2:
            if time.monotonic() > end:
                log = (self.folder / "watch.log").read_text()[-2000:]
                raise RuntimeError(f"windows left after {_SECONDS_TO_DRAIN:.0f} s; the watch said:\n{log}")
            self._keep("watch")
            self._keep("training")
            is_empty = not list(self.folder.glob("in/*.jsonl")) and not list(self._stream.glob("2*Z-?????"))
            quiet = quiet + 1 if is_empty else 0
            time.sleep(0.5)

    @property
    def _stream(self) -> Path:
        return self.folder / "out/epochs/train"

    def _measure(self) -> dict[str, float]:
        found: dict[str, float] = {"seconds": time.monotonic() - self._begun}
        for role in ("watch", "training"):
            with suppress(psutil.Error, AttributeError):
                process = psutil.Process(self._processes[role].pid)
                family = [process, *process.children(recursive=True)]
                found[f"{role} MB"] = sum(one.memory_info().rss for one in family) / 1e6
                found[f"{role} s"] = time.time() - process.create_time()
        found["windows"] = sum(1 for _ in self._stream.glob("2*Z-?????"))
        found["disk MB"] = sum(_sizes(self.folder / "out")) / 1e6
        found["model MB"] = sum(_sizes(self.folder / "out/model")) / 1e6
        found["files"] = sum(1 for _ in _sizes(self.folder / "out"))
        return found

    def _count(self) -> None:
        newest = max((self.folder / "out/model").glob("epoch-????"))
        content = json.loads((newest / "checkpoint.json").read_text())
        self.figures.windows = len(content["history"]["windows"])
        seen = _seen(newest / "model.weights.h5")
        self.figures.produced = produced = int((self.folder / "produced").read_text())
        self.figures.lost = int((seen[:produced] == 0).sum())
        # Beyond what it remembers the producer may have given one file more.
        self.figures.twice = int((seen > 1).sum())


class Started:
    """A process with the methods of ``multiprocessing``'s."""

    def __init__(self, command: list[str], log: Path | None = None):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (log or Path(os.devnull)).open("ab") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def join(self) -> None:
        self._process.wait()


def _sizes(folder: Path) -> Iterator[int]:
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield Path(inside, name).stat().st_size


def _seen(path: Path) -> np.ndarray:
    found: list[np.ndarray] = []

    def look(_: str, item: Any) -> None:
        if getattr(item, "shape", None) == (MOST_RECORDS,) and item.dtype == np.int32:
            found.append(item[()])

    with h5py.File(path) as file:
        file.visititems(look)
    return found[0]


def _print(figures: Figures) -> None:
    for one in figures.samples:
        print("  ".join(f"{name} {value:,.0f}" for name, value in one.items()))
    print(
        f"records {figures.produced:,}: {figures.lost} never, {figures.twice} more than once; "
        f"windows {figures.windows:,}; kills {figures.kills}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["produce"]:
        produce(sys.argv[2], float(sys.argv[3]))
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30
    given = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    made = Path(tempfile.mkdtemp(prefix="soak-")) if given is None else given
    log = made / "training.log"

    def start_training(arguments: list[str]) -> Started:
        return Started([sys.executable, "-m", "seqmill.pipelines.main", *arguments], log)

    soak = Soak(made, start_training)
    _SECONDS_TO_DRAIN = 60 * minutes
    _print(soak.run(60 * minutes, {"producer": 40, "watch": 30, "training": 75}, sample=30))
    if given is None:
        shutil.rmtree(made)
