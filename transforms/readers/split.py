"""A split, the part of a corpus that one worker reads alone, and what its reader yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """A part of a corpus that one worker reads alone; small and picklable.

    Attributes:
        format: One of ``FORMATS``.
        files: (data key for format ``text``, else "", path) of every file; several only for ``text``.
        starts: Per file where the split begins: a byte, or a row group of a Parquet file.
        ends: Per file where it ends (not included); ``None`` is the end of the file.
        columns: The header of a ``csv`` or ``tsv`` file.
    """

    format: str
    files: tuple[tuple[str, str], ...]
    starts: tuple[int, ...]
    ends: tuple[int | None, ...]
    columns: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Path of the first file, which tags, rejects and relative audio paths refer to."""
        return self.files[0][1]


class Reader(Protocol):
    """Reads one split, once.

    Iterating yields (position, record). The position counts the split's lines, rows or records from 0.
    The record maps field names to Python values, lists of numbers of binary formats to NumPy arrays
    (possibly read-only views); or it is a ``RejectedSequence``, yielded and not raised, where there is
    no usable record. Where a file is damaged, a reject at that position is the last thing yielded.

    Attributes:
        num_positions: Number of positions in the split; known after iteration.
    """

    num_positions: int

    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (position, record or reject)."""
        ...


class DamagedFileError(Exception):
    """What comes next in a file is lost; the message says why."""


def single_file_split(
    format: str, path: str, start: int = 0, end: int | None = None, columns: tuple[str, ...] = ()
) -> Split:
    """A split of one file."""
    return Split(format, (("", path),), (start,), (end,), columns)


def even_cuts(size: int, target: int) -> list[int]:
    """Where to cut ``size`` bytes into equal parts of at most ``target`` bytes, both ends included."""
    count = max(1, -(-size // max(1, target)))
    return [size * part // count for part in range(count + 1)]


def is_damage(error: Exception) -> bool:
    """Whether an error of Arrow means bad content; those of the system, which it passes on, have a number."""
    return getattr(error, "errno", None) is None


@contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turns an error of the file system into one that names the file.

    Raises:
        SeqmillError: The file is missing or cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise SeqmillError(f"{path}: no such file") from None
    except OSError as error:
        raise SeqmillError(f"{path}: cannot be read ({error.strerror or error})") from None
