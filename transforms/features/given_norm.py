"""Statistics of frames that a configuration gives: files of ours, of RETURNN's, or numbers."""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Sequence

import numpy as np

from seqmill.transforms.features.array_files import read_npy_bytes
from seqmill.transforms.features.data_keys import DataKey
from seqmill.transforms.features.norm import GLOBAL, SEQUENCE, GivenNorm, Norm, read_norm
from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError, UsageError

_MOST_BYTES = 256_000_000


def read_norms(keys: Iterable[DataKey]) -> dict[str, Norm]:
    """The statistics that data keys give, by key. Raises as ``read_given``."""
    return {
        key.name: read_given(key.name, key.normalization)
        for key in keys
        if key.normalization not in (None, SEQUENCE, GLOBAL)
    }


def read_given(name: str, given: str | GivenNorm) -> Norm:
    """The statistics that a configuration gives.

    Args:
        name: The data key, for messages.
        given: A file of ours, or where mean and standard deviation stand.

    Raises:
        UsageError: There is no such file, or it holds something else.
    """
    option = f"data.{name}.normalization"
    if isinstance(given, str):
        if not files.exists(given):
            raise UsageError(
                f'{option}: {given}: no such file; expected "{SEQUENCE}", "{GLOBAL}", a file norm/<key>.json '
                "of seqmill's, or { mean = FILE, stddev = FILE }"
            )
        try:
            return read_norm(given)
        except SeqmillError as error:
            raise UsageError(
                f"{option}: {error}; expected a file norm/<key>.json of seqmill's (others are given as "
                "{ mean = FILE, stddev = FILE })"
            ) from None
    return Norm(
        mean=_given_numbers(f"{option}.mean", given.mean, -math.inf),
        stddev=_given_numbers(f"{option}.stddev", given.stddev, 0),
    )


def _given_numbers(option: str, given: float | str, least: float) -> float | tuple[float, ...]:
    if not isinstance(given, str):
        _check([float(given)], least, option)
        return float(given)
    try:
        content = files.read_bytes(given)
    except OSError as error:
        raise UsageError(f"{option}: {given}: cannot be read ({error.strerror or error})") from None
    try:
        numbers = _numbers_of_npy(content) if given.endswith(".npy") else _numbers_of_text(content)
    except (ValueError, RejectedSequence) as error:
        raise UsageError(f"{option}: {given}: {error}; expected a number for each of a frame") from None
    _check(numbers, least, f"{option}: {given}")
    return numbers


def _check(numbers: Sequence[float], least: float, where: str) -> None:
    for number in numbers:
        if not (math.isfinite(number) and number >= least):
            from_0 = ", 0 or more" if least == 0 else ""
            raise UsageError(f"{where}: found {number}; expected finite numbers{from_0}")


def _numbers_of_npy(content: bytes) -> tuple[float, ...]:
    array = read_npy_bytes(content, _MOST_BYTES)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"an array of shape {list(array.shape)}")
    return tuple(array.astype(np.float64).tolist())


def _numbers_of_text(content: bytes) -> tuple[float, ...]:
    lines = content.removeprefix(codecs.BOM_UTF8).decode().splitlines()
    numbers = [float(word) for line in lines for word in line.partition("#")[0].split()]
    if not numbers:
        raise ValueError("no numbers")
    return tuple(numbers)
