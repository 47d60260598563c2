"""Reading a config of RETURNN, in each of its three forms, as data."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqmill.pipelines.import_returnn.bounds import measure
from seqmill.pipelines.import_returnn.statements import Statements
from seqmill.pipelines.import_returnn.values import Function, Imported, NotReadError, Unread
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import UsageError

_LARGEST = 5_000_000  # bytes
_OF_PYTHON = (ast.Assign, ast.FunctionDef, ast.Import, ast.ImportFrom)
_JSON_NAMES = {"true": True, "false": False, "null": None}


@dataclass
class Settings:
    """What a config sets.

    Attributes:
        values: The options by name; Unread where a value is not known.
        lines: Where each is set.
        notes: What was taken for granted.
    """

    values: dict[str, Any]
    lines: Mapping[str, int]
    notes: list[str]
    statements: Statements = field(repr=False)

    def called(self, function: Function) -> Any:
        """What a function without arguments gives."""
        try:
            return self.statements.run(function, dict(function.defaults))
        except NotReadError as error:
            return Unread(function.node.lineno, f"def {function.node.name}(…)", str(error))

    def evaluated(self, text: str) -> Any:
        """The value of a text that is an expression, in which names of the config may be."""
        try:
            return self.statements.value(_parsed(text, "eval").body, self.statements.globals)
        except SyntaxError as error:
            return Unread(0, text[:60], str(error.msg))


def read_config(path: str) -> Settings:
    """Reads a config: Python, JSON, or lines of a name and a value.

    Raises:
        UsageError: It is not there, none of these, or too large.
    """
    text = _text(path)
    try:
        if text.lstrip().startswith("{"):
            return _from_json(text)
        return _from_python(text, path)
    except SyntaxError as error:
        if _may_be_lines(path, text):
            return _from_lines(path, text)
        raise UsageError(f"{path}: line {error.lineno or 1}: not Python 3 or JSON: {error.msg}") from None


def _text(path: str) -> str:
    try:
        content = files.read_bytes(path)
        if len(content) > _LARGEST:
            raise UsageError(f"{path}: {len(content):,} bytes; expected a config of at most {_LARGEST:,}")
        return content.decode().replace("\r\n", "\n")
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"{path}: no such config") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8, so no config of RETURNN") from None


def _parsed(text: str, mode: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, mode=mode)
        except ValueError as error:
            raise SyntaxError(str(error)) from None
        except (MemoryError, RecursionError):
            raise SyntaxError("nested too deeply") from None


def _from_python(text: str, path: str) -> Settings:
    body = _parsed(text, "exec").body
    if _may_be_lines(path, text) and not any(isinstance(node, _OF_PYTHON) for node in body):
        raise SyntaxError("expected assignments")
    statements = Statements()
    statements.globals.names["__file__"] = path
    statements.read(body)
    values = {
        name: _option(value, statements.lines.get(name, 0))
        for name, value in statements.globals.names.items()
        if not isinstance(value, Imported) and name != "__file__"
    }
    return Settings(values, statements.lines, statements.notes, statements)


def _may_be_lines(path: str, text: str) -> bool:
    return not text.lstrip().startswith(("#!", "{")) and not path.endswith(".py")


def _option(value: Any, line: int) -> Any:
    try:
        measure(value)
    except NotReadError as error:
        return Unread(line, "…", str(error))
    return value


def _from_json(text: str) -> Settings:
    """JSON, which but for three names is an expression of Python."""
    node = _parsed(text.strip(), "eval").body
    statements = Statements()
    statements.globals.names.update(_JSON_NAMES)
    values, lines = {}, {}
    for key, value in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise SyntaxError("expected names in quotes", ("", key.lineno if key else 0, 0, ""))
        values[key.value], lines[key.value] = statements.value(value, statements.globals), key.lineno
    return Settings(values, lines, statements.notes, statements)


def _from_lines(path: str, text: str) -> Settings:
    """The oldest form: a name and a value in each line."""
    statements = Statements()
    values: dict[str, Any] = {}
    lines = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(None, 1)
        if not words:
            continue
        if len(words) == 1 or not words[0].replace("_", "").isalnum():
            raise UsageError(
                f"{path}: line {number}: {line[:60]!r}; expected Python, JSON, or lines of a name and a value"
            )
        values[words[0]], lines[words[0]] = _literal(words[1].strip(), statements), number
    return Settings(values, lines, statements.notes, statements)


def _literal(text: str, statements: Statements) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        node = _parsed(text, "eval").body
    except SyntaxError:
        return text
    if isinstance(node, ast.Constant | ast.UnaryOp | ast.Dict | ast.List | ast.Tuple):
        value = statements.value(node, statements.globals)
        return text if isinstance(value, Unread) else value
    return text
