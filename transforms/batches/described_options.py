"""Options of epochs as a manifest holds them: by their names in a configuration, resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        options = EpochOptions(
            ordering=parse_ordering(described["seq_ordering"]),
            length_key=described["length_key"],
            length_limits=LengthLimits(dict(described["max_seq_length"]), dict(described["min_seq_length"])),
            chunking={
                key: KeyChunking(*parse_chunking(text), described["min_chunk_size"].get(key, 0))
                for key, text in described["chunking"].items()
            },
            batch_limits=BatchLimits(dict(described["batch_size"]), described["max_seqs"]),
            seed=described["seed"],
            fixed_random_seed=described["fixed_random_seed"],
            partition_epoch=described["partition_epoch"],
            num_epochs=described["distinct_epochs"],
            num_shards=described["num_shards"],
            shard_size=described["shard_size"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(repr(error)) from None
    for name in ("partition_epoch", "num_epochs", "shard_size"):
        value = getattr(options, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} = {value!r}, expected a whole number of at least 1")
    return options
