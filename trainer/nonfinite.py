"""What is told about a training whose score or weights became NaN or infinite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from seqmill.trainer.state.values import tensor_of, value_of
from seqmill.transforms.batches.padded_batch import PaddedBatch
from seqmill.transforms.storage.errors import SeqmillError


class NonfiniteTrainScore(SeqmillError):
    """The train score or the weights became NaN or infinite; ``StopOnNonfiniteTrainScore`` raises it.

    Attributes:
        autopsy: Where: what ``nonfinite-epoch-….json`` holds.

    >>> import seqmill
    >>> try:
    ...     raise seqmill.NonfiniteTrainScore("the train loss is nan", {"epoch": 3, "steps": [17]})
    ... except seqmill.SeqmillError as error:
    ...     print(error, error.autopsy["steps"])
    the train loss is nan [17]
    """

    def __init__(self, message: str, autopsy: Mapping[str, Any]):
        super().__init__(message)
        self.autopsy = dict(autopsy)


def describe(batch: PaddedBatch, index: int) -> dict[str, Any]:
    """A batch for the autopsy: its tags, and which of its sequences hold values that are not finite."""
    tags = [tag.decode(errors="replace") for tag in batch.seq_tags]
    bad = [
        {"seq_tag": tags[row], "data_key": key, "num_nonfinite": count}
        for key in batch.arrays
        for row, count in enumerate(_nonfinite_per_row(batch, key))
        if count
    ]
    shapes = {key: list(array.shape) for key, array in batch.arrays.items()}
    return {"batch_index": index, "shapes": shapes, "seq_tags": tags, "nonfinite_data": bad}


def nonfinite_variables(model: keras.Model) -> list[dict[str, Any]]:
    """The variables of model and optimizer with values that are not finite, in the model's order."""
    found = []
    for variable in [*model.variables, *model.optimizer.variables]:
        if not is_finite(variable):
            values = value_of(variable).astype(np.float64)
            layer, _, _ = variable.path.rpartition("/")
            counts = {"nan": int(np.isnan(values).sum()), "inf": int(np.isinf(values).sum())}
            found.append({"path": variable.path, "layer": layer, "size": int(values.size), **counts})
    return found


def is_finite(variable: keras.Variable) -> bool:
    """Whether a variable holds finite values only, which one of whole numbers always does."""
    if "float" not in str(variable.dtype):
        return True
    return bool(keras.ops.convert_to_numpy(keras.ops.all(keras.ops.isfinite(tensor_of(variable)))))


def message_of(autopsy: Mapping[str, Any], steps: list[int]) -> str:
    """What the user reads.

    Args:
        autopsy: Of ``StopOnNonfiniteTrainScore``.
        steps: The steps (from 0) in one of which it happened; empty: at the end of the epoch.
    """
    parts = [f"epoch {autopsy['epoch']}: {autopsy['reason']}"]
    if steps:
        parts.append(f" in step {steps[-1] + 1} of the epoch (batch {steps[-1]})")
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


def _nonfinite_per_row(batch: PaddedBatch, key: str) -> list[int]:
    if batch.arrays[key].dtype.kind != "f":
        return []
    return [int((~np.isfinite(batch.sequence(key, row))).sum()) for row in range(len(batch.seq_tags))]
