"""Folders that hold a model alone, without what training goes on from: what is in them, and reading it.

model/final/model.json           which epochs it is of, the hash of every array and its own
model/final/model.keras          for ``keras.saving.load_model``, where that gives back the same weights; or
model/final/model.weights.h5     for ``keras.Model.load_weights``
model/final/state.npz            the arrays that are in neither
"""

from __future__ import annotations

from seqmill.trainer.checkpoints import STATE_NAME, WEIGHTS_NAME, Checkpoint, read_json
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError, UsageError
from seqmill.transforms.storage.manifest_file import seal

FINAL, AVERAGE = "final", "average"

FORMAT = "seqmill.model/1"
JSON_NAME = "model.json"
MODEL_NAME = "model.keras"

_HOW = {FINAL: "it is written when `seqmill train` ends", AVERAGE: "run `seqmill average` first"}


def is_saved(folder: str) -> bool:
    """Whether a folder holds a model that was saved alone, and nothing besides."""
    if not {*files.list_names(folder)} <= {JSON_NAME, MODEL_NAME, WEIGHTS_NAME, STATE_NAME}:
        return False
    try:
        content = files.read_json(files.join(folder, JSON_NAME))
    except (SeqmillError, OSError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_saved(folder: str) -> Checkpoint:
    """The model in a folder, to be read like a checkpoint.

    Raises:
        UsageError: There is none.
        SeqmillError: It is not complete, not what was written, or of another format.
    """
    content = read_json(folder, JSON_NAME, FORMAT)
    if content is None:
        raise UsageError(f"{folder}: no {JSON_NAME}: {_HOW.get(files.name(folder), 'no saved model')}")
    if seal(content) != content:
        raise SeqmillError(f"{files.join(folder, JSON_NAME)}: is not what was written; write it anew")
    try:
        return Checkpoint(folder, int(content["epoch"]), str(content["training"]), content, content)
    except (KeyError, TypeError, ValueError) as error:
        raise SeqmillError(f"{folder}: not a complete model ({error!r})") from None
