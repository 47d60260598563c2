"""The options that concern an epoch, and ``[[schedule]]`` tables, which change them for some epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from seqmill.transforms.features.ragged import LONGEST
from seqmill.transforms.planning.chunk import KeyChunking, parse_chunking
from seqmill.transforms.planning.order import Ordering, parse_ordering
from seqmill.transforms.planning.schedule import EpochRange, parse_epochs
from seqmill.transforms.storage.checked_options import (
    Options,
    did_you_mean,
    is_absence,
    none_or,
    says_all,
    whole_number,
)

_Check = Callable[[Any], Any]


def _per_key(check: _Check) -> Callable[[Any, ValidationInfo], dict[str, Any]]:
    """A validator of a value for every data key, or a table of them; absent ones are left out."""

    def normalise(value: Any, info: ValidationInfo) -> dict[str, Any]:
        if isinstance(value, dict):
            table = value
            if not table:
                raise ValueError("expected a value, or a table with one data key at least")
        else:
            table = dict.fromkeys((info.context or {}).get("data_keys", ()), value)
        for key in table:
            _known_key(key, info)
        try:
            values = {key: None if is_absence(one) else check(one) for key, one in table.items()}
        except ValueError as error:
            raise ValueError(f"{error}, or a table of such per data key") from None
        return {key: one for key, one in values.items() if one is not None}

    return normalise


def _known_key(key: Any, info: ValidationInfo) -> Any:
    known = (info.context or {}).get("data_keys", ())
    if known and key not in known:
        raise says_all(f"no data key {key!r}; expected {', '.join(known)}{did_you_mean(str(key), known)}")
    return key


def _chunking(value: Any) -> KeyChunking | None:
    if type(value) not in (str, int):
        raise ValueError('expected "size:step", "size", or 0 for off')
    size, step = parse_chunking(str(value))
    frames = whole_number(1, LONGEST)
    return KeyChunking(frames(size), frames(step)) if size else None


def _ordering(value: Any) -> Ordering:
    ordering = parse_ordering(value if isinstance(value, str) else repr(value))
    for number in (ordering.seed, ordering.bins, ordering.bin_size):
        if number is not None:
            whole_number(0)(number)
    return ordering


def is_no_text(value: Any) -> bool:
    """Whether a value says that there is to be none, where 0 is a value like others."""
    return value is False or value == "none"


def _epochs(value: Any) -> tuple[EpochRange, ...]:
    return parse_epochs(value if isinstance(value, str) else repr(value))


PerKey = Annotated[Mapping[str, int], BeforeValidator(_per_key(whole_number(1)))]
Chunked = Annotated[Mapping[str, KeyChunking], BeforeValidator(_per_key(_chunking))]
Count = Annotated[int, BeforeValidator(whole_number(1))]
CountOrNone = Annotated[int | None, BeforeValidator(none_or(whole_number(1)))]


class PerEpochOptions(Options):
    """What decides an epoch and may be another from epoch to epoch."""

    batch_size: PerKey = Field(
        default_factory=dict,
        description="most frames of a batch, longest sequence x sequences: a number, or a table per key",
    )
    max_seqs: CountOrNone = Field(None, description="most sequences of a batch")
    max_seq_length: PerKey = Field(
        default_factory=dict, description="drop longer sequences: a number, or a table per key"
    )
    min_seq_length: PerKey = Field(default_factory=dict, description="drop shorter sequences, likewise")
    seq_ordering: Annotated[Ordering, BeforeValidator(_ordering)] = Field(
        Ordering("default"),
        description="default, reverse, random[:seed], sorted, sorted_reverse, laplace[:bins|:.seqs per bin]",
    )
    length_key: Annotated[str, AfterValidator(_known_key)] = Field(
        "", description="data key whose length orders; default: the first"
    )
    chunking: Chunked = Field(
        default_factory=dict, description='"size:step", "size", or 0 for off; or a table per key'
    )
    min_chunk_size: PerKey = Field(
        default_factory=dict,
        description="no later chunk with at most this many frames left; a number, or a table per key",
    )
    partition_epoch: Count = Field(1, description="an epoch is one part in so many of the full order")
    fixed_random_seed: Annotated[int | None, BeforeValidator(none_or(whole_number(0), is_no_text))] = Field(
        None, description="one permutation for all epochs"
    )
    length_buckets: PerKey = Field(
        default_factory=dict,
        description="pad to at most so many different lengths: a number, or a table per key",
    )
    pad_batch: bool = Field(
        False, description="train on batches filled up, so that all of the same length have as many rows"
    )


class ScheduleTable(PerEpochOptions):
    """``[[schedule]]``: options that some epochs of ``train`` have in place of its others."""

    epochs: Annotated[tuple[EpochRange, ...], BeforeValidator(_epochs)] = Field(
        description='"1-5", "7", "6-" (to the end), or several: "1-2,5"'
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The options that it names."""
        return {name: getattr(self, name) for name in self.model_fields_set - {"epochs"}}


def changed_epochs(
    tables: Sequence[ScheduleTable], num_epochs: int
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The epochs that tables name, up to ``num_epochs``: first, last, and what is changed in all of these.

    Runs of epochs are ascending and apart.
    """
    ranges = [
        (one.first, num_epochs if one.last is None else min(one.last, num_epochs), table)
        for table in tables
        for one in table.epochs
    ]
    edges = sorted({edge for first, last, _ in ranges if first <= last for edge in (first, last + 1)})
    for first, behind in pairwise(edges):
        changed: dict[str, Any] = {}
        for start, end, table in ranges:
            if start <= first <= end:
                changed |= table.changes
        if changed:
            yield first, behind - 1, changed


def behind_the_last(tables: Sequence[ScheduleTable], num_epochs: int) -> Iterator[EpochRange]:
    """Epochs that tables name, and that are not trained."""
    for table in tables:
        for one in table.epochs:
            if (one.last or one.first) > num_epochs:
                yield EpochRange(max(one.first, num_epochs + 1), one.last)


def named_twice(tables: Sequence[ScheduleTable]) -> Iterator[tuple[int, str]]:
    """Options that two tables set for the same epochs: number of the later table, and what is wrong."""
    for number, table in enumerate(tables):
        for before, other in enumerate(tables[:number]):
            both = [option for option in table.changes if option in other.changes]
            for epochs in _common(table.epochs, other.epochs) if both else ():
                yield number, f"sets {', '.join(sorted(both))} of epochs {epochs}, as table {before + 1} does"


def _common(left: Sequence[EpochRange], right: Sequence[EpochRange]) -> Iterator[EpochRange]:
    for one in left:
        for other in right:
            ends = [end for end in (one.last, other.last) if end is not None]
            common = EpochRange(max(one.first, other.first), min(ends, default=None))
            if common.last is None or common.first <= common.last:
                yield common
