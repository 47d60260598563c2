"""What a model's metrics have added up in an epoch that is not over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from seqmill.trainer.state.attributes import Read, WatchedObjects
from seqmill.trainer.state.values import Arrays, decode, encode
from seqmill.trainer.state.walk import walk, walk_model


class MetricStates:
    """The state of a model's metrics: what changed in them since they were set back.

    Args:
        model: A model whose metrics have their variables (``build_metrics``).
    """

    def __init__(self, model: keras.Model):
        self._model = model
        model.reset_metrics()
        self._num_variables = len(model.metrics_variables)
        self._watched = WatchedObjects(_walk_metrics(model), with_variables=True)

    def state(self, arrays: Arrays) -> tuple[dict[str, Any], list[str]]:
        """What changed, as JSON, and descriptions of what cannot be kept.

        Args:
            arrays: Takes the arrays in it.
        """
        changed, lost = self._watched.changed(arrays)
        parts = [encode([part.numpy() for part in one], arrays) for one in self._parts()]
        if len(self._model.metrics_variables) != self._num_variables:
            lost.append("metrics that exist only after the first step (scored from where training goes on)")
        content = {"changed": changed, "parts": parts}
        return content, [f"{type(self._model).__name__}.{one}" for one in lost]

    def restore(self, content: Mapping[str, Any], read: Read) -> None:
        """Sets the metrics to what ``state`` returned, after they have been set back."""
        self._watched.restore(content["changed"], read)
        for variables, entry in zip(self._parts(), content["parts"], strict=False):
            for part, array in zip(variables, decode(entry, read), strict=False):
                part.assign(array)

    def _parts(self) -> list[Sequence[Any]]:
        """The variables behind those of which each of several devices has its own, and adds up for itself."""
        values = [getattr(one.value, "values", ()) for one in self._model.metrics_variables]
        return [one for one in values if isinstance(one, tuple) and len(one) > 1]


def build_metrics(
    model: keras.Model, open_feed: Callable[[], AbstractContextManager[tf.data.Dataset]]
) -> None:
    """Makes the variables of a compiled model's metrics, which Keras makes in the first step with TensorFlow.

    Args:
        model: A built, compiled model.
        open_feed: Opens the data that it trains on.
    """
    compiled = [getattr(model, "_compile_metrics", None), getattr(model, "_compile_loss", None)]
    if all(one is None or one.built for one in compiled):
        return
    with open_feed() as data:
        batch = next(data.as_numpy_iterator())
    try:
        model._symbolic_build(data_batch=batch)
    except Exception:  # a step of the user's own that feeds model and metrics otherwise; `state` says so
        return


def _walk_metrics(model: keras.Model) -> Iterator[tuple[str, Any]]:
    seen = {id(one) for _, one in walk_model(model)}
    for index, metric in enumerate(model.metrics):
        for path, one in walk(metric, seen):
            yield f"metrics[{index}]{path and '.'}{path}", one
