"""What became of the records of a corpus: nothing is lost without being counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Counts:
    """What became of the sequences read: ``read == kept + Σ dropped + Σ rejected``.

    ``converted`` counts sequences that were kept but changed on the way (resampled, channels averaged);
    ``unknown``, per data key, labels that its vocabulary lacks and that became ``<unk>``;
    ``duplicate_tags`` are kept sequences whose given tag an earlier one has; ``largest_error`` is, per data
    key of small elements, by how much one differs most from the float32 number that it was made from.
    """

    read: int
    kept: int
    dropped: Mapping[str, int]
    rejected: Mapping[str, int]
    converted: Mapping[str, int]
    unknown: Mapping[str, int] = field(default_factory=dict)
    duplicate_tags: int = 0
    largest_error: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tables = (self.dropped, self.rejected, self.converted, self.unknown)
        if min(self.kept, self.duplicate_tags, *(n for table in tables for n in table.values())) < 0:
            raise ValueError("numbers of sequences below 0")
        if not all(0 <= error < math.inf for error in self.largest_error.values()):
            raise ValueError("largest errors that are none")
        if self.read != self.kept + sum(self.dropped.values()) + sum(self.rejected.values()):
            raise ValueError(
                f"{self.read} sequences read, but {self.kept} kept, {sum(self.dropped.values())} dropped and "
                f"{sum(self.rejected.values())} rejected"
            )
