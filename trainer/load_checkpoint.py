"""Loading checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from seqmill.trainer.array_files import ArrayFiles, open_arrays
from seqmill.trainer.checkpoints import ENDED_NAME, STATE_NAME, WEIGHTS_NAME, Checkpoint
from seqmill.trainer.state.compiled import optimizers
from seqmill.trainer.state.model_state import ModelState, arrays_of, take_weights
from seqmill.trainer.state.walk import walk_model


def load(state: ModelState, checkpoint: Checkpoint, say: Callable[[str], None] = print) -> None:
    """Sets a model to what a checkpoint holds. Nothing is changed where it does not fit or is broken.

    Args:
        state: The model's, before it was trained.
        checkpoint: The checkpoint.
        say: Takes messages about what changed on purpose.

    Raises:
        SeqmillError: The checkpoint is of another model.
        BrokenCheckpointError: Its files do not hold what was saved.
    """
    check(checkpoint)
    rates = state.prepare(checkpoint.content, checkpoint.folder, say)
    with reading(checkpoint) as arrays:
        state.restore(checkpoint.content, arrays.read)
    for path, rate in rates.items():
        set_learning_rate(state.model, path, rate)


def load_weights(model: keras.Model, checkpoint: Checkpoint, say: Callable[[str], None] = print) -> None:
    """Sets the weights alone of a built model, which may have more or fewer layers than the checkpoint.

    Args:
        model: The model.
        checkpoint: The checkpoint.
        say: Takes a message about weights that it does not hold.

    Raises:
        SeqmillError: It holds none of the model's weights.
        BrokenCheckpointError: Its files do not hold what was saved.
    """
    check(checkpoint)
    with reading(checkpoint) as arrays:
        missing = take_weights(model, checkpoint.content, arrays.read, checkpoint.folder)
    if missing:
        say(f"{checkpoint.folder}: does not hold {', '.join(missing)}: left as the model file makes them")


def load_model(state: ModelState, checkpoint: Checkpoint) -> None:
    """Sets a model to what a checkpoint or a saved model holds, without what only training needs.

    Args:
        state: The model's, as the model file builds it.
        checkpoint: The checkpoint, or what ``read_saved`` found.

    Raises:
        SeqmillError: It is of another model.
        BrokenCheckpointError: Its files do not hold what was saved.
    """
    check(checkpoint)
    with reading(checkpoint) as arrays:
        state.restore_model(checkpoint.content, arrays.read, checkpoint.folder)


def check(checkpoint: Checkpoint) -> None:
    """Reads all arrays of a checkpoint. Raises BrokenCheckpointError where one is not what was saved."""
    with reading(checkpoint) as arrays:
        for entry in arrays_of(checkpoint.content):
            arrays.read(entry)


@contextmanager
def reading(checkpoint: Checkpoint) -> Iterator[ArrayFiles]:
    """The arrays of a checkpoint, to be read within a ``with`` block."""
    names = (STATE_NAME, ENDED_NAME) if checkpoint.content is not checkpoint.before else (STATE_NAME,)
    before = checkpoint.before
    with open_arrays(checkpoint.folder, before["in_h5"], before.get("file", WEIGHTS_NAME), names) as arrays:
        yield arrays


def set_learning_rate(model: keras.Model, path: str, rate: float) -> None:
    """Sets the learning rate of the optimizer at a path of attributes."""
    optimizers(walk_model(model))[path].learning_rate = rate
