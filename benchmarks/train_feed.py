"""Feeding a training: stored epochs in NumPy and tf.data, next to peers; and what the loop costs a step.

    python -m benchmarks.train_feed --folder /dev/shm

Every way delivers the same float32 sequences [T, 80] as padded batches of at most 40,000 frames, from the
page cache, in this one process. Every run compares all that it is to: seqmill the hash of every shard,
with ``check=False`` the CRCs of its records. What ``batches`` gives are views of mapped files, which the hash
alone has read, and copies of what is not aligned there. ``from the store`` gathers the batches, whose files
are compared in the first run only. ``file reads`` only reads the shards' bytes with
``open().read()``. Rates count the bytes of the padded arrays; for RETURNN and for tf.data's buckets those of
the true frames, as their padding differs. The loop's cost is the time of ``trainer``'s fit of an epoch,
callbacks included, next to a bare ``model.fit`` of the same dataset, in turn.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from benchmarks import common, peers
from seqmill.trainer import epochs
from seqmill.trainer.callbacks.interrupts import Interrupts
from seqmill.trainer.callbacks.reseed_every_epoch import ReseedEveryEpoch
from seqmill.trainer.callbacks.save_checkpoint import SaveCheckpoint
from seqmill.trainer.callbacks.step_progress import StepProgress
from seqmill.trainer.callbacks.stop_on_nonfinite_train_score import StopOnNonfiniteTrainScore
from seqmill.trainer.callbacks.training_callbacks import TrainingCallbacks
from seqmill.trainer.corpus import Corpus, open_corpus
from seqmill.trainer.numpy_batches import batches
from seqmill.transforms.store.sequence_store import Store

_BATCH_SIZE = 40_000


def main() -> None:
    """Measures both and prints two tables."""
    parser = common.parser(
        __doc__ or "",
        gigabytes=(1.0, "size of the epoch"),
        rounds=(7, "runs of each, two at least; the second and the fastest are shown"),
        steps=(30, "steps of a round of training; 0 leaves training out"),
    )
    args = parser.parse_args()
    with common.scratch(args.folder) as folder:
        store = common.write_store(
            f"{folder}/store", common.FLOATS, common.float_blocks(int(args.gigabytes * 1e9))
        )
        schedule = common.one_epoch("laplace:.1000", {"data": _BATCH_SIZE})
        common.prebatch(store, schedule, f"{folder}/epochs", os.cpu_count() or 1)
        corpus = open_corpus(f"{folder}/epochs")
        if args.steps:
            common.print_table(
                f"a training step, {os.cpu_count()} cores",
                ("model", "bare fit, ms", "trainer, ms", "more", "more CPU (median)"),
                [_steps(corpus, folder, 3 * args.rounds, args.steps, width) for width in (16, 64)],
            )
        # Last, as RETURNN turns eager execution off.
        common.print_table(
            f"reading, {os.cpu_count()} cores, {args.folder}",
            ("way", "MB", "second run, MB/s", "fastest, MB/s", "MB/s and CPU", "load"),
            _reading(store, corpus, folder, args.rounds),
            "load: the system's load average after the runs of that way, this process' own threads included",
        )


def _reading(store: Store, corpus: Corpus, folder: str, rounds: int) -> list[tuple[str, ...]]:
    epoch = corpus.epoch(1)
    padded, true = (frames["data"] * 320 for frames in (epoch.padded_frames, epoch.num_frames))
    shards = [Path(corpus.folder, shard.file) for shard in corpus.shards(1)]
    from_store = open_corpus(corpus.folder, "store", store.folder)
    unbatched = f"{folder}/unbatched.tfrecord"
    _write_unbatched(store, unbatched)
    ways: list[tuple[str, int, Callable[[], Any]]] = [
        ("seqmill batches (NumPy)", padded, lambda: _drain(batches(corpus, 1))),
        ("seqmill batches, check=False", padded, lambda: _drain(batches(corpus, 1, check=False))),
        ("seqmill dataset", padded, lambda: _drain(epochs.dataset(corpus, 1))),
        ("seqmill dataset, check=False", padded, lambda: _drain(epochs.dataset(corpus, 1, check=False))),
        ("seqmill batches, from the store", padded, lambda: _drain(batches(from_store, 1))),
        ("seqmill dataset, from the store", padded, lambda: _drain(epochs.dataset(from_store, 1))),
        ("file reads", padded, lambda: [path.read_bytes() for path in shards]),
        ("TFRecordDataset + parse_example", padded, lambda: _drain(_parsed(shards))),
        (
            "tf.data buckets, unbatched records",
            true,
            lambda: _drain(_buckets(f"{folder}/unbatched.tfrecord")),
        ),
    ]
    rows = [_row(name, num_bytes, [_clocked(run) for _ in range(rounds)]) for name, num_bytes, run in ways]
    num_seqs = store.manifest.counts.kept
    took = peers.returnn_from_hdf(store.folder, num_seqs, _BATCH_SIZE, folder)
    return [*rows, _row("RETURNN, HDF", true, [(took.wall, took.cpu)])]


def _row(name: str, num_bytes: int, times: list[tuple[float, float]]) -> tuple[str, ...]:
    wall, cpu = (min(column) for column in zip(*times, strict=True))
    second = times[min(1, len(times) - 1)][0]
    rates = [f"{num_bytes / 1e6 / seconds:,.0f}" for seconds in (second, wall, cpu)]
    return name, f"{num_bytes / 1e6:,.0f}", *rates, f"{os.getloadavg()[0]:.1f}"


def _clocked(run: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _drain(data: Iterable[Any]) -> None:
    for _ in data:
        pass


def _parsed(paths: list[Path]) -> tf.data.Dataset:
    """What a hand-written reader of the same shards would be."""
    features = {
        "data": tf.io.FixedLenFeature([], tf.string),
        "data/shape": tf.io.FixedLenFeature([3], tf.int64),
        "data/lengths": tf.io.VarLenFeature(tf.int64),
    }

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_single_example(record, features)
        data = tf.reshape(tf.io.decode_raw(found["data"], tf.float32), found["data/shape"])
        return data, found["data/lengths"].values

    return (
        tf.data.TFRecordDataset([str(path) for path in paths])
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def _buckets(path: str) -> tf.data.Dataset:
    """Batches made while training, by length."""
    bounds = [100 * number for number in range(1, 25)]

    def parse(record: tf.Tensor) -> tf.Tensor:
        found = tf.io.parse_single_example(record, {"data": tf.io.FixedLenFeature([], tf.string)})
        return tf.reshape(tf.io.decode_raw(found["data"], tf.float32), [-1, 80])

    return (
        tf.data.TFRecordDataset(path)
        .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
        .bucket_by_sequence_length(
            lambda sequence: tf.shape(sequence)[0],
            bounds,
            [_BATCH_SIZE // bound for bound in [*bounds, 2500]],
        )
        .prefetch(2)
    )


def _write_unbatched(store: Store, path: str) -> None:
    with tf.io.TFRecordWriter(path) as writer:
        for row in range(store.manifest.counts.kept):
            value = tf.train.BytesList(value=[store.sequence("data", row).tobytes()])
            features = tf.train.Features(feature={"data": tf.train.Feature(bytes_list=value)})
            writer.write(tf.train.Example(features=features).SerializeToString())


def _steps(corpus: Corpus, folder: str, rounds: int, steps: int, width: int) -> tuple[str, ...]:
    """Milliseconds a step of a bare ``fit`` and of the trainer's: the fastest, and the median of CPU."""
    model = _frame_model(width)
    few = epochs.dataset(corpus, 1, masks=True, transform=_to_xy).take(steps).cache()
    bare: Callable[[], Any] = lambda: model.fit(few, shuffle=False, verbose=0)  # noqa: E731
    bare()
    callbacks = _callbacks(model, folder, steps)
    ours: Callable[[], Any] = lambda: model.fit(few, shuffle=False, verbose=0, callbacks=callbacks)  # noqa: E731
    bare(), ours()
    times: dict[Any, list[tuple[float, float]]] = {bare: [], ours: []}
    for number in range(rounds):
        for fit in (bare, ours) if number % 2 else (ours, bare):
            times[fit].append(_clocked(fit))
    wall, cpu = ([list(zip(*times[fit], strict=True))[column] for fit in (bare, ours)] for column in (0, 1))
    shown = [f"{min(seconds) / steps * 1e3:.1f}" for seconds in wall]
    more = [min(wall[1]) / min(wall[0]) - 1, statistics.median(cpu[1]) / statistics.median(cpu[0]) - 1]
    return f"{model.count_params():,} weights", *shown, *(f"{share:+.1%}" for share in more)


def _callbacks(model: keras.Model, folder: str, steps: int) -> TrainingCallbacks:
    """Those of the training loop."""
    guard, progress = StopOnNonfiniteTrainScore(), StepProgress(print)
    callbacks = TrainingCallbacks(
        before=[ReseedEveryEpoch(1), guard, progress, Interrupts()],
        users=[],
        after=[SaveCheckpoint(folder)],
        at_once=[guard],
        model=model,
        num_epochs=1,
    )
    progress.begin("benchmark", steps)
    callbacks.expect_steps(steps)
    callbacks.begin_training()
    return callbacks


def _to_xy(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    return batch["data"], batch["data"]


def _frame_model(width: int) -> keras.Model:
    data = keras.Input((None, 80))
    hidden = data
    for _ in range(4):
        hidden = keras.layers.Dense(width, activation="relu")(hidden)
    model = keras.Model(data, keras.layers.Dense(80)(hidden))
    model.compile("adam", "mse", jit_compile=False)
    return model


if __name__ == "__main__":
    main()
