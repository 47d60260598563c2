"""Option ``model``, looked at before any work: without importing the file, nor what it imports."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from seqmill.transforms.storage.errors import UsageError

EXPECTED = "expected function(manifest) → compiled keras.Model"

# A file that uses these may define names that are written nowhere in it.
_DEFINE_ANYTHING = ("exec", "globals", "setattr", "vars", "__getattr__", "*")


def check_model_option(model: str | None) -> str:
    """Refuses what cannot be a model: no option, no such file, no Python, or no such function in it.

    Args:
        model: ``FILE.py:function``.

    Returns:
        The option.

    Raises:
        UsageError: Says what is wrong.
    """
    if not model:
        raise UsageError(
            'no model: set model = "FILE.py:function" (function(manifest) → compiled keras.Model)'
        )
    path, name = split_model_option(model)
    try:
        with warnings.catch_warnings(action="ignore"):  # they come where the file is imported
            names = _defined_names(ast.parse(path.read_bytes()))
    except SyntaxError as error:
        where = "" if error.lineno is None else f", line {error.lineno}"
        raise UsageError(f"model = {model!r}: {path}{where}: not Python: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"model = {model!r}: {path}: not Python: {error}") from None
    if name not in names and names.isdisjoint(_DEFINE_ANYTHING):
        raise no_function(model)
    return model


def split_model_option(model: str) -> tuple[Path, str]:
    """The file and the function's name.

    Raises:
        UsageError: The option is no ``FILE.py:function``, or there is no such file.
    """
    path, colon, name = model.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise UsageError(f'model = {model!r}; expected "FILE.py:function"')
    if not Path(path).is_file():
        raise UsageError(f"model = {model!r}: there is no file {path}")
    return Path(path), name


def no_function(model: str) -> UsageError:
    """The error for a file without the function."""
    path, _, name = model.rpartition(":")
    return UsageError(f"model = {model!r}: {path} defines no function {name!r}; {EXPECTED}")


def _defined_names(tree: ast.Module) -> set[str]:
    """Every name that a file binds or could bind anywhere, and names of ``_DEFINE_ANYTHING`` that it uses."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Store) or node.id in _DEFINE_ANYTHING):
            names.add(node.id)
    return names
