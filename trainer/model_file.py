"""Loading the model function, and what may stand beside it, from a Python file next to the config."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from seqmill.trainer.import_tensorflow import transpose_a_bool
from seqmill.trainer.model_option import EXPECTED, no_function, split_model_option
from seqmill.transforms.batches.manifest import Manifest
from seqmill.transforms.storage.errors import SeqmillError, UsageError


@dataclass(frozen=True)
class ModelFile:
    """A model file: the model function, and the optional functions that a file may define beside it.

    Attributes:
        build: function(manifest) → compiled ``keras.Model``.
        batch_to_xy: function(batch) → (x, y) or (x, y, sample_weight); ``None`` where the file has none.
        extra_scores: function(model, corpus) → more scores; ``None`` where the file has none.
        callbacks: function(manifest, folder) → Keras callbacks to add; ``None`` where the file has none.
        predict: function(model, batch) or function(model, batch, corpus) → a result per sequence; ``None``
            where the file has none.
    """

    build: Callable[[Manifest], Any]
    batch_to_xy: Callable[[dict[str, Any]], tuple[Any, ...]] | None = None
    extra_scores: Callable[[keras.Model, Any], dict[str, float]] | None = None
    callbacks: Callable[[Manifest, str], list[keras.callbacks.Callback]] | None = None
    predict: Callable[..., Any] | None = None


def load_model_file(model: str) -> ModelFile:
    """Loads ``PATH.py:function``; the file may import others from its own folder.

    Raises:
        UsageError: The option does not name a file and a function in it.
        SeqmillError: The file itself fails; the message holds its traceback.
    """
    path, name = split_model_option(model)
    module = _import(path)
    if not callable(getattr(module, name, None)):
        raise no_function(model)
    names = [field.name for field in fields(ModelFile) if field.name != "build"]
    others = {other: getattr(module, other, None) for other in names}
    return ModelFile(
        build=getattr(module, name),
        # not `from keras import callbacks`, which is a module
        **{other: value if callable(value) else None for other, value in others.items()},
    )


def build_model(model_file: ModelFile, manifest: Manifest) -> keras.Model:
    """Calls the model function.

    Raises:
        SeqmillError: It fails (the message holds its traceback) or returns something else.
    """
    try:
        model = model_file.build(manifest)
    except Exception as error:
        raise SeqmillError(f"{_own_traceback(error)}\nthe model function failed; {EXPECTED}") from error
    if not isinstance(model, keras.Model):
        raise SeqmillError(f"the model function returned {type(model).__name__}; {EXPECTED}")
    if not getattr(model, "compiled", False):
        raise SeqmillError(f"the model function returned a model that is not compiled; {EXPECTED}")
    if keras.backend.backend() == "tensorflow":
        transpose_a_bool()
    return model


def predictor(model_file: ModelFile, model: keras.Model, corpus: Any) -> Callable[[dict[str, Any]], Any]:
    """``predict`` of a model file for one model and corpus: function(batch) → a result per sequence.

    It raises SeqmillError, whose message holds the traceback, where ``predict`` fails.

    Raises:
        UsageError: The file defines no such function.
    """
    if (users := model_file.predict) is None:
        raise UsageError(
            "the model file defines no function predict(model, batch) → a list of one result per sequence"
        )
    more = (corpus,) if _takes_three(users) else ()

    def predict(batch: dict[str, Any]) -> Any:
        try:
            return users(model, batch, *more)
        except Exception as error:
            tags = ", ".join(batch["seq_tag"][:3])
            raise SeqmillError(f"{_own_traceback(error)}\npredict failed on the batch of {tags} …") from error

    return predict


def _takes_three(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
        return True
    except (TypeError, ValueError):
        return False


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"seqmill_model_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or "." in error.name:
            raise SeqmillError(_cannot_be_loaded(path, error)) from error
        raise SeqmillError(
            f"{path} imports {error.name}, which is not installed (`pip install {error.name}`, or the "
            f"package that has it) and is no file in {path.parent.resolve()}"
        ) from error
    except Exception as error:
        raise SeqmillError(_cannot_be_loaded(path, error)) from error
    return module


def _cannot_be_loaded(path: Path, error: Exception) -> str:
    return f"{_own_traceback(error)}\n{path} cannot be loaded; {EXPECTED}"


def _own_traceback(error: Exception) -> str:
    """The traceback without the frames of this file and of the import system."""
    own = error.__traceback__
    while own and own.tb_next and (own.tb_frame.f_code.co_filename == __file__ or _is_import(own)):
        own = own.tb_next
    return "".join(traceback.format_exception(type(error), error, own)).rstrip()


def _is_import(frame: Any) -> bool:
    return frame.tb_frame.f_code.co_filename.startswith("<frozen importlib")
