"""Stopping at the first step whose loss is not finite, before anything poisoned is saved."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import keras
import numpy as np

from seqmill.trainer.gradient_check import GradientCheck
from seqmill.trainer.scores import flat_scores
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError

ReadBatch = Callable[[int], PaddedBatch]


class NonfiniteTrainScore(SeqmillError):
    """The train score or the weights became NaN or infinite; ``autopsy`` says where."""

    def __init__(self, message: str, autopsy: Mapping[str, Any]):
        super().__init__(message)
        self.autopsy = dict(autopsy)


class StopOnNonfiniteTrainScore(keras.callbacks.Callback):
    """Ends training in the first step whose loss is NaN or infinite (RETURNN: the option of that name).

    The loss that Keras reports is a mean over the epoch so far, which turns non-finite in the very step
    whose loss does, so one number tells. With the TensorFlow backend gradients are looked at too
    (``GradientCheck``), which finds infinite gradients of a finite loss in their own step. Weights and
    optimizer state are always checked at the end of the epoch. It raises ``NonfiniteTrainScore``, which
    ``fit`` passes on.

    Args:
        folder: Where ``nonfinite-epoch-0003.json`` is written; ``None`` writes none.
        read_batch: Reads the epoch's batch of an index, to name its sequences.
    """

    def __init__(self, folder: str | None = None, read_batch: ReadBatch | None = None):
        super().__init__()
        if read_batch is not None and not callable(read_batch):
            raise TypeError(f"read_batch: expected a function of a batch index, got {read_batch!r}")
        self.read_batch = read_batch
        self._folder = folder
        self._epoch = 1
        self._next_step = 0
        self._gradient_check: GradientCheck | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Makes the check of gradients a part of each step."""
        if self._gradient_check is None:
            self._gradient_check = GradientCheck(self.model)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch."""
        self._epoch, self._next_step = epoch + 1, 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks the loss up to step ``batch`` (from 0) of the epoch."""
        first, self._next_step = self._next_step, batch + 1
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"the train loss is {loss}", list(range(first, batch + 1)))
        if self._gradient_check is not None and self._gradient_check.may_have_failed():
            self._check_weights(list(range(first, batch + 1)))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Checks every train score and the weights, before anything is written."""
        for name, value in flat_scores(logs or {}).items():
            if not name.startswith("val_") and not math.isfinite(value):
                self._stop(f"the train score {name} is {value}", [])
        self._check_weights([])

    def _check_weights(self, steps: list[int]) -> None:
        learned = [*self.model.trainable_variables, *self.model.optimizer.variables]
        if not all(_all_finite(variable) for variable in learned):
            self._stop("weights or optimizer state are not finite", steps)

    def _stop(self, what: str, steps: list[int]) -> None:
        autopsy = {
            "epoch": self._epoch,
            "reason": what,
            "global_step": int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)),
            "step": steps[-1] + 1 if steps else None,
            "batches": self._describe(steps),
            "variables": nonfinite_variables(self.model),
        }
        message = f"epoch {self._epoch}: {what}{_where(autopsy, steps)}"
        if self._folder is not None:
            path = files.join(self._folder, f"nonfinite-epoch-{self._epoch:04d}.json")
            files.write_json(path, autopsy)
            message += f"\nThe full account is in {path}."
        raise NonfiniteTrainScore(message, autopsy)

    def _describe(self, steps: list[int]) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = []
        with suppress(IndexError):  # with steps_per_execution Keras counts beyond the last batch
            described.extend(describe(self.read_batch(step), step) for step in steps if self.read_batch)
        return described


def describe(batch: PaddedBatch, index: int) -> dict[str, Any]:
    """A batch for the autopsy: its tags, and which of its sequences hold values that are not finite."""
    tags = [tag.decode(errors="replace") for tag in batch.seq_tags]
    bad = [
        {"seq_tag": tags[row], "data_key": key, "num_nonfinite": int(count)}
        for key, array in batch.arrays.items()
        for row, count in enumerate(_nonfinite_per_row(array))
        if count
    ]
    shapes = {key: list(array.shape) for key, array in batch.arrays.items()}
    return {"batch_index": index, "shapes": shapes, "seq_tags": tags, "nonfinite_data": bad}


def nonfinite_variables(model: keras.Model) -> list[dict[str, Any]]:
    """The variables of model and optimizer with values that are not finite, in the model's order."""
    found = []
    for variable in [*model.variables, *model.optimizer.variables]:
        if not _all_finite(variable):
            values = np.asarray(keras.ops.convert_to_numpy(variable.value), np.float64)
            layer, _, _ = variable.path.rpartition("/")
            counts = {"nan": int(np.isnan(values).sum()), "inf": int(np.isinf(values).sum())}
            found.append({"path": variable.path, "layer": layer, "size": int(values.size), **counts})
    return found


def _where(autopsy: Mapping[str, Any], steps: list[int]) -> str:
    parts = [f" in step {steps[-1] + 1} of the epoch (batch {steps[-1]})"] if steps else []
    for batch in autopsy["batches"]:
        parts.append(f"\nSequences of batch {batch['batch_index']}: {_some(batch['seq_tags'])}.")
        bad = [f"{entry['seq_tag']} ({entry['data_key']})" for entry in batch["nonfinite_data"]]
        parts.append(f"\nData that are not finite: {_some(bad) if bad else 'none in this batch'}.")
    if autopsy["variables"]:
        names = _some([variable["path"] for variable in autopsy["variables"]])
        parts.append(f"\nVariables that are not finite: {names}.")
    return "".join(parts)


def _some(names: list[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _nonfinite_per_row(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        return np.zeros(len(array), int)
    return (~np.isfinite(array)).reshape(len(array), -1).sum(1)


def _all_finite(variable: Any) -> bool:
    if "float" not in str(variable.dtype):
        return True
    return bool(keras.ops.convert_to_numpy(keras.ops.all(keras.ops.isfinite(variable.value))))
