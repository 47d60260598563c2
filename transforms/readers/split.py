"""A split, the part of a corpus that one worker reads alone, and what its reader yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seqmill.transforms.storage import files
from seqmill.transforms.storage.errors import RejectedSequence, SeqmillError

Record = Mapping[str, Any]

_MOST_LOSSES = 3  # that are described one by one


@dataclass(frozen=True)
class ReadOptions:
    """How the files of a corpus are read.

    Attributes:
        max_record_size: Bytes of the largest record; a larger one is rejected and not held in memory.
        quoting: Whether quotes enclose fields (``csv``, ``tsv``); None for what the format says.
    """

    max_record_size: int = 256_000_000
    quoting: bool | None = None

    def too_large(self, what: str, num_bytes: int) -> RejectedSequence:
        """The reject of a record over the limit; ``what`` it is."""
        detail = f"{what} of {num_bytes:,} bytes; max_record_size = {self.max_record_size:,}"
        return RejectedSequence("larger than max_record_size", detail)


@dataclass(frozen=True)
class TagLists:
    """Files that list tags, one a line, and so choose sequences.

    Attributes:
        field: Field of a record that holds its tag.
        only: Those listed are read; None for all.
        others: Those listed are left out; None for none.
    """

    field: str
    only: str | None = None
    others: str | None = None


@dataclass(frozen=True)
class Split:
    """A part of a corpus that one worker reads alone; small and picklable.

    Attributes:
        format: One of ``FORMATS``.
        files: (data key for format ``text``, else "", path) of every file; several only for ``text``.
        starts: Per file where the split begins: a byte, or a row group of a Parquet file.
        ends: Per file where it ends (not included); ``None`` is the end of the file.
        columns: The header of a ``csv`` or ``tsv`` file.
        options: How the files are read.
        listing: Place of its file among those listed; a file that is listed twice is read twice.
        lists: Bytes features of a ``tfrecord`` corpus that hold lists, a list of one value too.
        tags: Which sequences are read; None for all.
        seq_tag: Field of a record that holds its tag; None for default tags.
        audio_root: Folder that relative paths in records start from; None for that of its first file.
    """

    format: str
    files: tuple[tuple[str, str], ...]
    starts: tuple[int, ...]
    ends: tuple[int | None, ...]
    columns: tuple[str, ...] = ()
    options: ReadOptions = ReadOptions()
    listing: int = 0
    lists: tuple[str, ...] = ()
    tags: TagLists | None = None
    seq_tag: str | None = None
    audio_root: str | None = None

    @property
    def root(self) -> str:
        """Folder that relative paths in records start from."""
        return files.parent(self.source) if self.audio_root is None else self.audio_root

    @property
    def source(self) -> str:
        """Path of the first file, which tags, rejects and relative audio paths refer to."""
        return self.files[0][1]


class Reader(ABC):
    """Reads one split, once.

    Iterating yields (position, record). The position counts the split's lines, rows or records from 0.
    The record maps field names to Python values, lists of numbers of binary formats to NumPy arrays
    (possibly read-only views); or it is a ``RejectedSequence``, yielded and not raised, where there is
    no usable record. Its ``count`` says how many records it stands for; positions go on behind them.

    Attributes:
        split: What it reads.
        num_positions: Positions in the split; known after iteration.
        num_records: Records in the split, by what its file says; known after iteration.
        num_bytes: Bytes of content read so far.
        dropped: Records that were left out on purpose, by reason.
        damaged: What of the split is lost without its being known how many records that were; else None.
    """

    def __init__(self, split: Split):
        self.split = split
        self.num_positions = self.num_records = self.num_bytes = 0
        self.dropped: Counter[str] = Counter()
        self.damaged: str | None = None
        self._num_losses = 0

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, Record | RejectedSequence]]:
        """Yields (position, record or reject)."""

    def lose(self, what: str) -> None:
        """Notes that a part of the split is lost, nobody knows of how many records."""
        self._num_losses += 1
        if self._num_losses <= _MOST_LOSSES:
            self.damaged = what if self.damaged is None else f"{self.damaged}; {what}"
        elif self._num_losses == _MOST_LOSSES + 1:
            self.damaged = f"{self.damaged}; and more"


class DamagedFileError(Exception):
    """What comes next in a file is lost; the message says why."""


def single_file_split(
    format: str,
    path: str,
    options: ReadOptions,
    start: int = 0,
    end: int | None = None,
    columns: tuple[str, ...] = (),
) -> Split:
    """A split of one file."""
    return Split(format, (("", path),), (start,), (end,), columns, options)


def even_cuts(size: int, target: int) -> list[int]:
    """Where to cut ``size`` bytes into equal parts of at most ``target`` bytes, both ends included."""
    count = max(1, -(-size // max(1, target)))
    return [size * part // count for part in range(count + 1)]


def starts_behind(targets: Sequence[int], starts: Iterable[int]) -> Iterator[int]:
    """Yields the first start at or behind each target, once where it is that of several; both rise.

    >>> [*starts_behind([10, 20, 30], range(0, 100, 24))]
    [24, 48]
    """
    pending = [*reversed(targets)]
    for start in starts if pending else ():
        if start >= pending[-1]:
            yield start
            while pending and start >= pending[-1]:
                pending.pop()
            if not pending:
                return


def is_damage(error: Exception) -> bool:
    """Whether an error of Arrow means bad content; those of the system, which it passes on, have a number."""
    return getattr(error, "errno", None) is None


def one_line(error: BaseException) -> str:
    """What a library says of a file, without its line breaks and not at length."""
    return " ".join(str(error).split())[:200]


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
