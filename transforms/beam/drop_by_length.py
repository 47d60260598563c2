"""Sequences that are too long or too short are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from seqmill.transforms.beam import fields
from seqmill.transforms.beam.counting import Counting
from seqmill.transforms.planning.drop import LengthLimits, drop
from seqmill.transforms.storage.checked_options import did_you_mean
from seqmill.transforms.storage.errors import UsageError
from seqmill.transforms.store.sequence_block import SequenceBlock


@beam.typehints.with_input_types(SequenceBlock)
@beam.typehints.with_output_types(SequenceBlock)
@dataclass(eq=False)
class DropByLength(beam.PTransform):
    """Drops whole sequences that are over or under a length in a data key, and counts them by reason.

    What is dropped here has no row in the store. The options of ``PlanEpochs`` of the same names leave the
    store whole, for other epochs to take more of it.

    Args:
        max_seq_length: Per data key the most frames that a sequence may have.
        min_seq_length: Per data key the fewest.

    Raises:
        UsageError: A field is wrong; says what was given and what is expected.

    >>> import apache_beam as beam
    >>> from seqmill.transforms.beam import DropByLength, EncodeSequences
    >>> records = [{"id": 1, "text": "sea"}, {"id": 2, "text": "garnish"}]
    >>> encode = EncodeSequences({"data": {"field": "text", "type": "bytes"}}, order_by="id")
    >>> (block,) = records | encode | DropByLength(max_seq_length={"data": 5})
    >>> block.order, block.dropped
    ((1,), {'max_seq_length:data': 1})
    """

    max_seq_length: Mapping[str, int] = field(default_factory=dict)
    min_seq_length: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("max_seq_length", "min_seq_length"):
            limits = getattr(self, name)
            if not isinstance(limits, Mapping) or not all(isinstance(key, str) for key in limits):
                raise fields.wrong(self, name, limits, 'a mapping such as {"data": 24}')
            for key, limit in limits.items():
                if type(limit) is not int or limit < 1:
                    raise fields.wrong(self, f"{name}[{key!r}]", limit, "a whole number of at least 1")
        if not self.max_seq_length and not self.min_seq_length:
            raise UsageError("DropByLength: found no limit; expected max_seq_length or min_seq_length")

    def expand(self, blocks: Any) -> Any:  # noqa: D102
        limits = LengthLimits(dict(self.max_seq_length), dict(self.min_seq_length))
        return blocks | "Drop" >> beam.Map(_drop, limits).with_output_types(SequenceBlock)


def _drop(block: SequenceBlock, limits: LengthLimits) -> SequenceBlock:
    for key in (*limits.longest, *limits.shortest):
        if key not in block.arrays:
            near = did_you_mean(key, block.arrays)
            raise UsageError(
                f"DropByLength: found a limit of {key!r}; expected {', '.join(block.arrays)}{near}"
            )
    kept, dropped = drop(block.lengths, limits)
    left = block.keep(kept, dropped) if dropped else block
    Counting("DropByLength").block(left, read=block.num_seqs, dropped=sum(dropped.values()))
    return left
