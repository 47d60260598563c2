"""What a user would do today: RETURNN's batching from HDF, and tf.data's buckets into padded TFRecords."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Took
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.store.sequence_store import Store

_ORDERING = "laplace:.1000"


def returnn_from_hdf(store_folder: str, num_seqs: int, batch_size: int, folder: str) -> Took:
    """RETURNN orders, batches and pads the first sequences of a store from HDF; nothing is written."""
    from returnn.datasets.hdf import HDFDataset
    from returnn.engine.batch import batch_to_raw_dict
    from returnn.log import log
    from returnn.tensor import TensorDict

    log.initialize(verbosity=[0])
    store = Store(store_folder)
    keys = store.manifest.data_keys
    path = f"{folder}/corpus.hdf"
    _write_hdf(store, num_seqs, path)
    templates = TensorDict()
    templates.update({key: _returnn_template(spec) for key, spec in keys.items()}, auto_convert=True)

    def run() -> None:
        dataset = HDFDataset(files=[path], seq_ordering=_ORDERING)
        dataset.initialize()
        dataset.init_seq_order(epoch=1)
        batches = dataset.generate_batches(recurrent_net=True, batch_size=batch_size)
        seqs = 0
        while batches.has_more():
            (batch,) = batches.peek_next_n(1)
            padded = batch_to_raw_dict(batch, dataset=dataset, extern_data=templates, data_keys=list(keys))
            seqs += len(padded["seq_tag"])
            batches.advance(1)
        assert seqs == num_seqs

    return _clocked(run)


def tf_data_buckets(store_folder: str, num_seqs: int, batch_size: int, folder: str) -> Took:
    """tf.data pads the first sequences of a store by bucket, from TFRecords into padded TFRecords."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    store = Store(store_folder)
    keys = store.manifest.data_keys
    path = f"{folder}/corpus.tfrecord"
    _write_tfrecord(tf, store, num_seqs, path)
    longest = int(store.lengths["data"][:num_seqs].max())
    bounds = sorted({int(bound) for bound in np.geomspace(8, longest + 1, 16)})

    def parse(record: Any) -> dict[str, Any]:
        found = tf.io.parse_single_example(
            record, {key: tf.io.FixedLenFeature([], tf.string) for key in keys}
        )
        return {
            key: tf.reshape(
                tf.io.decode_raw(found[key], spec.dtype.replace("<i4", "int32").replace("<f4", "float32")),
                (-1, *spec.feature_shape),
            )
            for key, spec in keys.items()
        }

    def run() -> None:
        batches = (
            tf.data.TFRecordDataset(path)
            .shuffle(1000)
            .map(parse, num_parallel_calls=tf.data.AUTOTUNE)
            .bucket_by_sequence_length(
                lambda sequence: tf.shape(sequence["data"])[0],
                bounds,
                [max(1, batch_size // bound) for bound in (*bounds, longest)],
            )
            .prefetch(tf.data.AUTOTUNE)
        )
        seqs = 0
        with tf.io.TFRecordWriter(f"{folder}/padded.tfrecord") as writer:
            for batch in batches.as_numpy_iterator():
                features = {
                    key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.tobytes()]))
                    for key, array in batch.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
                seqs += len(batch["data"])
        assert seqs == num_seqs

    return _clocked(run)


def _clocked(run: Callable[[], None]) -> Took:
    start, cpu = time.monotonic(), time.process_time()
    run()
    return Took(0.0, time.monotonic() - start, time.process_time() - cpu)


def _write_hdf(store: Store, num_seqs: int, path: str) -> None:
    from returnn.datasets.hdf import SimpleHDFWriter

    data, *others = store.manifest.data_keys.items()
    dims = {key: (spec.num_labels, 1, "int32") for key, spec in others}
    dim = data[1].feature_shape[0] if data[1].feature_shape else data[1].num_labels
    writer = SimpleHDFWriter(path, dim=dim, ndim=1 + len(data[1].feature_shape), extra_type=dims)
    for row in range(num_seqs):
        array = store.sequence(data[0], row)
        extra = {key: store.sequence(key, row)[None] for key, _ in others}
        writer.insert_batch(array[None], [len(array)], [f"seq-{row}"], extra=extra)
    writer.close()


def _returnn_template(spec: ArraySpec) -> Mapping[str, Any]:
    if spec.feature_shape:
        return {"shape": (None, *spec.feature_shape), "dtype": "float32"}
    return {"shape": (None,), "dtype": "int32", "dim": spec.num_labels, "sparse": True}


def _write_tfrecord(tf: Any, store: Store, num_seqs: int, path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for row in range(num_seqs):
            features = {
                key: tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[store.sequence(key, row).tobytes()])
                )
                for key in store.manifest.data_keys
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
