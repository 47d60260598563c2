"""Operators and formats of Python over plain values, with bounds on what they may make."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from string import Formatter
from typing import Any

from seqmill.pipelines.import_returnn.values import NotReadError

MOST_TEXT = 100_000  # characters
_MOST_TEXT_IN_ALL = 5_000_000  # of a value, which may be made one text
MOST_ITEMS = 20_000  # of a value, with all that is in it
MOST_BITS = 256
DEEPEST = 60
_WIDEST = 1000  # of a formatted value

_SIMPLE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.RShift: operator.rshift,
}
_PERCENT = re.compile(r"%(?:\([^()]*\))?[-+ #0]*(\*|\d*)(?:\.(\*|\d*))?[hlL]?(.)", re.DOTALL)


def measure(value: Any) -> int:
    """How many things a value is made of.

    Raises:
        NotReadError: It is too large or too deep.
    """
    if isinstance(value, str | bytes):
        if len(value) > MOST_TEXT:
            raise NotReadError("too long")
        return 1
    if isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            raise NotReadError("too large")
        return 1
    count, num_characters, left = 0, 0, [(value, 1)]
    while left:
        one, depth = left.pop()
        count += 1
        if count + len(left) > MOST_ITEMS or depth > DEEPEST:
            raise NotReadError("too large")
        if isinstance(one, dict):
            left += [(inner, depth + 1) for pair in one.items() for inner in pair]
        elif isinstance(one, list | tuple | set | frozenset | range):
            if len(one) > MOST_ITEMS:
                raise NotReadError("too large")
            left += [(inner, depth + 1) for inner in one]
        elif isinstance(one, str | bytes | int):
            measure(one)
            num_characters += len(one) if isinstance(one, str | bytes) else 0
            if num_characters > _MOST_TEXT_IN_ALL:
                raise NotReadError("too long")
    return count


def holds(value: Any, container: Any) -> bool:
    """Whether a value has a container in it (or is it), which must not be put into that one."""
    left = [value]
    while left:
        one = left.pop()
        if one is container:
            return True
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            left += one
    return False


def operate(kind: ast.operator, left: Any, right: Any) -> Any:
    """The value of ``left OPERATOR right``.

    Raises:
        NotReadError: It would be too large, or Python has no such operation.
    """
    measure(left), measure(right)
    if isinstance(kind, ast.Mod) and isinstance(left, str):
        return percent(left, right)
    try:
        if isinstance(kind, ast.Mult):
            return _times(left, right)
        if isinstance(kind, ast.Pow):
            return _power(left, right)
        if isinstance(kind, ast.LShift):
            _power(2, right)  # which says whether that is too large
            return left << right
        if isinstance(kind, ast.Mod):
            return left % right
        if type(kind) not in _SIMPLE:
            raise NotReadError
        return _SIMPLE[type(kind)](left, right)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise NotReadError(str(error)) from None


def _times(left: Any, right: Any) -> Any:
    for many, times in ((left, right), (right, left)):
        if (
            isinstance(many, str | bytes | list | tuple)
            and isinstance(times, int)
            and len(many) * times > MOST_ITEMS
        ):
            raise NotReadError("too long")
    return left * right


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent > MOST_BITS or max(base.bit_length(), 1) * max(exponent, 1) > MOST_BITS:
            raise NotReadError("too large")
    elif not isinstance(base, int | float) or not isinstance(exponent, int | float):
        raise NotReadError
    result = base**exponent
    if isinstance(result, complex):
        raise NotReadError
    return result


def percent(text: str, values: Any) -> str:
    """``text % values``.

    Raises:
        NotReadError: A width is too large, or values do not fit.
    """
    for match in _PERCENT.finditer(text):
        *widths, kind = match.groups()
        if kind == "(":
            raise NotReadError("expected plain names in brackets")
        for width in widths:
            if width == "*" or (width and int(width[:9]) > _WIDEST):
                raise NotReadError("too wide")
    try:
        return text % values
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise NotReadError(str(error)) from None


def braces(text: str, positional: list[Any], named: dict[str, Any]) -> str:
    """``text.format(*positional, **named)``, without attributes and items of values.

    Raises:
        NotReadError: It would be too wide, or values do not fit.
    """
    parts, counter = [], 0
    try:
        for literal, field, spec, conversion in Formatter().parse(text):
            parts.append(literal)
            if field is None:
                continue
            if not field:
                field, counter = str(counter), counter + 1
            if not field.isidentifier() and not field.isdecimal():
                raise NotReadError("expected plain names in braces")
            value = positional[int(field[:9])] if field.isdecimal() else named[field]
            parts.append(formatted(value, spec or "", conversion))
    except (ValueError, KeyError, IndexError) as error:
        raise NotReadError(str(error)) from None
    return "".join(parts)


def formatted(value: Any, spec: str, conversion: str | None) -> str:
    """A value as a format has it.

    Raises:
        NotReadError: It would be too wide, or the format is not for such a value.
    """
    measure(value)
    if any(int(digits[:9]) > _WIDEST for digits in re.findall(r"\d+", spec)) or "{" in spec:
        raise NotReadError("too wide")
    if conversion:
        conversions: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
        value = conversions[conversion](value)
    elif not isinstance(value, str | int | float):
        value = str(value)
    try:
        return format(value, spec)
    except (TypeError, ValueError, OverflowError) as error:
        raise NotReadError(str(error)) from None
