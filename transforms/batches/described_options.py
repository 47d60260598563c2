"""Options of epochs as a manifest holds them: by their names in a configuration, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from itertools import pairwise
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking, parse_chunking
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import EpochOptions
from seqmill.transforms.planning.schedule import EpochRange, Schedule, Stretch, parse_epochs

_UNLESS_SET: Mapping[str, Any] = {
    "length_buckets": {},
    "padded_lengths": {},
    "pad_batch": False,
    "num_seqs": None,
    "mix": {},
}
"""Options that are described only where they are set, with what they are otherwise."""


def describe(schedule: Schedule) -> dict[str, Any]:
    """What a manifest says of the options of a corpus' epochs.

    They are those of all epochs that no entry of ``schedule`` names; an entry has what differs.
    """
    base = describe_epoch(schedule.options)
    changed = []
    for stretch in schedule.stretches:
        options = describe_epoch(stretch.options)
        differing = differing_options(base, options)
        if differing:
            changed.append({"epochs": str(EpochRange(stretch.first, stretch.last)), **differing})
    return {
        **base,
        "num_epochs": schedule.num_epochs,
        "distinct_epochs": schedule.distinct_epochs,
        "schedule": changed,
    }


def differing_options(base: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of an epoch, described, those that are not as in ``base``."""
    before, now = {**_UNLESS_SET, **base}, {**_UNLESS_SET, **options}
    return {name: value for name, value in now.items() if before[name] != value}


def describe_epoch(options: EpochOptions) -> dict[str, Any]:
    """What a manifest says of the options of an epoch."""
    limits = options.batch_limits
    if_set = {
        "length_buckets": dict(limits.length_buckets),
        "padded_lengths": {key: list(axes) for key, axes in limits.padded_lengths.items()},
        "pad_batch": limits.pad_batch,
        "num_seqs": options.num_seqs,
        "mix": dict(options.mix),
    }
    chunking = {key: f"{rule.size}:{rule.step}" for key, rule in options.chunking.items()}
    return {
        "batch_size": dict(limits.batch_size),
        "max_seqs": limits.max_seqs,
        "packed": limits.packed,
        "max_seq_length": dict(options.length_limits.longest),
        "min_seq_length": dict(options.length_limits.shortest),
        "seq_ordering": str(options.ordering),
        "length_key": options.length_key,
        "chunking": chunking,
        "min_chunk_size": {key: rule.min_size for key, rule in options.chunking.items()},
        "partition_epoch": options.partition_epoch,
        "seed": options.seed,
        "fixed_random_seed": options.fixed_random_seed,
        "num_shards": options.num_shards,
        "shard_size": options.shard_size,
        **{name: value for name, value in if_set.items() if value != _UNLESS_SET[name]},
    }


def as_asked(described: Mapping[str, Any]) -> dict[str, Any]:
    """Described options as a configuration has them: all that can be set, and nothing that was chosen."""
    changed = [dict(entry) for entry in described.get("schedule", ()) if isinstance(entry, Mapping)]
    for entry in changed:
        entry.pop("padded_lengths", None)
    asked = {**_UNLESS_SET, **described, "schedule": [entry for entry in changed if len(entry) > 1]}
    del asked["padded_lengths"]
    return asked


def undescribe(described: Mapping[str, Any]) -> Schedule:
    """The schedule that ``describe`` was given.

    Raises:
        ValueError: An option is missing or not as ``describe`` writes it.
    """
    given = _checked(_OF_SCHEDULE, {name: described.get(name) for name in _SCHEDULE_NAMES})
    base = {name: value for name, value in described.items() if name not in _SCHEDULE_NAMES}
    changes: list[Stretch] = []
    for entry in given.schedule:
        epochs, *more = parse_epochs(str(entry.get("epochs")))
        before = changes[-1].last if changes else 0
        if more or epochs.last is None or epochs.last > given.num_epochs or epochs.first <= before:
            raise ValueError(f"schedule: {epochs}: expected runs of epochs in rising order")
        options = _epoch_options({**base, **{k: v for k, v in entry.items() if k != "epochs"}})
        changes.append(Stretch(epochs.first, epochs.last, options))
    return Schedule(_epoch_options(base), given.num_epochs, given.distinct_epochs, tuple(changes))


def check_chosen(schedule: Schedule) -> None:
    """Raises ValueError where the time axes of some epochs are not chosen."""
    for options in (schedule.options, *(one.options for one in schedule.changes)):
        limits = options.batch_limits
        if limits.padded_lengths.keys() != limits.length_buckets.keys():
            raise ValueError(f"padded_lengths: expected those of {', '.join(limits.length_buckets)}")


def show_option(value: object) -> str:
    """The value of an option, as ``describe`` gives it, for people."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {show_option(limit)}" for key, limit in value.items())
        return f"{{ {inside} }}" if inside else "none"
    if isinstance(value, list):
        return ", ".join(map(show_option, value)) or "none"
    return "none" if value is None else str(value)


def _checked(adapter: TypeAdapter[Any], described: Mapping[str, Any]) -> Any:
    try:
        return adapter.validate_python(described)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}, found {first['input']!r:.80}") from None


def _epoch_options(described: Mapping[str, Any]) -> EpochOptions:
    given = _checked(_OF_EPOCH, described)
    return EpochOptions(
        ordering=parse_ordering(given.seq_ordering),
        length_key=given.length_key,
        length_limits=LengthLimits(given.max_seq_length, given.min_seq_length),
        chunking={
            key: KeyChunking(*parse_chunking(text), given.min_chunk_size.get(key, 0))
            for key, text in given.chunking.items()
        },
        batch_limits=_batch_limits(given),
        seed=given.seed,
        fixed_random_seed=given.fixed_random_seed,
        partition_epoch=given.partition_epoch,
        num_shards=given.num_shards,
        shard_size=given.shard_size,
        num_seqs=given.num_seqs,
        mix=given.mix,
    )


def _batch_limits(given: Any) -> BatchLimits:
    axes = given.padded_lengths
    if axes and axes.keys() != given.length_buckets.keys():
        raise ValueError(f"padded_lengths: of {', '.join(axes)}, expected {', '.join(given.length_buckets)}")
    for key, found in axes.items():
        most = given.length_buckets[key]
        if len(found) > most or any(a >= b for a, b in pairwise(found)):
            raise ValueError(f"padded_lengths: {key}: expected at most {most} in rising order")
    return BatchLimits(
        batch_size=given.batch_size,
        max_seqs=given.max_seqs,
        packed=given.packed,
        length_buckets=given.length_buckets,
        padded_lengths=axes,
        pad_batch=given.pad_batch,
    )


_Whole = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
_Positive = Annotated[int, Field(strict=True, ge=1, lt=1 << 63)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _DescribedSchedule:
    """What ``describe`` writes beside the options of an epoch."""

    num_epochs: _Positive
    distinct_epochs: _Positive | None
    schedule: list[dict[str, Any]]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _DescribedEpoch:
    """What ``describe_epoch`` writes."""

    batch_size: dict[str, _Positive]
    max_seqs: _Positive | None
    packed: Annotated[bool, Field(strict=True)]
    max_seq_length: dict[str, _Whole]
    min_seq_length: dict[str, _Whole]
    seq_ordering: str
    length_key: str
    chunking: dict[str, str]
    min_chunk_size: dict[str, _Whole]
    partition_epoch: _Positive
    seed: _Whole
    fixed_random_seed: _Whole | None
    num_shards: _Positive | None
    shard_size: _Positive
    length_buckets: dict[str, _Positive] = field(default_factory=dict)
    padded_lengths: dict[str, tuple[_Positive, ...]] = field(default_factory=dict)
    pad_batch: Annotated[bool, Field(strict=True)] = False
    num_seqs: _Positive | None = None
    mix: dict[str, _Positive] = field(default_factory=dict)


_SCHEDULE_NAMES = [field.name for field in fields(_DescribedSchedule)]
_OF_SCHEDULE = TypeAdapter(_DescribedSchedule)
_OF_EPOCH = TypeAdapter(_DescribedEpoch)
