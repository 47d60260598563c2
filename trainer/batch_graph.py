"""The tf.data graph that gives batches: made once for a corpus, whichever of its epochs are read."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from seqmill.trainer.packed_columns import POSITIONS, ROW_SPLITS, SEGMENT_IDS
from seqmill.trainer.share import Share
from seqmill.trainer.source import BatchSource
from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.storage.errors import SeqmillError

Transform = Callable[[dict[str, tf.Tensor]], Any]

NUM_ROWS = "rows of the batch"
"""The column with how many rows a batch is to have, where it is filled up; no data key can have that name."""

_INTEGER = tf.TensorSpec([], tf.int64)


class BatchGraph:
    """Makes datasets of epochs that share one graph.

    TensorFlow keeps what ``tf.numpy_function`` is given for ever, and tracing takes longer than a small
    epoch. So the graph is traced once, and takes what it reads from by number.

    Args:
        data_keys: What the arrays are like.
        masks: Add the masks.
        prefetch: Batches read ahead.
        transform: What to make of each element.
        packed: Whether batches are packed; they have no padding to be masked.
        ragged: Of packed batches, make each data key a ``tf.RaggedTensor``.
        num_rows: Add the column ``NUM_ROWS``.
    """

    def __init__(
        self,
        data_keys: Mapping[str, ArraySpec],
        masks: bool = False,
        prefetch: int = 2,
        transform: Transform | None = None,
        packed: bool = False,
        ragged: bool = False,
        num_rows: bool = False,
    ):
        self._data_keys = data_keys
        self._masks = masks
        self._prefetch = prefetch
        self._transform = transform
        self._packed = packed
        self._ragged = ragged
        self._num_rows = num_rows
        self._element_spec: Any = None

    def dataset(
        self, source: BatchSource, share: Share, limits: BatchLimits | None = None
    ) -> tf.data.Dataset:
        """The batches of a share of an epoch, with exact cardinality.

        Args:
            source: What reads the epoch.
            share: Which batches and rows.
            limits: Of its batches, where ``NUM_ROWS`` is asked for.
        """
        num_rows = _NumRows(self._data_keys, limits) if self._num_rows and limits else None
        reader = _Reader(source, share.rows, num_rows)
        batches = share.batches
        numbers = (reader.number, batches.start, batches.stop, batches.step)
        variant = self._traced(*(tf.constant(number, tf.int64) for number in numbers))
        data = tf.data.experimental.from_variant(variant, self._element_spec)
        data = data.apply(tf.data.experimental.assert_cardinality(len(batches)))
        data._seqmill_kept = self, reader  # as long as there is a dataset or iterator that needs them
        return data

    @functools.cached_property
    def _traced(self) -> Callable[..., tf.Tensor]:
        # Not called as a tf.function: TensorFlow warns where several of one name are traced.
        return tf.function(self._pipeline, [_INTEGER] * 4, autograph=False).get_concrete_function()

    def _pipeline(self, reader: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        data = (
            tf.data.Dataset.range(start, stop, step)
            .map(lambda index: self._element(reader, index), num_parallel_calls=2, deterministic=True)
            .prefetch(self._prefetch)
        )
        self._element_spec = data.element_spec
        return tf.data.experimental.to_variant(data)

    def _element(self, reader: tf.Tensor, index: tf.Tensor) -> Any:
        dtypes = [tf.as_dtype(spec.batch_dtype) for spec in self._data_keys.values()]
        kinds = [kind for dtype in dtypes for kind in (dtype, tf.int32)]
        flat = _loader((*kinds, tf.int64) if self._num_rows else tuple(kinds))(reader, index)
        columns = {}
        for position, (name, spec) in enumerate(self._data_keys.items()):
            array, lengths = flat[2 * position], flat[2 * position + 1]
            array.set_shape([*[None] * (1 if self._packed else 2), *spec.feature_shape])
            lengths.set_shape([None])
            columns[name], columns[f"{name}_lengths"] = array, lengths
            if self._packed:
                columns |= _packed_columns(name, lengths)
                if self._ragged:
                    splits = columns[f"{name}_{ROW_SPLITS}"]
                    columns[name] = tf.RaggedTensor.from_row_splits(array, splits, validate=False)
            elif self._masks:
                columns[f"{name}_mask"] = tf.sequence_mask(lengths, tf.shape(array)[1])
        if self._num_rows:
            columns[NUM_ROWS] = tf.reshape(flat[-1], [])
        return columns if self._transform is None else self._transform(columns)


def _packed_columns(name: str, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
    """As ``packed_columns`` gives them."""
    splits = tf.concat([[0], tf.cumsum(lengths)], 0)
    return {
        f"{name}_{ROW_SPLITS}": splits,
        f"{name}_{SEGMENT_IDS}": tf.repeat(tf.range(tf.size(lengths)), lengths),
        f"{name}_{POSITIONS}": tf.range(splits[-1]) - tf.repeat(splits[:-1], lengths),
    }


class _Reader:
    """What a dataset reads from, which its graph knows by number."""

    def __init__(self, source: BatchSource, rows: slice, num_rows: _NumRows | None):
        self.source, self.rows, self.num_rows = source, rows, num_rows
        self.number = next(_numbers)
        _readers[self.number] = self


_numbers = itertools.count()
_readers: weakref.WeakValueDictionary[int, _Reader] = weakref.WeakValueDictionary()


def _load(number: int, index: int) -> list[np.ndarray]:
    reader = _readers[int(number)]
    source = reader.source
    try:
        arrays = source.arrays(int(index), rows=reader.rows)
    except SeqmillError as error:
        source.error = source.error or error
        raise
    except OSError as error:
        found = SeqmillError(f"{error.filename or 'an epoch'}: cannot be read ({error.strerror or error})")
        source.error = source.error or found
        raise
    return arrays if reader.num_rows is None else [*arrays, reader.num_rows(arrays[::2])]


class _NumRows:
    """How many rows batches are to have by limits, int64 [1]."""

    def __init__(self, data_keys: Iterable[str], limits: BatchLimits):
        self._data_keys, self._limits = list(data_keys), limits

    def __call__(self, arrays: list[np.ndarray]) -> np.ndarray:
        time_axes = {k: np.array([a.shape[1]]) for k, a in zip(self._data_keys, arrays, strict=True)}
        return self._limits.num_rows(time_axes, np.array([len(arrays[0])]))


@functools.cache
def _loader(kinds: tuple[tf.DType, ...]) -> Callable[[tf.Tensor, tf.Tensor], list[tf.Tensor]]:
    """The one function of the process that loads batches of these dtypes: function(reader, index)."""

    @tf.function(input_signature=[_INTEGER] * 2, autograph=False)
    def load(reader: tf.Tensor, index: tf.Tensor) -> list[tf.Tensor]:
        loaded: list[tf.Tensor] = tf.numpy_function(_load, [reader, index], kinds)
        return loaded

    return load
