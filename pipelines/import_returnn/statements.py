"""The names that a RETURNN config gives values to, read statement by statement; nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from seqmill.pipelines.import_returnn.bounds import measure, operate
from seqmill.pipelines.import_returnn.expressions import Expressions, Scope
from seqmill.pipelines.import_returnn.known_calls import CHANGING
from seqmill.pipelines.import_returnn.values import (
    Function,
    Imported,
    LostError,
    NotReadError,
    Unread,
    unread,
)

_MOST_CALLS = 30  # inside one another


class _Return(Exception):
    def __init__(self, value: Any):
        self.value = value


class _LeaveLoop(Exception):
    pass


class _NextTurn(Exception):
    pass


class Statements(Expressions):
    """Reads statements: assignments, ``if`` and ``for`` over what is known, and functions of such.

    ``lines`` says where a name of the config was last given a value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self._calls = 0

    def read(self, body: Sequence[ast.stmt]) -> None:
        """Reads the statements of a config."""
        for node in body:
            for name in _assigned(node):
                self.lines[name] = node.lineno
            try:
                self._statement(node, self.globals)
            except (_Return, _LeaveLoop, _NextTurn):
                continue

    def run(self, function: Function, values: dict[str, Any]) -> Any:
        """The result of a function of the config."""
        if self._calls >= _MOST_CALLS:
            raise NotReadError("too many calls inside one another")
        scope = Scope(function.scope)
        scope.names.update(values)
        self._calls += 1
        try:
            self._block(function.node.body, scope)
        except _Return as end:
            return end.value
        except (_LeaveLoop, _NextTurn):
            raise NotReadError from None
        finally:
            self._calls -= 1
        return None

    def _block(self, body: Sequence[ast.stmt], scope: Scope) -> None:
        for node in body:
            self._statement(node, scope)

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        self.step(node)
        method = getattr(self, f"_on_{type(node).__name__.lower()}", None)
        try:
            if method is None:
                raise NotReadError
            method(node, scope)
        except LostError as error:
            self._forget(node, scope, error.origin)
        except NotReadError as error:
            self._forget(node, scope, Unread(node.lineno, _head(node), str(error)))

    def _forget(self, node: ast.stmt, scope: Scope, lost: Unread) -> None:
        """Makes unknown what a statement would have changed."""
        for name in _assigned(node):
            scope.names[name] = lost
        if (
            any(isinstance(one, ast.Return | ast.Raise) for one in _within(node))
            and scope is not self.globals
        ):
            raise _Return(lost)

    def _on_assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self.value(node.value, scope)
        for target in node.targets:
            self.assign(target, value, scope)

    def _on_annassign(self, node: ast.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self.assign(node.target, self.value(node.value, scope), scope)

    def _on_augassign(self, node: ast.AugAssign, scope: Scope) -> None:
        if not isinstance(node.target, ast.Name | ast.Subscript):
            raise NotReadError
        before = self.known(_as_read(node.target), scope)
        value = operate(node.op, before, self.known(node.value, scope))
        measure(value)
        self.assign(node.target, value, scope)

    def _on_expr(self, node: ast.Expr, scope: Scope) -> None:
        self.known(node.value, scope)

    def _on_if(self, node: ast.If, scope: Scope) -> None:
        self._block(node.body if self.known(node.test, scope) else node.orelse, scope)

    def _on_for(self, node: ast.For, scope: Scope) -> None:
        for item in self._iterated(node.iter, scope):
            self.step(node)
            self.assign(node.target, item, scope)
            try:
                self._block(node.body, scope)
            except _LeaveLoop:
                return
            except _NextTurn:
                continue
        self._block(node.orelse, scope)

    def _on_break(self, node: ast.Break, scope: Scope) -> None:
        raise _LeaveLoop

    def _on_continue(self, node: ast.Continue, scope: Scope) -> None:
        raise _NextTurn

    def _on_return(self, node: ast.Return, scope: Scope) -> None:
        raise _Return(None if node.value is None else self.value(node.value, scope))

    def _on_functiondef(self, node: ast.FunctionDef, scope: Scope) -> None:
        if node.decorator_list:
            raise NotReadError
        arguments = node.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        defaults = dict(zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True))
        defaults |= {
            one.arg: default
            for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        }
        values = {name: self.value(default, scope) for name, default in defaults.items()}
        scope.names[node.name] = Function(node, values, scope)

    def _on_import(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            scope.names[alias.asname or name] = Imported(name)

    def _on_importfrom(self, node: ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            scope.names[alias.asname or alias.name] = Imported(f"{node.module or '.'}.{alias.name}")

    def _on_delete(self, node: ast.Delete, scope: Scope) -> None:
        for target in node.targets:
            if not isinstance(target, ast.Subscript):
                raise NotReadError
            self._method(self.known(target.value, scope), "pop", [self._plain(target.slice, scope)], {})

    def _on_assert(self, node: ast.Assert, scope: Scope) -> None:
        """Says nothing about values."""

    def _on_pass(self, node: ast.Pass, scope: Scope) -> None:
        """Does nothing."""


def _head(node: ast.stmt) -> str:
    """The beginning of a statement."""
    return unread(node).source if not hasattr(node, "body") else f"{type(node).__name__.lower()} …"


def _as_read(target: ast.Name | ast.Subscript) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(target.id, ast.Load()), target)
    return ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and all in it, but for the insides of functions and classes."""
    left = [node]
    while left:
        one = left.pop()
        yield one
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            left += ast.iter_child_nodes(one)


def _assigned(node: ast.stmt) -> Iterator[str]:
    """The names that a statement gives values to, or changes the values of."""
    for one in _within(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store | ast.Del):
            yield one.id
        elif isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store | ast.Del):
            yield from _base(one)
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in CHANGING:
            yield from _base(one.func)
        elif isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield one.name
        elif isinstance(one, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in one.names)


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
