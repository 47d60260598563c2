"""The average of several checkpoints' weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import keras
import numpy as np

from seqmill.trainer.checkpoints import Checkpoint
from seqmill.trainer.load_checkpoint import check, load_model, reading
from seqmill.trainer.state.model_state import ModelState, paired_weights


def load_average(state: ModelState, sources: Sequence[Checkpoint]) -> None:
    """Sets a model to the average of checkpoints.

    Every float variable is averaged in float64 and rounded once; all else (whole numbers, seed states,
    attributes) is that of the newest.

    Args:
        state: The model's, as the model file builds it.
        sources: The checkpoints, at least one.

    Raises:
        SeqmillError: One is of another model.
        BrokenCheckpointError: One does not hold what was saved.
    """
    newest = max(sources, key=lambda checkpoint: checkpoint.epoch)
    for one in sources:
        if one is not newest:
            check(one)
    load_model(state, newest)
    paired = [paired_weights(state.model, one.content, one.folder) for one in sources]
    with ExitStack() as stack:
        arrays = [stack.enter_context(reading(one)) for one in sources]
        for same in zip(*paired, strict=True):
            slot = same[0][0]
            if not keras.backend.is_float_dtype(slot.kind[1]):
                continue
            total = np.zeros(slot.kind[0], np.float64)
            for (_, entry), files in zip(same, arrays, strict=True):
                total += files.read(entry).astype(np.float64)
            slot.variable.assign((total / len(sources)).astype(slot.array().dtype))
