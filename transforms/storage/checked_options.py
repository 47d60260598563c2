"""Options from outside, checked against a model: every mistake in words, and all of them at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from seqmill.transforms.storage.errors import UsageError

T = TypeVar("T")
Mistake = tuple[tuple[str, ...], str]
"""Where (names of tables, then that of the option) and what."""

MOST = 2**63 - 1  # TOML, Arrow and NumPy hold no larger whole numbers

_SHOWN = 200  # characters of a value in a message


class Options(BaseModel):
    """A table of options: frozen, nothing converted, no other names than its own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WrongOptionsError(UsageError):
    """Options that cannot be meant.

    Attributes:
        mistakes: Where each is, and what.
    """

    def __init__(self, mistakes: Iterable[Mistake]):
        self.mistakes = list(mistakes)
        super().__init__("\n".join(f"{'.'.join(where)}: {text}" for where, text in self.mistakes))


def checked(model: type[T], values: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> T:
    """A model of values.

    Args:
        model: A pydantic model or dataclass.
        values: By option.
        context: What the model's validators need to know besides.

    Raises:
        WrongOptionsError: Names every wrong option, what was found and what is expected.

    >>> class Batches(Options):
    ...     max_seqs: int
    >>> checked(Batches, {"max_seqs": 3}).max_seqs
    3
    """
    adapter = TypeAdapter(model)
    try:
        return adapter.validate_python(dict(values), context=context)
    except ValidationError as error:
        mistakes = _mistakes(error, model)
    # What is wrong between options is seen only once each by itself is right or left out.
    wrong = {where[0] for where, _ in mistakes if where}
    try:
        adapter.validate_python({k: v for k, v in values.items() if k not in wrong}, context=context)
    except ValidationError as error:
        later = _mistakes(error, None)
        mistakes += [mistake for mistake in later if not {*mistake[0]} & wrong and mistake not in mistakes]
    raise WrongOptionsError(mistakes)


def option_fields(model: type[Any]) -> dict[str, Any]:
    """The options of a model by name, as pydantic describes them."""
    return dict(model.__pydantic_fields__)


def whole_number(least: int, most: int = MOST) -> Callable[[Any], Any]:
    """A validator of whole numbers."""

    def check(value: Any) -> Any:
        if type(value) is not int or value < least:
            raise ValueError(f"expected a whole number of at least {least}")
        if value > most:
            raise ValueError(f"expected a whole number of at most {most}")
        return value

    return check


def is_absence(value: Any) -> bool:
    """Whether a value says that there is to be none: 0, false or "none"."""
    return value is False or value == "none" or (type(value) is int and value == 0)


def none_or(check: Callable[[Any], Any], is_none: Callable[[Any], bool] = is_absence) -> Callable[[Any], Any]:
    """A validator that takes absence (also 0, false and "none") as None, and leaves all else to another."""
    return lambda value: None if value is None or is_none(value) else check(value)


def one_of(*choices: str) -> Callable[[Any], Any]:
    """A validator of choices."""

    def check(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return check


def says_all(text: str) -> PydanticCustomError:
    """An error for validators to raise whose text needs no value before it."""
    return PydanticCustomError("says_all", "{text}", {"text": text})


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean …?"``, or nothing where no known name is near.

    >>> did_you_mean("bath_size", ["batch_size", "seed"])
    '; did you mean batch_size?'
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _mistakes(error: ValidationError, model: type[Any] | None) -> list[Mistake]:
    found: list[Mistake] = []
    for item in error.errors():
        where = tuple(str(part) for part in item["loc"])
        text = re.sub(r"^(Value error, |Input should be )", "", item["msg"])
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            found.append((where, _unknown(where, model)))
        elif item["type"] == "missing":
            found.append((where, "required, but missing"))
        elif item["type"] == "says_all":
            found += [(where, line) for line in text.splitlines()]
        elif where:
            expected = text if item["type"] == "value_error" else f"expected {text[0].lower()}{text[1:]}"
            found.append((where, f"found {_shown(item['input'])}; {expected}"))
        else:  # of several options together
            found += [(where, line) for line in text.splitlines()]
    return found


def _unknown(where: tuple[str, ...], model: type[Any] | None) -> str:
    """What to say of an unknown option, which may stand in a table inside of the model's."""
    *tables, name = where
    fields = outer = {} if model is None else option_fields(model)
    for table in filter(fields.__contains__, tables[:1]):
        inner = next(_models(fields[table].annotation), None)
        fields = fields if inner is None else option_fields(inner)
    if name in outer and fields is not outer:
        return f"unknown option of this table; {name} is one of the table around it"
    return f"unknown option{did_you_mean(name, [one for one in fields if one != 'name'])}"


def _models(annotation: Any) -> Iterator[type[Any]]:
    """The models in a type, such as that of a list of them."""
    if hasattr(annotation, "__pydantic_fields__"):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
