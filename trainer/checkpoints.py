"""Checkpoints: one directory per epoch, there whole or not at all.

model/epoch-0007/model.weights.h5   every variable, for ``keras.Model.load_weights``
model/epoch-0007/checkpoint.json    epoch, step, scores, versions, and the hash of every variable
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import xxhash

from seqmill.trainer.scores import History
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import check_format
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX

FORMAT = "seqmill.checkpoint/1"
JSON_NAME = "checkpoint.json"
WEIGHTS_NAME = "model.weights.h5"
STATE_NAME = "state.npz"

_FOLDER_NAME = re.compile(r"epoch-(\d{4,})")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        folder: Its directory.
        epoch: The epoch after which it was written, from 1.
        training: Id of the training that wrote it.
        content: What ``checkpoint.json`` holds.
    """

    folder: str
    epoch: int
    training: str
    content: Mapping[str, Any]

    @property
    def weights_file(self) -> str:
        """For ``keras.Model.load_weights``."""
        return files.join(self.folder, WEIGHTS_NAME)


def save(model: keras.Model, folder: str, epoch: int, content: Mapping[str, Any]) -> str:
    """Writes the checkpoint of ``epoch`` into a model folder and returns its directory.

    Args:
        model: A built model with a built optimizer.
        folder: The model folder.
        epoch: The epoch just trained, from 1.
        content: More for ``checkpoint.json``; ``training`` (an id) must be in it.

    Raises:
        SeqmillError: It cannot be written (disk full, no permission). What was there before stays.
    """
    final = files.join(folder, folder_name(epoch))
    local = files.is_local(folder)
    try:
        files.make_folder(folder)
        parent = folder if local else tempfile.gettempdir()
        temporary = tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{folder_name(epoch)}-", dir=parent)
        try:
            _write(model, temporary, epoch, content)
            _publish(temporary, final) if local else _upload(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        raise SeqmillError(f"{final}: the checkpoint could not be written ({error})") from error
    return final


def load(model: keras.Model, checkpoint: Checkpoint) -> None:
    """Sets every variable of model and optimizer to what the checkpoint holds.

    Raises:
        SeqmillError: The checkpoint is of another model, or broken. The model is then unusable.
    """
    _check_same_variables(model, checkpoint)
    try:
        with _local_copy(checkpoint.weights_file) as path:
            model.load_weights(path)
        with _local_copy(files.join(checkpoint.folder, STATE_NAME)) as path, np.load(path) as state:
            for position, variable in enumerate(_beside_weights(model)):
                variable.assign(state[str(position)])
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise SeqmillError(f"{checkpoint.folder}: cannot be loaded ({error})") from error
    for variable, entry in zip(_variables(model), checkpoint.content["variables"], strict=True):
        if _hash(variable) != entry["xxh128"]:
            raise SeqmillError(f"{checkpoint.folder}: {entry['path']} is not what was saved")


def find(folder: str) -> tuple[dict[int, Checkpoint], list[str]]:
    """The complete checkpoints in a model folder by epoch, and a message for each that is not complete."""
    found, broken = {}, []
    for name in files.list_names(folder):
        match = _FOLDER_NAME.fullmatch(name)
        if not match:
            continue
        try:
            checkpoint = read(files.join(folder, name))
            if checkpoint.epoch != int(match[1]):
                raise SeqmillError(f"{checkpoint.folder}: is the checkpoint of epoch {checkpoint.epoch}")
            found[checkpoint.epoch] = checkpoint
        except SeqmillError as error:
            broken.append(str(error))
    return found, broken


def owned(found: Mapping[int, Checkpoint], history: History) -> dict[int, Checkpoint]:
    """Those of some checkpoints by epoch that are part of a training, which ``history`` tells."""
    return {epoch: one for epoch, one in found.items() if history.owns(one.training, epoch)}


def read(folder: str) -> Checkpoint:
    """The checkpoint in a directory. Raises SeqmillError where it is not complete or not one."""
    path = files.join(folder, JSON_NAME)
    try:
        content = files.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SeqmillError(f"{folder}: no {JSON_NAME}: not a complete checkpoint") from None
    check_format(content, path, FORMAT)
    try:
        checkpoint = Checkpoint(folder, int(content["epoch"]), str(content["training"]), content)
        expected = {name: int(content["file_bytes"][name]) for name in (WEIGHTS_NAME, STATE_NAME)}
        found = {name: files.size(files.join(folder, name)) for name in expected}
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise SeqmillError(f"{folder}: not a complete checkpoint ({error!r})") from None
    if found != expected:
        raise SeqmillError(f"{folder}: files have {found} bytes, {JSON_NAME} says {expected}")
    return checkpoint


def delete(checkpoint: Checkpoint) -> None:
    """Removes a checkpoint. One that is removed half is not complete, and goes with the next leftovers."""
    if files.is_local(checkpoint.folder):
        shutil.rmtree(_aside(checkpoint.folder))
        return
    files.remove(files.join(checkpoint.folder, JSON_NAME))
    files.remove(checkpoint.folder)


def remove_leftovers(folder: str) -> None:
    """Removes what a killed training left half written. Only for the holder of the folder's lock."""
    for name in files.list_names(folder):
        if name.startswith(TEMPORARY_PREFIX):
            files.remove(files.join(folder, name))


def folder_name(epoch: int) -> str:
    """``epoch-0007``."""
    return f"epoch-{epoch:04d}"


def _write(model: keras.Model, folder: str, epoch: int, content: Mapping[str, Any]) -> None:
    weights = Path(folder, WEIGHTS_NAME)
    state = Path(folder, STATE_NAME)
    _check_room(model, weights)
    model.save_weights(weights)
    beside = {str(i): keras.ops.convert_to_numpy(v.value) for i, v in enumerate(_beside_weights(model))}
    np.savez(state, **beside)
    variables = [
        {"path": v.path, "shape": list(v.shape), "dtype": str(v.dtype), "xxh128": _hash(v)}
        for v in _variables(model)
    ]
    own = {
        "format": FORMAT,
        "epoch": epoch,
        "global_step": int(keras.ops.convert_to_numpy(model.optimizer.iterations)),
        "versions": {"keras": keras.version(), "numpy": np.__version__, "backend": keras.backend.backend()},
        "file_bytes": {path.name: path.stat().st_size for path in (weights, state)},
        "variables": variables,
    }
    _sync(weights)
    _sync(state)
    files.write_json(str(Path(folder, JSON_NAME)), {**content, **own})


def _check_room(model: keras.Model, path: Path) -> None:
    """Raises OSError where the disk is too full; HDF5 itself may end the process then."""
    needed = sum(keras.ops.convert_to_numpy(variable.value).nbytes for variable in _variables(model))
    wanted = needed + needed // 8 + 1_000_000
    if hasattr(os, "posix_fallocate"):
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, wanted)
        path.unlink()
    elif shutil.disk_usage(path.parent).free < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _publish(temporary: str, final: str) -> None:
    """Puts a written directory in its place; one that was there is out of the way first."""
    Path(temporary).chmod(0o777 & ~_umask())
    _sync(Path(temporary))
    if Path(final).exists():
        shutil.rmtree(_aside(final))
    Path(temporary).rename(final)
    _sync(Path(final).parent)


def _aside(final: str) -> str:
    aside = tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}replaced-", dir=Path(final).parent)
    return str(Path(final).rename(Path(aside, "old")).parent)


def _upload(temporary: str, final: str) -> None:
    """Object stores rename nothing: the file that makes a checkpoint complete is written last."""
    files.remove(files.join(final, JSON_NAME))
    for name in (WEIGHTS_NAME, STATE_NAME, JSON_NAME):
        with (
            Path(temporary, name).open("rb") as source,
            files.write_atomically(files.join(final, name)) as target,
        ):
            shutil.copyfileobj(source, target, 1 << 24)


@contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """A file as a local path for Keras: itself, or a copy that is removed afterwards."""
    if files.is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, files.name(path))
        with files.open_read(path) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 24)
        yield str(target)


def _check_same_variables(model: keras.Model, checkpoint: Checkpoint) -> None:
    saved = [(list(entry["shape"]), entry["dtype"]) for entry in checkpoint.content["variables"]]
    own = [(list(v.shape), str(v.dtype)) for v in _variables(model)]
    if saved == own:
        return
    entries = checkpoint.content["variables"]
    first = next(
        (i for i, (a, b) in enumerate(zip(saved, own, strict=False)) if a != b), min(len(saved), len(own))
    )
    theirs = f"{entries[first]['path']} {saved[first]}" if first < len(saved) else "nothing"
    ours = f"{_variables(model)[first].path} {own[first]}" if first < len(own) else "nothing"
    raise SeqmillError(
        f"{checkpoint.folder}: is of another model: {len(saved)} variables, the model has {len(own)}; "
        f"number {first + 1} is {theirs}, in the model {ours}"
    )


def _variables(model: keras.Model) -> list[Any]:
    """Every variable of model and optimizer, seed states included, in an order that models share."""
    return [*model.variables, *model.optimizer.variables]


def _beside_weights(model: keras.Model) -> list[Any]:
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def _hash(variable: Any) -> str:
    array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value))
    return str(xxhash.xxh128_hexdigest(array.tobytes()))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a directory
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
