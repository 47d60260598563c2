"""Checks of the fields of transforms at construction: messages name field, value and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqmill.transforms.batches.corpus_epochs import check_epochs
from seqmill.transforms.features.data_keys import DataKey, why_no_name
from seqmill.transforms.features.shared_vocabs import given_vocab, with_shared_vocabs
from seqmill.transforms.planning.schedule import Schedule
from seqmill.transforms.storage import files
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked
from seqmill.transforms.storage.errors import UsageError


def folder_of(transform: object, value: Any, field: str = "folder") -> str:
    """A folder or URL; a local one is made independent of where a worker runs."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise wrong(transform, field, value, "a folder or URL")
    path = str(value).rstrip("/") or "/"
    return str(Path(path).absolute()) if files.is_local(path) else path


def text_of(transform: object, field: str, value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise wrong(transform, field, value, "text that is not empty")
    return value


def share_of(transform: object, field: str, value: Any) -> float:
    """A number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise wrong(transform, field, value, "a number from 0 to 1")
    return float(value)


def flag_of(transform: object, field: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(transform, field, value, "True or False")
    return value


def keys_of(transform: object, value: Any, are_counted: bool = False) -> tuple[DataKey, ...]:
    """Data keys: a table of options each, as ``[data.<key>]`` of a configuration, or a ``DataKey``.

    Args:
        transform: Whose they are.
        value: What was given.
        are_counted: Nothing is encoded by them yet: what is to be counted first need not be there.
    """
    if not isinstance(value, Mapping) or not value:
        raise wrong(transform, "keys", value, 'a mapping such as {"data": {"type": "bytes"}}')
    keys, mistakes = [], []
    for name, options in value.items():
        if not isinstance(name, str) or not isinstance(options, Mapping | DataKey):
            raise wrong(transform, f"keys[{name!r}]", options, "its options by name, or a DataKey")
        if text := why_no_name(name):
            raise UsageError(f"{_name(transform)}: keys: {text}")
        try:
            given = vars(options) if isinstance(options, DataKey) else {"field": name, **options}
            keys.append(checked(DataKey, {**given, "name": name}))
        except WrongOptionsError as error:
            mistakes += [((name, *where), text) for where, text in error.mistakes]
    if mistakes:
        raise UsageError(f"{_name(transform)}: keys: {WrongOptionsError(mistakes)}")
    try:
        keys = [*with_shared_vocabs({key.name: key for key in keys}).values()]
    except WrongOptionsError as error:
        raise UsageError(f"{_name(transform)}: keys: {error}") from None
    for key in () if are_counted else keys:
        if key.labels_of != key.name and given_vocab(key, keys) is None:
            raise UsageError(
                f"{_name(transform)}: keys: {key.name}.vocab: found {key.vocab!r}; expected a "
                "data key whose vocabulary is a file"
            )
        if key.vocab_format == "fairseq":
            raise UsageError(
                f"{_name(transform)}: keys: {key.name}.vocab_format: found 'fairseq'; expected a file with "
                "one label a line (`seqmill ingest` writes vocab/<key>.txt)"
            )
        if key.has_counted_vocab:
            raise UsageError(
                f"{_name(transform)}: keys: {key.name}.vocab: found none; expected a file with one label a "
                f"line, as type {key.type} needs its labels before anything is encoded (`CountLabels` "
                "and `seqmill ingest` count them, and write <key>.txt)"
            )
        if key.has_counted_norm:
            raise UsageError(
                f"{_name(transform)}: keys: {key.name}.normalization: found 'global'; expected 'sequence' or "
                "a file with statistics, as they are needed before anything is encoded (`seqmill ingest` "
                "counts them, and writes norm/<key>.json)"
            )
    return tuple(keys)


def epochs_of(transform: object, options: Any) -> None:
    """Options of epochs, as far as they can be checked before the data keys are known."""
    if isinstance(options, Schedule):
        return
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise wrong(transform, "options", options, 'a mapping such as {"max_seqs": 8}, or a Schedule')
    try:
        check_epochs(options)
    except UsageError as error:
        raise UsageError(f"{_name(transform)}: {error}") from None


def wrong(transform: object, field: str, found: Any, expected: str) -> UsageError:
    """The error of a field that cannot be meant."""
    return UsageError(f"{_name(transform)}: {field}: found {found!r:.200}; expected {expected}")


def _name(transform: object) -> str:
    return type(transform).__name__
