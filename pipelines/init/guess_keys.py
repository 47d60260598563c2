"""Which fields become data keys: what is the input, what the target, what the tag."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqmill.pipelines.init.field_kinds import Kind
from seqmill.pipelines.init.field_names import INPUT_NAMES, OF_TEXT, TARGET_NAMES
from seqmill.transforms.readers import FORMATS
from seqmill.transforms.storage.errors import SeqmillError

_AS_HEARD = [
    "nfc",
    "lower",
    {"regex": r"[^\p{L}\p{M}\p{N}']+", "replace": " "},
    {"regex": "^ | $", "replace": ""},
]
_LIKE_NORMALISED = re.compile(r"norm\w*")


@dataclass(frozen=True)
class Guess:
    """A data key.

    Attributes:
        key: Its name.
        kind: The field, and what it holds.
        why: Why it was taken.
        options: Further options of the data key.
    """

    key: str
    kind: Kind
    why: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Guesses:
    """What the fields of a corpus are for.

    Attributes:
        keys: The data keys, the input first.
        seq_tag: Field with a tag; None where there is none, or the format has its own.
        left_out: Why other fields are not used, by their names.
    """

    keys: Sequence[Guess]
    seq_tag: str | None
    left_out: Mapping[str, str]


def guess_keys(kinds: Sequence[Kind], format: str) -> Guesses:
    """Data keys for an input and a target.

    The input is sound before arrays ``[T, D]`` before everything else; among equals a field named like an
    input. The target is named like one, or is the next field that could be.

    Args:
        kinds: What each field holds.
        format: The format of the corpus.

    Raises:
        SeqmillError: No field can be a data key.
    """
    left_out = {kind.field: kind.why for kind in kinds if not kind.type}
    tags = [kind for kind in kinds if kind.type == "tag"]
    metadata = [kind for kind in kinds if kind.is_metadata]
    usable = [kind for kind in kinds if kind.type not in ("", "tag") and not kind.is_metadata]
    if not usable:
        # What looked like a tag or a detail is all there is.
        usable = [replace(kind, type="chars", why="text") for kind in tags] or metadata
        tags = metadata = []
    if not usable:
        fields = "; ".join(f"{name}: {why}" for name, why in [*left_out.items()][:8]) or "there are none"
        raise SeqmillError(f"no field of the records can be a data key: {fields}")
    first = min(usable, key=_input_rank)
    rest = [kind for kind in usable if kind is not first and kind.type != "log_mel"]
    target = min(rest, key=lambda kind: _target_rank(kind, first), default=None)
    keys = [Guess("data", first, f"{_a(first)}: the input", {})]
    if target is not None:
        options: dict[str, Any] = {"bos": True, "eos": True} if _needs_ends(first, target) else {}
        if first.type == "log_mel" and target.has_punctuation:
            options = {"normalize": _AS_HEARD}
        keys.append(Guess("classes", target, f"{_a(target)}: the target", options))
    elif first.type in ("chars", "words") and not first.is_single:
        keys = [Guess("data", first, "text alone: each label is predicted", {"bos": True, "eos": True})]
    for kind in usable:
        if kind is not first and kind is not target:
            left_out[kind.field] = f"could be a data key of type {kind.type} too ({kind.why})"
    left_out |= {kind.field: kind.why for kind in metadata}
    seq_tag = None
    if FORMATS[format].tag is None:
        names = [kind.field for kind in (first,) if kind.is_path and kind.is_distinct]
        # What is said may be said in several recordings, further on in the corpus too.
        own = [kind for kind in tags if not names or OF_TEXT.fullmatch(kind.name) is None]
        chosen = min(own, key=_tag_rank, default=None)
        seq_tag = next(iter(names), None) if chosen is None else chosen.field
    left_out |= {kind.field: "another name of the records" for kind in tags if kind.field != seq_tag}
    return Guesses(keys, seq_tag, left_out)


def _a(kind: Kind) -> str:
    return f"{kind.field!r} holds {kind.why}"


def _input_rank(kind: Kind) -> tuple[bool, int, bool, bool, bool, bool]:
    order = 0 if kind.type == "log_mel" else 1 if kind.num_dims == 2 else 2
    return (
        kind.name != "data",
        order,
        kind.is_single,
        INPUT_NAMES.fullmatch(kind.name) is None,
        TARGET_NAMES.fullmatch(kind.name) is not None,
        kind.type == "ints",
    )


def _target_rank(kind: Kind, data: Kind) -> tuple[bool, bool, bool, bool]:
    return (
        kind.name != "classes",
        _LIKE_NORMALISED.match(kind.name) is None or data.type != "log_mel",
        TARGET_NAMES.fullmatch(kind.name) is None,
        kind.type == "floats",
    )


def _tag_rank(kind: Kind) -> tuple[bool, bool]:
    return ("id" not in kind.name and "tag" not in kind.name and "key" not in kind.name, "." in kind.field)


def _needs_ends(data: Kind, target: Kind) -> bool:
    """Whether a model must write the target label by label, from ``<s>`` to ``</s>``.

    Sound is aligned with its text (CTC), and targets that are always as long as the input are labels of its
    frames.
    """
    is_text = target.type in ("chars", "words") and not target.is_single
    return is_text and data.type != "log_mel" and data.num_dims == 1 and data.lengths != target.lengths
