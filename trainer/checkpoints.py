"""The checkpoints in a model folder: directories that are there whole or not at all.

model/epoch-0007/checkpoint.json    epoch, step, scores, versions, and the hash of every array
model/epoch-0007/model.weights.h5   the weights as Keras writes them, for ``keras.Model.load_weights``
model/epoch-0007/state.npz          all arrays that are not in there as they are, by their hash
model/epoch-0007/ended.json         what callbacks and evaluation changed after the epoch, arrays in ended.npz
model/epoch-0008-step-000120/       the same inside epoch 8, of which 120 batches are done; at most one
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqmill.trainer.scores import History
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import check_format
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX

FORMAT = "seqmill.checkpoint/2"
JSON_NAME = "checkpoint.json"
WEIGHTS_NAME = "model.weights.h5"
STATE_NAME = "state.npz"
ENDED_JSON_NAME = "ended.json"
ENDED_NAME = "ended.npz"

INSIDE, TRAINED, ENDED = "inside", "trained", "ended"

_FOLDER_NAME = re.compile(r"epoch-(\d{4,})(?:-step-(\d{6,}))?")


class BrokenCheckpointError(SeqmillError):
    """A checkpoint's files do not hold what was saved."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        folder: Its directory.
        epoch: The epoch after or inside which it was written, from 1.
        training: Id of the training that wrote it.
        content: What ``checkpoint.json`` holds, and over it ``ended.json``, where it is there.
        before: What ``checkpoint.json`` holds.
    """

    folder: str
    epoch: int
    training: str
    content: Mapping[str, Any]
    before: Mapping[str, Any]

    @property
    def batches(self) -> int | None:
        """How many batches of the epoch were done; ``None`` where all were."""
        return self.before.get("batches")

    @property
    def weights_file(self) -> str:
        """For ``keras.Model.load_weights``."""
        return files.join(self.folder, WEIGHTS_NAME)


def find(folder: str) -> tuple[dict[int, Checkpoint], list[str]]:
    """The checkpoints of whole epochs in a model folder, and a message for each that is not complete."""
    found, broken = _read_all(folder, inside=False)
    return {one.epoch: one for one in found}, broken


def find_inside(folder: str) -> tuple[list[Checkpoint], list[str]]:
    """The checkpoints inside epochs, the newest first, and a message for each that is not complete."""
    found, broken = _read_all(folder, inside=True)
    return sorted(found, key=lambda one: (one.epoch, one.batches), reverse=True), broken


def remove_inside(folder: str, up_to_epoch: int, but: str = "") -> None:
    """Removes the checkpoints inside epochs that a newer one has made needless, whole or not."""
    for name in files.list_names(folder):
        match = _FOLDER_NAME.fullmatch(name)
        if match and match[2] and int(match[1]) <= up_to_epoch and name != but:
            _delete(files.join(folder, name))


def owned(found: Mapping[int, Checkpoint], history: History) -> dict[int, Checkpoint]:
    """Those of some checkpoints by epoch that are part of a training, which ``history`` tells."""
    return {epoch: one for epoch, one in found.items() if history.owns(one.training, epoch)}


def read(folder: str) -> Checkpoint:
    """The checkpoint in a directory. Raises SeqmillError where it is not complete or not one."""
    content = read_json(folder, JSON_NAME)
    if content is None:
        raise SeqmillError(f"{folder}: no {JSON_NAME}: not a complete checkpoint")
    ended = read_json(folder, ENDED_JSON_NAME) or {}
    try:
        return Checkpoint(
            folder, int(content["epoch"]), str(content["training"]), {**content, **ended}, content
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SeqmillError(f"{folder}: not a complete checkpoint ({error!r})") from None


def read_json(folder: str, name: str, expected_format: str = FORMAT) -> dict[str, Any] | None:
    """A JSON file of a checkpoint whose files are as long as it says; ``None`` where it is not there.

    Raises:
        SeqmillError: It is of another format, or files are missing or of another length.
    """
    path = files.join(folder, name)
    try:
        content = files.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    check_format(content, path, expected_format)
    try:
        expected = {str(file): int(size) for file, size in content["file_bytes"].items()}
        found = {file: files.size(files.inside(folder, file)) for file in expected}
    except (KeyError, AttributeError, TypeError, ValueError, OSError) as error:
        raise SeqmillError(f"{folder}: not a complete checkpoint ({error!r})") from None
    if found != expected:
        raise SeqmillError(f"{folder}: files have {found} bytes, {name} says {expected}")
    return dict(content)


def delete(checkpoint: Checkpoint) -> None:
    """Removes a checkpoint. One that is removed half is not complete, and goes with the next leftovers."""
    _delete(checkpoint.folder)


def move_aside(final: str) -> str:
    """Takes a local directory out of the way; where it went, to be removed."""
    aside = tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}replaced-", dir=Path(final).parent)
    return str(Path(final).rename(Path(aside, "old")).parent)


def remove_leftovers(folder: str) -> None:
    """Removes what a killed training left half written. Only for the holder of the folder's lock."""
    for name in files.list_names(folder):
        if name.startswith(TEMPORARY_PREFIX):
            files.remove(files.join(folder, name))


def folder_name(epoch: int, batches: int | None = None) -> str:
    """``epoch-0007``, or ``epoch-0007-step-000120`` inside an epoch."""
    return f"epoch-{epoch:04d}" if batches is None else f"epoch-{epoch:04d}-step-{batches:06d}"


def _read_all(folder: str, inside: bool) -> tuple[list[Checkpoint], list[str]]:
    found, broken = [], []
    for name in files.list_names(folder):
        match = _FOLDER_NAME.fullmatch(name)
        if not match or bool(match[2]) != inside:
            continue
        try:
            checkpoint = read(files.join(folder, name))
            if folder_name(checkpoint.epoch, checkpoint.batches) != name:
                is_inside = f", after {checkpoint.batches} of its batches" if checkpoint.batches else ""
                raise SeqmillError(
                    f"{checkpoint.folder}: is the checkpoint of epoch {checkpoint.epoch}{is_inside}"
                )
            found.append(checkpoint)
        except SeqmillError as error:
            broken.append(str(error))
    return found, broken


def _delete(folder: str) -> None:
    if files.is_local(folder):
        shutil.rmtree(move_aside(folder))
        return
    if files.exists(files.join(folder, JSON_NAME)):
        files.remove(files.join(folder, JSON_NAME))
    files.remove(folder)
