"""One vocabulary for several data keys: ``vocab = "@data"`` is the one of the data key ``data``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from seqmill.transforms.features.data_keys import LABEL_TYPES, DataKey
from seqmill.transforms.features.special_labels import special_labels
from seqmill.transforms.storage.checked_options import Mistake, WrongOptionsError, did_you_mean


def with_shared_vocabs(keys: Mapping[str, DataKey]) -> dict[str, DataKey]:
    """Data keys as they are where vocabularies are shared: the owner says what it does not say itself.

    Raises:
        WrongOptionsError: A vocabulary is shared that there is not, or by keys that cannot have the same.

    >>> keys = {"a": DataKey("a", "a", "words", unk="?"), "b": DataKey("b", "b", "words", vocab="@a")}
    >>> with_shared_vocabs(keys)["b"].unk
    '?'
    """
    mistakes: list[Mistake] = []
    shared = {}
    for name, key in keys.items():
        if key.vocab == f"@{name}":
            mistakes.append(
                ((name, "vocab"), f"found {key.vocab!r}, its own name; expected another data key")
            )
        elif key.labels_of == name:
            shared[name] = key
        elif (problem := _why_not(key, keys)) is not None:
            mistakes.append(((name, "vocab"), f"found {key.vocab!r}; {problem}"))
        elif key.type in LABEL_TYPES:
            owner = keys[key.labels_of]
            shared[name] = replace(
                key,
                unk=owner.unk if key.unk is None else key.unk,
                pad=owner.pad if key.pad is None else key.pad,
                vocab_format=owner.vocab_format,
            )
        else:
            shared[name] = key
    mistakes += _too_few(shared)
    if mistakes:
        raise WrongOptionsError(mistakes)
    return shared


def given_vocab(key: DataKey, keys: Sequence[DataKey]) -> str | None:
    """The file that gives the labels of a data key, its own or that of the one whose vocabulary it has."""
    return next(one.vocab for one in keys if one.name == key.labels_of)


def sharing(owner: DataKey, keys: Sequence[DataKey]) -> list[DataKey]:
    """The data keys that have the vocabulary of a data key, itself first."""
    return [owner, *(key for key in keys if key.labels_of == owner.name and key is not owner)]


def fields_of_two(source: Sequence[DataKey], keys: Sequence[DataKey]) -> Iterator[str]:
    """What to say where one field has two vocabularies, so that a label has two numbers.

    Args:
        source: Data keys that are read from the same files.
        keys: All data keys.

    >>> counted = DataKey("source", "text", "words"), DataKey("target", "text", "words", eos=True)
    >>> next(fields_of_two(counted, counted))
    'data keys source and target have two vocabularies of one field, text: a label is ...'
    """
    for first, second in combinations(source, 2):
        alike = first.field == second.field and first.type == second.type
        if alike and first.type in LABEL_TYPES and _vocabulary(first, keys) != _vocabulary(second, keys):
            hint = "" if second.type == "subwords" else f'; vocab = "@{first.labels_of}" gives both one'
            yield (
                f"data keys {first.name} and {second.name} have two vocabularies of one field, "
                f"{first.field}: a label is another number in each{hint}"
            )


def _why_not(key: DataKey, keys: Mapping[str, DataKey]) -> str | None:
    owner = keys.get(key.labels_of)
    if owner is None:
        return f"there is no data key {key.labels_of!r}{did_you_mean(key.labels_of, keys)}"
    if owner.labels_of != owner.name:
        return f"{owner.name} has the vocabulary of {owner.labels_of}: expected '@{owner.labels_of}'"
    if key.vocab_format not in (None, owner.vocab_format):
        return f"vocab_format is an option of {owner.name} then"
    if owner.vocab is not None:
        return None
    if not owner.has_counted_vocab:
        if owner.tokenizer is not None and key.type == "ints":
            return None
        return f"{owner.name} has no vocabulary for type {key.type}; expected a key with vocab = FILE"
    if key.type not in (owner.type, "ints"):
        return f"the labels of {owner.name} are counted as {owner.type}, and cannot be those of {key.type}"
    for option in ("unk", "pad"):
        if getattr(key, option) not in (None, getattr(owner, option)):
            return f"{option} is an option of {owner.name} then, whose labels are counted"
    return None


def _too_few(keys: Mapping[str, DataKey]) -> Iterator[Mistake]:
    for name, owner in keys.items():
        specials = special_labels(*sharing(owner, [*keys.values()]))
        if owner.max_labels is not None and owner.max_labels <= len(specials):
            text = f"found {owner.max_labels}; {', '.join(specials)} alone are {len(specials)}"
            yield (name, "max_labels"), text


def _vocabulary(key: DataKey, keys: Sequence[DataKey]) -> object:
    """What a vocabulary is known by before it is there."""
    owner = next(one for one in keys if one.name == key.labels_of)
    if not owner.has_counted_vocab:
        return owner.vocab, owner.tokenizer
    all_of_it = sharing(owner, keys)
    limits = (owner.max_labels, owner.min_count)
    return special_labels(*all_of_it), {(one.field, one.normalize) for one in all_of_it}, limits
