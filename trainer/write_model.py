"""Writing a model alone: the one that a training arrived at, an average, an export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from seqmill.trainer.array_files import index_h5, write_npz
from seqmill.trainer.checkpoints import STATE_NAME, WEIGHTS_NAME
from seqmill.trainer.saved_models import FINAL, FORMAT, JSON_NAME, MODEL_NAME
from seqmill.trainer.scores import History
from seqmill.trainer.state.model_state import OTHERS, ModelState, weights
from seqmill.trainer.state.values import Arrays
from seqmill.trainer.write_checkpoint import check_room, copy_file, publish
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.manifest_file import seal
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX


def save_final(state: ModelState, folder: str, history: History) -> None:
    """Writes the model that a training arrived at into its model folder, with its last scores."""
    last = max(history.epochs, default=0)
    facts = {
        "training": history.training,
        "epoch": last,
        "scores": history.to_json()["epochs"].get(str(last), {}),
    }
    save_model(state, files.join(folder, FINAL), facts)


def save_model(state: ModelState, folder: str, facts: Mapping[str, Any]) -> None:
    """Writes the model as it is now, whole or not at all; what stood there before is replaced.

    ``model.keras`` is there where ``keras.saving.load_model`` gives back the same weights from it, which is
    tried; else ``model.weights.h5`` for the model that the model file builds. Arrays that are in neither are
    in ``state.npz``, which ``read_saved`` heeds. ``model.json`` tells which, and why.

    Args:
        state: The model's.
        folder: Path or URL.
        facts: For ``model.json``: ``training`` (an id), ``epoch`` (the newest it is of) and more.

    Raises:
        SeqmillError: It cannot be written.
    """
    local = files.is_local(folder)
    try:
        if local:
            files.make_folder(files.parent(folder))
        temporary = tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=files.parent(folder) if local else None)
        try:
            _write(state, Path(temporary), facts)
            publish(temporary, folder) if local else _upload(Path(temporary), folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise SeqmillError(f"{folder}: the model could not be written ({error})") from error


def _write(state: ModelState, folder: Path, facts: Mapping[str, Any]) -> None:
    arrays: Arrays = {}
    described, _ = state.describe(arrays)
    own = weights(state.model)
    variables = [slot.entry() for slot in own]
    content = {**facts, "variables": variables, "attributes": described["attributes"]}
    check_room(content, folder / WEIGHTS_NAME)
    name, why = _write_keras(state.model, folder)
    in_h5 = index_h5(folder / name) if name else {}
    for slot, entry in zip(own, variables, strict=True):
        arrays.setdefault(entry["xxh128"], slot.array())
    write_npz(folder / STATE_NAME, ((digest, one) for digest, one in arrays.items() if digest not in in_h5))
    written = [folder / STATE_NAME, *([folder / name] if name else [])]
    more = {
        "format": FORMAT,
        "file": name,
        "why_no_model": why,
        "file_bytes": {path.name: path.stat().st_size for path in written},
        "in_h5": in_h5,
    }
    files.write_json(str(folder / JSON_NAME), seal({**content, **more}))


def _write_keras(model: keras.Model, folder: Path) -> tuple[str, str]:
    """Lets Keras write one of its files; its name, "" where it cannot, and why it is not the model."""
    path = folder / MODEL_NAME
    try:
        model.save(path)
        if _contents(keras.saving.load_model(path, compile=False)) == _contents(model):
            return MODEL_NAME, ""
        why = "its weights are not all in Keras' file"
    except OSError:
        raise
    except Exception as error:  # a layer's own way of saving, or one that Keras does not know
        why = _shortened(f"{type(error).__name__}: {error}")
    path.unlink(missing_ok=True)
    path = folder / WEIGHTS_NAME
    try:
        model.save_weights(path)
        return WEIGHTS_NAME, why
    except OSError:
        raise
    except Exception:  # state.npz holds everything then
        path.unlink(missing_ok=True)
        return "", why


def _shortened(why: str) -> str:
    """The beginning of a message of Keras', which goes on with the whole model as a dict."""
    first = why.splitlines()[0].split(" Full object config:")[0]
    return first if len(first) <= 500 else f"{first[:500]} …"


def _contents(model: keras.Model) -> list[tuple[str, str]]:
    """What every weight holds, by its hash: Keras' in order, then those that only attributes lead to."""
    keras_own = {id(variable) for variable in model.weights}  # without seed states, which Keras does not save
    wanted = [slot for slot in weights(model) if slot.group == OTHERS or id(slot.variable) in keras_own]
    found = [(slot.group, str(slot.entry()["xxh128"])) for slot in wanted]
    return [one for one in found if one[0] != OTHERS] + sorted(one for one in found if one[0] == OTHERS)


def _upload(temporary: Path, folder: str) -> None:
    """Object stores rename nothing: the file that makes the folder complete is written last."""
    if files.exists(files.join(folder, JSON_NAME)):
        files.remove(files.join(folder, JSON_NAME))
    for path in sorted(temporary.iterdir(), key=lambda path: path.name == JSON_NAME):
        copy_file(path, files.join(folder, path.name))
