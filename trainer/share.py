"""Which batches of an epoch, and which of their rows, one of several readers takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqmill.transforms.storage.errors import UsageError

By = Literal["rows", "batches"]


@dataclass(frozen=True)
class Share:
    """What one reader takes of an epoch.

    Attributes:
        batches: Positions of its batches in the epoch, in the order in which they are read.
        rows: Which rows of each.
        first_batch: Batches of the epoch that were done before.
        batches_per_step: By how many batches of the epoch all readers together go on in a step.
    """

    batches: range
    rows: slice
    first_batch: int
    batches_per_step: int

    def batches_done(self, steps: int, num_batches: int) -> int:
        """How many batches of the epoch are done once every reader has made that many steps."""
        return min(self.first_batch + steps * self.batches_per_step, num_batches)


def share_of(
    num_batches: int,
    reader: tuple[int, int] = (0, 1),
    by: By = "rows",
    first_batch: int = 0,
    worker: tuple[int, int] = (0, 1),
) -> Share:
    """The share of reader r of R.

    Args:
        num_batches: Of the epoch.
        reader: (r, R), r from 0.
        by: ``"rows"``: rows r, r + R, … of every batch; ``"batches"``: whole batches, every R-th from r on.
        first_batch: Batches of the epoch that are done already, by however many readers.
        worker: (w, W): of the reader's batches every W-th from w on, for a process that helps it.

    Raises:
        UsageError: A number is out of range.
    """
    number, num_readers = _one_of("reader", reader)
    helper, num_workers = _one_of("worker", worker)
    if by not in ("rows", "batches"):
        raise UsageError(f'by={by!r}: expected "rows" or "batches"')
    if not _is_integer(first_batch) or not 0 <= first_batch <= num_batches:
        raise UsageError(f"first_batch={first_batch!r}: expected 0 to {num_batches}, the epoch's batches")
    if by == "rows":
        batches, rows, step = range(first_batch, num_batches), slice(number, None, num_readers), 1
    else:
        batches, rows = range(first_batch + number, num_batches, num_readers), slice(None)
        step = num_readers
    return Share(batches[helper::num_workers], rows, first_batch, step * num_workers)


def _one_of(name: str, value: tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_integer, value)):
        number, total = value
        if 0 <= number < total:
            return number, total
    raise UsageError(f"{name}={value!r}: expected (number from 0, how many), such as (0, 1)")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
