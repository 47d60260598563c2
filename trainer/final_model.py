"""``model/final/``: the model that a training arrived at."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from seqmill.trainer.scores import History
from seqmill.trainer.state.values import value_of
from seqmill.trainer.write_checkpoint import copy_file, publish
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import SeqmillError
from seqmill.transforms.storage.temporaries import TEMPORARY_PREFIX

FOLDER_NAME = "final"
JSON_NAME = "final.json"
MODEL_NAME = "model.keras"
WEIGHTS_NAME = "model.weights.h5"
FORMAT = "seqmill.final/1"


def save_final(model: keras.Model, folder: str, history: History, say: Callable[[str], None]) -> None:
    """Writes the model as it is now, whole or not at all.

    ``final/model.keras`` is there where ``keras.saving.load_model`` gives back the same weights from it,
    which is tried; else ``final/model.weights.h5`` for the model that the model file builds. ``final.json``
    tells which, and the last epoch and its scores.

    Args:
        model: The trained model.
        folder: The model folder.
        history: The scores so far.
        say: Takes a line where the model cannot be written.
    """
    final = files.join(folder, FOLDER_NAME)
    local = files.is_local(folder)
    temporary = tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=folder if local else None)
    try:
        name, why = _write(model, Path(temporary))
        last = max(history.epochs, default=0)
        content = {
            "format": FORMAT,
            "file": name,
            "why_no_model": why,
            "epoch": last,
            "scores": history.to_json()["epochs"].get(str(last), {}),
        }
        files.write_json(str(Path(temporary, JSON_NAME)), content)
        if local:
            publish(temporary, final)
        else:
            for path in sorted(Path(temporary).iterdir(), key=lambda path: path.name == JSON_NAME):
                copy_file(path, files.join(final, path.name))
    except OSError as error:
        raise SeqmillError(f"{final}: the final model could not be written ({error})") from error
    except Exception as error:  # a layer's own way of saving
        say(f"{final}: Keras cannot write the model ({error!r}); its checkpoints are whole")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(model: keras.Model, folder: Path) -> tuple[str, str]:
    """Writes one of the two files; its name, and why it is not the model."""
    path = folder / MODEL_NAME
    try:
        model.save(path)
        loaded = keras.saving.load_model(path, compile=False)
        pairs = zip(_arrays(model), _arrays(loaded), strict=True)
        if all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs):
            return MODEL_NAME, ""
        why = "its weights are not all in Keras' file"
    except OSError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
    path.unlink(missing_ok=True)
    model.save_weights(folder / WEIGHTS_NAME)
    return WEIGHTS_NAME, why


def _arrays(model: keras.Model) -> list[np.ndarray]:
    return [value_of(variable) for variable in model.weights]
