"""Writing checkpoints."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seqmill.trainer.array_files import index_h5, write_npz
from seqmill.trainer.checkpoints import (
    ENDED_JSON_NAME,
    ENDED_NAME,
    FORMAT,
    JSON_NAME,
    STATE_NAME,
    WEIGHTS_NAME,
    Checkpoint,
    folder_name,
    move_aside,
    read,
)
from seqmill.trainer.state.model_state import arrays_of, slots
from seqmill.trainer.state.values import Arrays, value_of
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX


def save(
    model: keras.Model,
    folder: str,
    epoch: int,
    content: Mapping[str, Any],
    arrays: Arrays,
    batches: int | None = None,
) -> str:
    """Writes the checkpoint of ``epoch`` into a model folder, reads it back and compares, then publishes it.

    Args:
        model: A built model with a built optimizer.
        folder: The model folder.
        epoch: The epoch just trained, or in training, from 1.
        content: For ``checkpoint.json``: what ``ModelState.describe`` gave, ``training`` (an id) and more.
        arrays: Those that ``content`` refers to, but for the model's variables.
        batches: How many batches of the epoch are done, where not all are.

    Returns:
        The checkpoint's directory.

    Raises:
        SeqmillError: It cannot be written (disk full, no permission). What was there before stays.
    """
    name = folder_name(epoch, batches)
    final = files.join(folder, name)
    inside = {} if batches is None else {"batches": batches}
    local = files.is_local(folder)
    try:
        files.make_folder(folder)
        parent = folder if local else tempfile.gettempdir()
        temporary = tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{name}-", dir=parent)
        try:
            _write(model, temporary, epoch, {**content, **inside}, arrays)
            publish(temporary, final) if local else _upload(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        raise SeqmillError(f"{final}: the checkpoint could not be written ({error})") from error
    return final


def save_end(model: keras.Model, folder: str, content: Mapping[str, Any], arrays: Arrays) -> None:
    """Adds to a checkpoint what was changed after it was written.

    Args:
        model: The model.
        folder: The checkpoint's directory.
        content: For ``ended.json``, as for ``save``.
        arrays: As for ``save``.

    Raises:
        SeqmillError: It cannot be written.
    """
    checkpoint = read(folder)
    known = _known(checkpoint)
    new = ((name, array) for name, array in _all(model, content, arrays) if name not in known)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary, ENDED_NAME)
            write_npz(path, new)
            copy_file(path, files.join(folder, ENDED_NAME))
            sizes = {ENDED_NAME: path.stat().st_size}
        files.write_json(
            files.join(folder, ENDED_JSON_NAME), {**content, "format": FORMAT, "file_bytes": sizes}
        )
    except OSError as error:
        raise SeqmillError(f"{folder}: the end of the epoch could not be written ({error})") from error


def publish(temporary: str, final: str) -> None:
    """Puts a written local directory in its place; one that was there is out of the way first."""
    Path(temporary).chmod(0o777 & ~_umask())
    for path in Path(temporary).iterdir():
        _sync(path)
    _sync(Path(temporary))
    if Path(final).exists():
        shutil.rmtree(move_aside(final))
    Path(temporary).rename(final)
    _sync(Path(final).parent)


def _write(model: keras.Model, folder: str, epoch: int, content: Mapping[str, Any], arrays: Arrays) -> None:
    weights, state = Path(folder, WEIGHTS_NAME), Path(folder, STATE_NAME)
    check_room(content, weights)
    in_h5, why_not = _write_weights(model, weights)
    write_npz(state, ((n, array) for n, array in _all(model, content, arrays) if n not in in_h5))
    written = [path for path in (weights, state) if path.exists()]
    own = {
        "format": FORMAT,
        "epoch": epoch,
        "global_step": int(value_of(model.optimizer.iterations)),
        "versions": {"keras": keras.version(), "numpy": np.__version__, "backend": keras.backend.backend()},
        "file_bytes": {path.name: path.stat().st_size for path in written},
        "in_h5": in_h5,
        **({"no_h5": why_not} if why_not else {}),
    }
    files.write_json(str(Path(folder, JSON_NAME)), {**content, **own})


def _write_weights(model: keras.Model, path: Path) -> tuple[dict[str, str], str]:
    """Lets Keras write its file; what is in it by hash, and why there is none."""
    try:
        model.save_weights(path)
        return index_h5(path), ""
    except (OSError, RuntimeError):
        raise
    except Exception as error:  # a layer's own way of saving; nothing is lost without the file
        path.unlink(missing_ok=True)
        return {}, f"{type(error).__name__}: {error}"


def _all(model: keras.Model, content: Mapping[str, Any], arrays: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    """Every array that a checkpoint refers to, once, by its hash."""
    done = set()
    for slot, entry in zip(slots(model), content["variables"], strict=True):
        if entry["xxh128"] not in done:
            done.add(entry["xxh128"])
            yield entry["xxh128"], slot.array()
    for name, array in arrays.items():
        if name not in done:
            yield name, array


def _known(checkpoint: Checkpoint) -> set[str]:
    return {entry["xxh128"] for entry in arrays_of(checkpoint.before)}


def check_room(content: Mapping[str, Any], path: Path) -> None:
    """Raises OSError where the disk is too full; HDF5 itself may end the process then."""
    needed = sum(
        int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize for entry in arrays_of(content)
    )
    wanted = needed + needed // 8 + 1_000_000
    if hasattr(os, "posix_fallocate"):
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, wanted)
        path.unlink()
    elif shutil.disk_usage(path.parent).free < wanted:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _upload(temporary: str, final: str) -> None:
    """Object stores rename nothing: the file that makes a checkpoint complete is written last."""
    for name in (JSON_NAME, ENDED_JSON_NAME):
        if files.exists(files.join(final, name)):
            files.remove(files.join(final, name))
    names: Iterable[str] = (WEIGHTS_NAME, STATE_NAME, JSON_NAME)
    for name in names:
        if Path(temporary, name).exists():
            copy_file(Path(temporary, name), files.join(final, name))


def copy_file(source: Path, target: str) -> None:
    """Copies a local file to a path or URL, whole or not at all."""
    with source.open("rb") as file, files.write_atomically(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 24)


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
