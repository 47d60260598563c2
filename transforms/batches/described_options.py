"""Options of epochs as a manifest holds them: by their names in a configuration, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.chunk import KeyChunking, parse_chunking
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import EpochOptions


def describe(options: EpochOptions) -> dict[str, Any]:
    """What a manifest says of options."""
    chunking = {key: f"{rule.size}:{rule.step}" for key, rule in options.chunking.items()}
    return {
        "batch_size": dict(options.batch_limits.batch_size),
        "max_seqs": options.batch_limits.max_seqs,
        "packed": options.batch_limits.packed,
        "max_seq_length": dict(options.length_limits.longest),
        "min_seq_length": dict(options.length_limits.shortest),
        "seq_ordering": str(options.ordering),
        "length_key": options.length_key,
        "chunking": chunking,
        "min_chunk_size": {key: rule.min_size for key, rule in options.chunking.items()},
        "partition_epoch": options.partition_epoch,
        "distinct_epochs": options.num_epochs,
        "seed": options.seed,
        "fixed_random_seed": options.fixed_random_seed,
        "num_shards": options.num_shards,
        "shard_size": options.shard_size,
    }


def undescribe(described: Mapping[str, Any]) -> EpochOptions:
    """The options that ``describe`` was given.

    Raises:
        ValueError: An option is missing or not as ``describe`` writes it.
    """
    try:
        given = _ADAPTER.validate_python(described)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}, found {first['input']!r:.80}") from None
    return EpochOptions(
        ordering=parse_ordering(given.seq_ordering),
        length_key=given.length_key,
        length_limits=LengthLimits(given.max_seq_length, given.min_seq_length),
        chunking={
            key: KeyChunking(*parse_chunking(text), given.min_chunk_size.get(key, 0))
            for key, text in given.chunking.items()
        },
        batch_limits=BatchLimits(given.batch_size, given.max_seqs, given.packed),
        seed=given.seed,
        fixed_random_seed=given.fixed_random_seed,
        partition_epoch=given.partition_epoch,
        num_epochs=given.distinct_epochs,
        num_shards=given.num_shards,
        shard_size=given.shard_size,
    )


_Whole = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
_Positive = Annotated[int, Field(strict=True, ge=1, lt=1 << 63)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class _Described:
    """What ``describe`` writes."""

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
    distinct_epochs: _Positive
    seed: _Whole
    fixed_random_seed: _Whole | None
    num_shards: _Positive | None
    shard_size: _Positive


_ADAPTER = TypeAdapter(_Described)
