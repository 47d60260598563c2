"""In what the arrays of a data key are others than expected, in words of options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import orjson

from seqmill.transforms.features.array_spec import ArraySpec
from seqmill.transforms.features.data_keys import DataKey


def differences(found: ArraySpec, expected: ArraySpec) -> str:
    """What differs, option by option; nothing where they are equal.

    >>> found = ArraySpec("words", "<i4", (), 9, processing={"eos": "</s>"})
    >>> differences(found, ArraySpec("words", "<i4", (), 8))
    'num_labels is 9, not 8; eos is "</s>", not set'
    """
    return "; ".join(_each(_options(found), _options(expected)))


def asked_otherwise(found: ArraySpec, key: DataKey) -> str:
    """``differences`` from what a data key asks for, as far as its options alone tell that."""
    found = replace(found, pad=0)  # whose number comes from the vocabulary
    return differences(found, replace(found, type=key.type, dtype=key.elements, processing=key.processing))


def _each(found: dict[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    for name in {**found, **expected}:
        was, wanted = found.get(name), expected.get(name)
        if was != wanted:
            not_wanted = "not set" if wanted is None else f"not {_shown(wanted)}"
            yield f"{name} is {'not set' if was is None else _shown(was)}, {not_wanted}"


def _options(spec: ArraySpec) -> dict[str, Any]:
    options = {field.name: getattr(spec, field.name) for field in fields(ArraySpec)}
    processing = options.pop("processing")
    if "pad" in processing or not spec.pad:  # the label says more than its number
        del options["pad"]
    return {**options, **processing}


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()
