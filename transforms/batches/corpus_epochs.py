"""The options that decide a corpus' epochs, whoever asks for them: a configuration, or a pipeline's code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from seqmill.transforms.batches.per_epoch_options import (
    Count,
    CountOrNone,
    PerEpochOptions,
    ScheduleTable,
    changed_epochs,
    named_twice,
)
from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.planning.schedule import EpochRange, Schedule, Stretch
from seqmill.transforms.storage.checked_options import WrongOptionsError, checked, none_or, whole_number
from seqmill.transforms.storage.errors import UsageError

MAX_REJECTED = 0.01  # by default

# What NumPy's and Keras' generators take.
Seed = Annotated[int, BeforeValidator(whole_number(0, 2**32 - 1))]

DistinctEpochs = Annotated[
    int | None,
    BeforeValidator(none_or(whole_number(1))),
    Field(description="different epochs to write; default: all"),
]


class CorpusEpochs(PerEpochOptions):
    """What decides a corpus' epochs beside seed, number of epochs and schedule."""

    packed: bool = Field(False, description="sequences of a batch lie behind one another, without padding")
    distinct_epochs: DistinctEpochs = None
    num_seqs: CountOrNone = Field(
        None, description="take only so many sequences of the corpus, at random but always the same"
    )
    num_shards: CountOrNone = Field(None, description="files per epoch; default: by shard_size")
    shard_size: Count = Field(128_000_000, description="bytes per file, roughly")
    max_rejected: float = Field(MAX_REJECTED, ge=0, le=1, description="largest share of bad records")

    def epoch_options(self, seed: int) -> EpochOptions:
        """What an epoch is planned by."""
        least = self.min_chunk_size
        return EpochOptions(
            ordering=self.seq_ordering,
            length_key=self.length_key,
            length_limits=LengthLimits(self.max_seq_length, self.min_seq_length),
            chunking={k: replace(rule, min_size=least.get(k, 0)) for k, rule in self.chunking.items()},
            batch_limits=BatchLimits(
                batch_size=self.batch_size,
                max_seqs=self.max_seqs,
                packed=self.packed,
                length_buckets=self.length_buckets,
                pad_batch=self.pad_batch,
            ),
            seed=seed,
            fixed_random_seed=self.fixed_random_seed,
            partition_epoch=self.partition_epoch,
            num_shards=self.num_shards,
            shard_size=self.shard_size,
            num_seqs=self.num_seqs,
        )

    def schedule_for(self, seed: int, num_epochs: int, tables: Sequence[ScheduleTable] = ()) -> Schedule:
        """The epochs, of which ``tables`` change some."""
        changes = (
            Stretch(first, last, self.model_copy(update=changed).epoch_options(seed))
            for first, last, changed in changed_epochs(tables, num_epochs)
        )
        return Schedule(self.epoch_options(seed), num_epochs, self.distinct_epochs, tuple(changes))


def _tables(value: Any) -> Any:
    if not isinstance(value, list | tuple) or not all(isinstance(table, Mapping) for table in value):
        raise ValueError('expected a list of tables such as {"epochs": "1-5", "max_seqs": 4}')
    return tuple(dict(table) for table in value)


class _AskedEpochs(CorpusEpochs):
    """What may be asked for of epochs, by the names of a configuration."""

    seed: Seed = 1
    num_epochs: Count = 1
    schedule_tables: Annotated[tuple[ScheduleTable, ...], BeforeValidator(_tables)] = Field(
        (), alias="schedule"
    )

    @model_validator(mode="after")
    def _fit_each_other(self) -> _AskedEpochs:
        wrong = [f"schedule: table {number + 1} {text}" for number, text in named_twice(self.schedule_tables)]
        if wrong := [*wrong, *_unusable_limits(self.asked_schedule())]:
            raise ValueError("\n".join(wrong))
        return self

    def asked_schedule(self) -> Schedule:
        return self.schedule_for(self.seed, self.num_epochs, self.schedule_tables)


@dataclass(frozen=True)
class EpochsAsked:
    """What is asked for of a corpus' epochs.

    Attributes:
        schedule: What each is planned by.
        max_rejected: Largest share of rejected sequences.
    """

    schedule: Schedule
    max_rejected: float


def check_epochs(options: Mapping[str, Any]) -> None:
    """Checks options, as far as that is possible before the data keys are known. Raises UsageError."""
    named = [key for value in options.values() if isinstance(value, Mapping) for key in value]
    length_key = options.get("length_key")
    if isinstance(length_key, str) and length_key:
        named.insert(0, length_key)
    ask_epochs(options, named)


def ask_epochs(options: Mapping[str, Any], data_keys: Sequence[str]) -> EpochsAsked:
    """Epochs by the names of a configuration, such as ``{"max_seqs": 8, "seq_ordering": "random"}``.

    Args:
        options: The options.
        data_keys: What data keys there are; the first is the length key where none is named.

    Raises:
        UsageError: Options are wrong; names every mistake.

    >>> asked = ask_epochs({"batch_size": {"data": 100}, "num_epochs": 3}, ["data", "classes"])
    >>> asked.schedule.num_epochs, asked.schedule.options.length_key
    (3, 'data')
    """
    keys = [*dict.fromkeys(data_keys)] or ["data"]
    try:
        given = checked(_AskedEpochs, {"length_key": keys[0], **options}, {"data_keys": keys})
    except WrongOptionsError as error:
        first = [(where, text) for where, text in error.mistakes if where] or error.mistakes
        lines = [": ".join(filter(None, (".".join(where), text))) for where, text in first]
        raise UsageError("options: " + "\n  ".join(lines)) from None
    return EpochsAsked(given.asked_schedule(), given.max_rejected)


def _unusable_limits(schedule: Schedule) -> Iterator[str]:
    for stretch in schedule.stretches:
        limits = stretch.options.batch_limits
        if not limits.batch_size and limits.max_seqs is None:
            epochs = EpochRange(stretch.first, stretch.last)
            where = f" in epochs {epochs}" if len(schedule.stretches) > 1 else ""
            yield f"expected batch_size or max_seqs{where}, found neither"
        if limits.mistake:
            yield limits.mistake
