"""The values of expressions of a RETURNN config, as far as they follow from what is written in it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seqmill.pipelines.import_returnn.bounds import DEEPEST, formatted, measure, operate
from seqmill.pipelines.import_returnn.known_calls import FUNCTIONS, call_function, call_method
from seqmill.pipelines.import_returnn.values import (
    Function,
    Imported,
    LostError,
    NotReadError,
    Unread,
    find_unread,
    tried,
    unread,
)
from seqmill.transforms.storage.errors import UsageError

_MOST_STEPS = 500_000
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_OF_CONFIG = ("int", "float", "bool", "value", "typed_value", "opt_typed_value", "list", "bool_or_other")
_KEEPING = ("dict", "list", "tuple", "print", "len", "enumerate", "zip", "copy.copy", "copy.deepcopy")
_CACHES = ("cf", "cached_file", "CachedFile")  # as configs call the cache manager


class Scope:
    """Names and their values, in those of an outer scope."""

    def __init__(self, outer: Scope | None = None):
        self.names: dict[str, Any] = {}
        self.outer = outer

    def find(self, name: str) -> Any:
        """The value of a name; raises KeyError."""
        if name in self.names or self.outer is None:
            return self.names[name]
        return self.outer.find(name)


class Expressions:
    """Evaluates expressions, within bounds. ``notes`` is what has been taken for granted, with its line."""

    def __init__(self) -> None:
        self.globals = Scope()
        self.notes: list[str] = []
        self._steps = 0
        self._depth = 0

    def run(self, function: Function, values: dict[str, Any]) -> Any:
        """The result of a function of the config, of which ``values`` are the arguments."""
        raise NotImplementedError

    def step(self, node: ast.AST, count: int = 1) -> None:
        """Counts what has been done.

        Raises:
            UsageError: It is more than reading a config can take.
        """
        self._steps += count
        if self._steps > _MOST_STEPS:
            raise UsageError(f"line {getattr(node, 'lineno', 0)}: too much to calculate for reading a config")

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """The value of an expression, or Unread."""
        self.step(node)
        if self._depth > DEEPEST * 2:
            return Unread(node.lineno, "…", "nested too deeply")
        self._depth += 1
        try:
            method = getattr(self, f"_{type(node).__name__.lower()}", None)
            if method is None:
                return unread(node)
            result = method(node, scope)
            self.step(node, measure(result))
            return result
        except LostError as error:
            return error.origin if error.origin.line else unread(node)
        except NotReadError as error:
            return unread(node, str(error))
        finally:
            self._depth -= 1

    def known(self, node: ast.expr, scope: Scope) -> Any:
        """The value of an expression of which nothing may be unknown.

        Raises:
            NotReadError: It is not known.
        """
        value = self.value(node, scope)
        if isinstance(value, Unread):
            raise LostError(value)
        return value

    def _constant(self, node: ast.Constant, _: Scope) -> Any:
        if isinstance(node.value, complex | bytes) or node.value is ...:
            raise NotReadError
        return node.value

    def _name(self, node: ast.Name, scope: Scope) -> Any:
        try:
            return scope.find(node.id)
        except KeyError:
            if node.id in FUNCTIONS or node.id in (*_CACHES, "config", "range"):
                return Imported(node.id)
            raise NotReadError("no such name") from None

    def _list(self, node: ast.List, scope: Scope) -> Any:
        return list(self._items(node.elts, scope))

    def _tuple(self, node: ast.Tuple, scope: Scope) -> Any:
        return tuple(self._items(node.elts, scope))

    def _set(self, node: ast.Set, scope: Scope) -> Any:
        return set(map(_hashed, self._items(node.elts, scope)))

    def _items(self, nodes: list[ast.expr], scope: Scope) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self._iterated(node.value, scope)
            else:
                yield self.value(node, scope)

    def _iterated(self, node: ast.expr, scope: Scope) -> list[Any]:
        many = self.known(node, scope)
        if not isinstance(many, list | tuple | set | dict | str):
            raise NotReadError
        return list(many)

    def _dict(self, node: ast.Dict, scope: Scope) -> Any:
        table: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                table[_hashed(self.known(key, scope))] = self.value(value, scope)
                continue
            other = self.known(value, scope)
            if not isinstance(other, dict):
                raise NotReadError
            table |= other
        return table

    def _binop(self, node: ast.BinOp, scope: Scope) -> Any:
        left, right = self.known(node.left, scope), self.known(node.right, scope)
        if not isinstance(node.op, ast.Add | ast.BitOr | ast.Mult):  # which keep what is in a list or a table
            _all_known([left, right])
        return operate(node.op, left, right)

    def _plain(self, node: ast.expr, scope: Scope) -> Any:
        """A value in which nothing is unknown.

        Raises:
            NotReadError: Something is.
        """
        value = self.known(node, scope)
        _all_known([value])
        return value

    def _unaryop(self, node: ast.UnaryOp, scope: Scope) -> Any:
        return tried(_UNARY[type(node.op)], self._plain(node.operand, scope))

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Any:
        value = None
        for one in node.values:
            value = self.known(one, scope)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _compare(self, node: ast.Compare, scope: Scope) -> Any:
        left = self._plain(node.left, scope)
        for kind, other in zip(node.ops, node.comparators, strict=True):
            right = self._plain(other, scope)
            if not tried(_COMPARE[type(kind)], left, right):
                return False
            left = right
        return True

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Any:
        return self.value(node.body if self.known(node.test, scope) else node.orelse, scope)

    def _joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Any:
        return "".join(self.known(part, scope) for part in node.values)

    def _formattedvalue(self, node: ast.FormattedValue, scope: Scope) -> Any:
        spec = self.known(node.format_spec, scope) if node.format_spec else ""
        conversion = chr(node.conversion) if node.conversion > 0 else None
        return formatted(self._plain(node.value, scope), spec, conversion)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Any:
        value = self.known(node.value, scope)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            index: Any = slice(*(bound and self._plain(bound, scope) for bound in bounds))
        else:
            index = self._plain(node.slice, scope)
        if not isinstance(value, list | tuple | dict | str):
            raise NotReadError
        return tried(operator.getitem, value, index)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Any:
        value = self.known(node.value, scope)
        if not isinstance(value, Imported):
            raise NotReadError
        return Imported(f"{value.name}.{node.attr}")

    def _listcomp(self, node: ast.ListComp, scope: Scope) -> Any:
        return [self.value(node.elt, inner) for inner in self._loops(node.generators, scope)]

    def _generatorexp(self, node: ast.GeneratorExp, scope: Scope) -> Any:
        return [self.value(node.elt, inner) for inner in self._loops(node.generators, scope)]

    def _setcomp(self, node: ast.SetComp, scope: Scope) -> Any:
        return {_hashed(self.known(node.elt, inner)) for inner in self._loops(node.generators, scope)}

    def _dictcomp(self, node: ast.DictComp, scope: Scope) -> Any:
        return {
            _hashed(self.known(node.key, inner)): self.value(node.value, inner)
            for inner in self._loops(node.generators, scope)
        }

    def _loops(self, generators: list[ast.comprehension], scope: Scope) -> Iterator[Scope]:
        if not generators:
            yield scope
            return
        first, *others = generators
        for item in self._iterated(first.iter, scope):
            inner = Scope(scope)
            self.assign(first.target, item, inner)
            if all(self.known(test, inner) for test in first.ifs):
                yield from self._loops(others, inner)

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Gives a value to what stands on the left of ``=``.

        Raises:
            NotReadError: That is not known.
        """
        if isinstance(target, ast.Name):
            scope.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            many = list(value) if isinstance(value, list | tuple | str) else []
            values = many if len(many) == len(target.elts) else [unread(target)] * len(target.elts)
            for one, item in zip(target.elts, values, strict=True):
                self.assign(one, item, scope)
        elif isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            self._set_item(target, value, scope)
        else:
            raise NotReadError

    def _set_item(self, target: ast.Subscript, value: Any, scope: Scope) -> None:
        container, index = self.known(target.value, scope), _hashed(self._plain(target.slice, scope))
        if isinstance(container, dict):
            call_method(container, "update", [{index: value}], {})
        elif isinstance(container, list):
            call_method(container, "insert", [tried(operator.index, index), value], {})
            tried(container.pop, index + 1 if index >= 0 else index)
        else:
            raise NotReadError

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        positional = list(self._items(node.args, scope))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is None and isinstance(value, dict) and all(isinstance(k, str) for k in value):
                named |= value
            elif keyword.arg is not None:
                named[keyword.arg] = value
            else:
                raise NotReadError
        self.step(node, sum(map(measure, [*positional, named])))
        if isinstance(node.func, ast.Attribute):
            owner = self.known(node.func.value, scope)
            if not isinstance(owner, Imported):
                return self._method(owner, node.func.attr, positional, named)
        function = self.value(node.func, scope)
        if isinstance(function, Function):
            result = self.run(function, _arguments(function, positional, named))
            return self._cached(node, positional) if isinstance(result, Unread) else result
        if not isinstance(function, Imported):
            raise NotReadError
        return self._imported(node, function.name, positional, named)

    def _method(self, owner: Any, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        if isinstance(owner, str):
            _all_known([*positional, *named.values()])
        return call_method(owner, name, positional, named)

    def _imported(self, node: ast.Call, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        if name.startswith("config.") or name in ("os.environ.get", "os.getenv"):
            return self._default(node, name, positional, named)
        if name.rpartition(".")[2] in _CACHES:
            return self._cached(node, positional)
        if name not in _KEEPING:
            _all_known([*positional, *named.values()])
        return call_function(name, positional, named)

    def _default(self, node: ast.Call, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        """What RETURNN gives where nothing is set outside of the config."""
        _all_known(positional[:1])
        what = name.rpartition(".")[2]
        if name.startswith("config."):
            option = str(positional[0]) if positional else ""
            if what == "has":
                return option in self.globals.names
            if what == "is_true":
                value = self.globals.names.get(option)
                _all_known([value])
                return bool(value)
            if what not in _OF_CONFIG:
                raise NotReadError
            if option in self.globals.names:
                return self.globals.names[option]
        default = positional[1] if len(positional) > 1 else named.get("default")
        self.notes.append(
            f"line {node.lineno}: {unread(node).source} is taken to be {default!r}, its default"
        )
        return default

    def _cached(self, node: ast.Call, positional: list[Any]) -> Any:
        """A file's name for the copy of it that a cache manager makes."""
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in _CACHES or len(positional) != 1 or not isinstance(positional[0], str):
            raise NotReadError
        self.notes.append(f"line {node.lineno}: {unread(node).source} is taken to be the file itself")
        return positional[0]


def _all_known(values: Iterable[Any]) -> None:
    for value in values:
        if (lost := find_unread(value)) is not None:
            raise LostError(lost)


def _hashed(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise NotReadError from None
    return value


def _arguments(function: Function, positional: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name."""
    accepted = function.node.args
    names = [one.arg for one in (*accepted.posonlyargs, *accepted.args)]
    known = {*names, *(one.arg for one in accepted.kwonlyargs)}
    values = {**function.defaults, **dict(zip(names, positional, strict=False))}
    values |= {name: value for name, value in named.items() if name in known}
    rest = {name: value for name, value in named.items() if name not in known}
    more = tuple(positional[len(names) :])
    if set(values) != known or (rest and not accepted.kwarg) or (more and not accepted.vararg):
        raise NotReadError
    if accepted.kwarg:
        values[accepted.kwarg.arg] = rest
    if accepted.vararg:
        values[accepted.vararg.arg] = more
    return values
