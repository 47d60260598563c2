"""Options of epochs that drop nothing and chunk nothing, for tests to change what they are about."""

from typing import Any

from seqmill.transforms.planning.batch import BatchLimits
from seqmill.transforms.planning.drop import LengthLimits
from seqmill.transforms.planning.order import parse_ordering
from seqmill.transforms.planning.plan import EpochOptions


def plain_options(length_key: str, batch_limits: BatchLimits, **others: Any) -> EpochOptions:
    """Options of epochs in random order; ``others`` are in place of what stands here."""
    plain: dict[str, Any] = {
        "ordering": parse_ordering("random"),
        "length_limits": LengthLimits({}, {}),
        "chunking": {},
        "seed": 1,
        "fixed_random_seed": None,
        "partition_epoch": 1,
        "num_shards": None,
        "shard_size": 1000,
    }
    return EpochOptions(length_key=length_key, batch_limits=batch_limits, **{**plain, **others})
